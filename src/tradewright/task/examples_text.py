"""Tables about examples and language models for ``task=inspect``: sizes, kinds, labels, first samples; model facts."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from tradewright.examples.example import Example, ExampleSets, Preference
from tradewright.metrics.figures import DASH

SETS = ("train", "validation", "test")
FACTS = {
    "name": "name or folder",
    "architecture": "architecture",
    "num_parameters": "parameters",
    "lora": "adapter",
    "quant": "quantisation",
    "dtype": "precision",
    "vocabulary": "tokens it knows",
    "max_length": "tokens of context",
    "chat_template": "chat template",
    "knowledge_cutoff": "knowledge cut-off",
}
"""What is shown of a language model, by what it is called there."""


def show_examples(console: Console, sets: ExampleSets, *, num_samples: int) -> None:
    """Print sizes, kinds and labels of the three sets, and the first training samples.

    Args:
        console: Where to.
        sets: The examples.
        num_samples: How many of them, >= 0.
    """
    console.print(f"[bold]{sets.name}[/]: fingerprint {sets.fingerprint}", soft_wrap=True)
    for note in (sets.note, "The data are generated." if sets.is_synthetic else ""):
        if note:
            console.print(f"[yellow]note:[/] {note}")
    table = _table("Examples", "set", "examples", "first", "last", "prompt", "answer")
    for name in SETS:
        examples: tuple[Example, ...] = getattr(sets, name)
        times = [one.known_at for one in examples if one.known_at is not None]
        span = [str(edge(times).astype("datetime64[m]")) if times else DASH for edge in (min, max)]
        asked = [sum(len(message["content"]) for message in one.prompt) for one in examples]
        answered = [len(one.completion) for one in examples]
        table.add_row(name, f"{len(examples):,}", *span, _mean(asked), _mean(answered))
    console.print(table)
    console.print("Prompt and answer: mean characters.")
    _shares(console, sets, "Kinds", lambda one: one.kind)
    if any(one.label is not None for name in SETS for one in getattr(sets, name)):
        _shares(console, sets, "Labels", lambda one: one.label or "none")
    for one in sets.train[:num_samples]:
        console.print(f"\n[bold]{one.id}[/] ({one.kind}, label {one.label or 'none'})", highlight=False)
        for message in one.prompt:
            console.print(f"{message['role']}: {message['content']}", markup=False, highlight=False, soft_wrap=True)
        console.print(f"-> {one.completion}", markup=False, highlight=False, soft_wrap=True)
        if isinstance(one, Preference):
            console.print(f"not -> {one.rejected}", markup=False, highlight=False, soft_wrap=True)


def _shares(console: Console, sets: ExampleSets, title: str, of: Any) -> None:
    """Print how often each value occurs in each set."""
    counts = {name: Counter(of(one) for one in getattr(sets, name)) for name in SETS}
    values = sorted({value for found in counts.values() for value in found})
    table = _table(title, "set", *values)
    for name, found in counts.items():
        table.add_row(name, *(f"{found[value] / max(found.total(), 1):.1%}" for value in values))
    console.print(table)


def show_model(console: Console, facts: Mapping[str, Any]) -> None:
    """Print what is known of a language model; see ``LoadedModel.facts``."""
    table = _table("Language model", "fact", "value")
    for key, title in FACTS.items():
        table.add_row(title, _text(facts.get(key)))
    console.print(table)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={inner}" for name, inner in value.items())
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _mean(counts: list[int]) -> str:
    return f"{sum(counts) / len(counts):,.0f}" if counts else DASH


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right", overflow="fold")
    return table
