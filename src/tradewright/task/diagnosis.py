"""What went wrong in a run, from what its own directory says: named findings, each with advice.

Read are the state, the curves, the log, the figures, the report of the examples, the graded explanations and the
benchmark; what is not there is not judged, and the table says which of them were.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tradewright.callbacks.training_findings import training_findings
from tradewright.errors import RunError
from tradewright.explain.findings import text_findings
from tradewright.output import CONFIG, CURVES, METRICS, STATUS, read_json, read_metrics
from tradewright.task.learner import learns_from_text

LOG, EXPLANATIONS, BENCH, DATA = "log.txt", "explanations/explanations.json", "bench.json", "data_report.json"
SOURCES = (STATUS, CURVES, LOG, METRICS, DATA, EXPLANATIONS, BENCH)
SLOWEST = 500.0
"""Tokens per second of training below which it is called slow (acceptance row T22 expects 500 to 2000)."""
MOST_DROPPED = 0.05
"""Fraction of the training examples that may be too long."""
MEMORY_ADVICE = (
    "lower algorithm.batch_size, algorithm.tokens_per_batch or model.max_length and raise algorithm.accumulation, set"
    " algorithm.gradient_checkpointing=true, or use a stronger quantisation (quant=int8, quant=nf4 with lora=r16)"
)
HALVED = re.compile(r"out of memory: .*", re.IGNORECASE)
CAUSES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("out_of_memory", re.compile(r"out of memory|OutOfMemory|not enough memory|allocate memory", re.IGNORECASE),
     MEMORY_ADVICE),
    ("shape_mismatch", re.compile(r"\bshapes?\b|size mismatch|dimension", re.IGNORECASE),
     "compute features and examples from the same data, and load a checkpoint with the model that wrote it;"
     " `tradewright inspect` shows columns and rows"),
    ("loss_not_finite", re.compile(r"\bloss became (nan|inf|-inf)|not finite", re.IGNORECASE),
     "lower algorithm.lr, lower trainer.gradient_clip_val, use trainer.precision=bf16-mixed, and look for wrong values"
     " in the data"),
    ("interrupted", re.compile(r"^interrupted$"), "continue it with `tradewright resume=<run>`"),
)  # fmt: skip
"""Name, what the error says, and advice; the first that fits."""
BENCH_NAMES = {"slow": "slow_inference", "large": "memory_over_budget"}
"""What findings of ``task=bench`` begin with."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One thing that is wrong with a run: a stable name, what was seen with its numbers, and what to do."""

    name: str
    message: str
    advice: str


def diagnose(directory: Path) -> tuple[list[Diagnosis], list[str]]:
    """Return what is wrong with a run, in a fixed order, one finding per name, and the files that were read.

    Raises:
        RunError: It is no run directory, or a file in it is broken.
    """
    if not (directory / CONFIG).is_file():
        raise RunError(f"{directory}: no {CONFIG}; expected a run directory such as outputs/default/<run>")
    cfg = OmegaConf.load(directory / CONFIG)
    assert isinstance(cfg, DictConfig)
    found: dict[str, Diagnosis] = {}
    for one in _all(directory, is_text=learns_from_text(cfg)):
        found.setdefault(one.name, one)
    return list(found.values()), [name for name in SOURCES if (directory / name).is_file()]


def _all(directory: Path, *, is_text: bool) -> Iterator[Diagnosis]:
    yield from state_findings(_json(directory / STATUS))
    if is_text:
        curves = _json(directory / CURVES)
        for one in training_findings(curves):
            yield Diagnosis(name=one.name, message=f"step {one.step}: {one.message}", advice=one.advice)
        yield from speed_findings(curves)
    yield from _log_findings(directory / LOG)
    if (directory / METRICS).is_file():
        yield from answer_findings(read_metrics(directory))
    yield from data_findings(_json(directory / DATA))
    figures = {key: value for key, value in _json(directory / EXPLANATIONS).items() if value is not None}
    for text in text_findings(figures):
        yield Diagnosis(name=text.name, message=text.message, advice=text.advice)
    yield from bench_findings(_json(directory / BENCH))


def _json(path: Path) -> dict[str, Any]:
    """Return the object in a file; empty where there is no such file."""
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise RunError(f"{path}: expected a JSON object")
    return content


def state_findings(status: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """Say why a run failed."""
    if status.get("state") != "failed":
        return
    error = str(status.get("error") or "unknown")
    for name, pattern, advice in CAUSES:
        if pattern.search(error):
            yield Diagnosis(name=name, message=f"the run failed: {error}", advice=advice)
            return
    yield Diagnosis(name="failed", message=f"the run failed: {error}", advice=f"do what it says; more is in {LOG}")


def speed_findings(curves: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """Say that training is slow."""
    values = curves.get("throughput/tokens_per_s", {}).get("values", [])
    if values and values[-1] < SLOWEST:
        yield Diagnosis(
            name="slow_training",
            message=f"{values[-1]:,.0f} tokens/s at the end, {SLOWEST:,.0f} and more are expected",
            advice="set algorithm.packing=true, raise algorithm.batch_size, leave algorithm.gradient_checkpointing"
            " off where memory allows, train an adapter (lora=r16), use a GPU or a smaller model",
        )


def _log_findings(path: Path) -> Iterator[Diagnosis]:
    """Find halved batches that the curves do not show, as they begin after them."""
    if not path.is_file():
        return
    found = [match[0] for line in path.read_text(encoding="utf-8").splitlines() if (match := HALVED.search(line))]
    if found:
        yield Diagnosis(
            name="out_of_memory", message=f"memory ran out {len(found)} times; {found[-1]}", advice=MEMORY_ADVICE
        )


def answer_findings(metrics: Mapping[str, float]) -> Iterator[Diagnosis]:
    """Say that decisions are no better than always giving the most frequent one."""
    accuracy, majority = (metrics.get(f"test/{name}") for name in ("accuracy", "majority_accuracy"))
    if accuracy is not None and majority is not None and accuracy <= majority:
        yield Diagnosis(
            name="no_better_than_majority",
            message=f"{accuracy:.1%} of the test answers are right, always giving the most frequent one gives"
            f" {majority:.1%}",
            advice="look at the labels (`tradewright label`), use examples.balance=equal or more examples, raise"
            " algorithm.epochs or algorithm.lr, or choose a larger model",
        )


def data_findings(report: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """Say that examples are too long for the model."""
    train = report.get("train", {})
    num, lost = train.get("num_examples", 0), train.get("num_dropped", 0) + train.get("num_truncated", 0)
    if num and lost > MOST_DROPPED * num:
        yield Diagnosis(
            name="overlong_examples",
            message=f"{lost} of {num} training examples are longer than the {train.get('limit')} tokens of the model",
            advice="raise model.max_length where memory allows, shorten the prompts, or use another tokenizer",
        )


def bench_findings(bench: Mapping[str, Any]) -> Iterator[Diagnosis]:
    """Repeat what ``task=bench`` found over its budgets."""
    for text in bench.get("findings", []):
        kind, _, rest = str(text).partition(": ")
        message, _, advice = rest.partition("; ")
        yield Diagnosis(name=BENCH_NAMES.get(kind, kind), message=message, advice=advice)
