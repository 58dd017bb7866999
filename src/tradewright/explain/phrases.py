"""The phrases of ``phrases.yaml`` and the values that fill them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tradewright.explain.lexicon import Lean, bar_word, indicators, number_text, value_text, words
from tradewright.explain.state import State

PATH = Path(__file__).with_name("phrases.yaml")
VERBS = {1: ("rose", "gained", "climbed"), 0: ("moved",), -1: ("fell", "lost", "dropped")}
SIDES = {1: "above", 0: "at", -1: "below"}
SIGNS = {1: "positive", 0: "zero", -1: "negative"}


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One thing to say about a state.

    Args:
        name: As in ``phrases.yaml``.
        group: What kind of fact it is.
        lean: Which way it is usually read here.
        clauses: Ways to say it, without the word.
        additions: Words that are true of it, as they are appended.
    """

    name: str
    group: str
    lean: Lean
    clauses: tuple[str, ...]
    additions: tuple[str, ...]


@cache
def phrases() -> Mapping[str, Any]:
    """Return the file."""
    found = yaml.load(PATH.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    assert isinstance(found, dict)
    return found


def instructions(kind: str) -> Sequence[str]:
    """Return the ways to ask for a text of a kind."""
    return tuple(phrases()["instructions"][kind])


def figures_of(state: State) -> dict[str, str]:
    """Return the figures and names of a state by placeholder, as texts print them."""
    figures = {"symbol": state.symbol, "date": state.day}
    for name, value in _numbers(state).items():
        figures[name], figures[f"{name}_size"] = value_text(name, value), value_text(name, abs(value))
        figures[f"{name}_number"] = number_text(value, indicators()[name].decimals)
    figures["from"], figures["to"] = figures["position"], figures["target"]
    return figures


def values_of(state: State, rng: np.random.Generator) -> dict[str, str]:
    """Return what fills the placeholders, words of direction included; verbs are drawn."""
    filled = {"bar": bar_word(state.timeframe_s), "action": state.action, **figures_of(state)}
    averages = _difference(state, "sma_50", "sma_200")
    for name, value in {**_numbers(state), **({} if averages is None else {"averages": averages})}.items():
        side = int(np.sign(value))
        filled[f"{name}_side"], filled[f"{name}_sign"] = SIDES[side], SIGNS[side]
        filled[f"{name}_verb"] = str(rng.choice(VERBS[side]))
    return filled


def _numbers(state: State) -> dict[str, float]:
    return {name: value for name in indicators() if (value := state.value(name)) is not None}


def describe(state: State, *, has_decision: bool = True) -> str:
    """Return what prompts tell of a state: one line per kind of fact, rounded as explanations quote it.

    Args:
        state: The decision.
        has_decision: Whether the first line says what was decided; else only of what and when.
    """
    values = values_of(state, np.random.default_rng(0))  # whose verbs no line uses
    heads = phrases()["sheet_head"]
    lines = [heads["decision" if has_decision else "market"].format_map(values)]
    if has_decision and state.confidence is not None:
        lines[0] += heads["confidence"].format_map(values)
    for entry in phrases()["sheet"]:
        if all(name in values for name in entry["needs"]):
            true = [text for word, text in entry.get("words", {}).items() if words()[word].holds(state)]
            lines.append(", ".join([entry["text"].format_map(values), *true]))
    return "\n".join(lines)


def factors_of(state: State, values: Mapping[str, str]) -> list[Factor]:
    """Return all that can be said of a state; what rounds to no difference is left out."""
    found = []
    for name, entry in phrases()["factors"].items():
        if any(state.value(needed) is None for needed in entry["needs"]):
            continue
        if "nonzero" in entry and _rounds_to_zero(state, entry["nonzero"], state.value(entry["nonzero"]) or 0.0):
            continue
        sign = 0.0
        if "lean" in entry:
            lean = entry["lean"]
            value = _difference(state, "sma_50", "sma_200") if lean == "averages" else state.value(lean)
            if value is None or _rounds_to_zero(state, lean, value):
                continue
            sign = math.copysign(1.0, value)
        true = [word for word in entry.get("words", {}) if words()[word].holds(state)]
        leans = {words()[word].lean for word in true} - {"none"}
        lean_word: Lean = "up" if sign > 0 else "down" if sign < 0 else (leans.pop() if len(leans) == 1 else "none")
        found.append(
            Factor(
                name=name,
                group=entry["group"],
                lean=lean_word,
                clauses=tuple(clause.format_map(values) for clause in entry["clauses"]),
                additions=tuple(text for word in true for text in entry["words"][word]),
            )
        )
    return found


def _rounds_to_zero(state: State, name: str, value: float) -> bool:
    if name == "averages":
        return value == 0
    return abs(value) <= 0.5 * 10.0 ** -indicators()[name].decimals


def _difference(state: State, first: str, second: str) -> float | None:
    left, right = state.value(first), state.value(second)
    return None if left is None or right is None else left - right
