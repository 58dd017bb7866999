"""What the curves of a language model's training say about it: named findings with advice.

A pure function of the curves, so a running training warns and a finished run can be diagnosed by the same rules. Means
of quarters of the curve are compared, which a single noisy point does not move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST_POINTS, LEAST_POINTS_STALL = 8, 16
"""Points of the training loss below which nothing is said of it."""
LEAST_VALIDATIONS = 3
LEAST_FALL = 0.05
"""Fraction by which the loss must have fallen since the first quarter."""
RISE = 0.10
"""Fraction above its best quarter at which the loss is called rising."""
PROGRESS = 0.02
"""Fraction of improvement within half of the training below which it stands still."""
EXPECTED_LOSS = 1.0
"""Nats per token; a fine-tuned model is expected to end between 0.5 and 1.0 (acceptance row T17), so a standstill below
is no fault."""
DIVERGENCE = 0.02
"""Fraction by which the validation loss exceeds its best, at least two validations later."""
HIGH_PERPLEXITY = 5.0
"""After several epochs 1.5 to 3 is expected (acceptance row T19)."""
USUAL_CHARACTERS = 4.0
"""Of a token of a large model's vocabulary; a token that holds whole phrases is as hard to guess as all its parts."""
FULL_MEMORY = 0.9
LOST_NATS = 1.0
"""Fall of the log-probability of whole preferred answers, since the start of a preference training, that is told: they
are less than 1/e as likely as they were."""

Curve = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that went wrong.

    Args:
        name: Stable key, such as ``overfitting``.
        message: What was seen, with its numbers.
        advice: What to do.
        step: Where in the training.
    """

    name: str
    message: str
    advice: str
    step: int


def training_findings(curves: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong, in a fixed order; empty for a healthy training.

    Args:
        curves: ``{name: (steps, values)}``, or as ``curves.json`` has them: ``{name: {"steps": .., "values": ..}}``.
    """
    rules = (_loss, _overfitting, _perplexity, _chosen_lost, _memory, _out_of_memory)
    known = {name: _pair(curve) for name, curve in curves.items()}
    return [finding for rule in rules if (finding := rule(known)) is not None]


def _pair(curve: Any) -> Curve:
    return (curve["steps"], curve["values"]) if isinstance(curve, Mapping) else curve


def _loss(curves: Mapping[str, Curve]) -> Finding | None:
    """Rising, never fallen, or standing still above what is expected."""
    steps, values = curves.get("train/loss", ((), ()))
    if len(values) < LEAST_POINTS:
        return None
    first, second, third, last = (float(part.mean()) for part in np.array_split(np.asarray(values, float), 4))
    best, step = min(first, second, third), int(steps[-1])
    if last > (1 + RISE) * best:
        return Finding(
            name="loss_increases",
            message=f"the training loss rises: {last:.3g} lately, {best:.3g} at its best",
            advice="lower algorithm.lr or lengthen algorithm.warmup; look at the examples for wrong or mixed answers",
            step=step,
        )
    if last > (1 - LEAST_FALL) * first:
        return Finding(
            name="loss_not_decreasing",
            message=f"the training loss does not fall: {first:.3g} at first, {last:.3g} lately",
            advice="raise algorithm.lr tenfold or lora.r, check that answers follow from their prompts",
            step=step,
        )
    has_stalled = second - min(third, last) < PROGRESS * second
    if len(values) >= LEAST_POINTS_STALL and has_stalled and last > EXPECTED_LOSS:
        return Finding(
            name="loss_stalls",
            message=f"the training loss stands still at {last:.3g}, above {EXPECTED_LOSS:g}",
            advice="raise algorithm.lr or lora.r, train more data or a larger model",
            step=step,
        )
    return None


def _overfitting(curves: Mapping[str, Curve]) -> Finding | None:
    """Validation gets worse while training gets better."""
    steps, values = curves.get("validation/loss", ((), ()))
    if len(values) < LEAST_VALIDATIONS:
        return None
    best = int(np.argmin(values))
    if len(values) - 1 - best < LEAST_VALIDATIONS - 1 or not values[-1] > (1 + DIVERGENCE) * values[best]:
        return None
    then, now = (_near(curves.get("train/loss", ((), ())), steps[i]) for i in (best, -1))
    if not now < then:
        return None
    return Finding(
        name="overfitting",
        message=(
            f"the validation loss rose from {values[best]:.3g} at step {int(steps[best])} to {values[-1]:.3g} while the"
            f" training loss fell from {then:.3g} to {now:.3g}"
        ),
        advice="fewer algorithm.epochs, a smaller lora.r, more lora.lora_dropout or more examples",
        step=int(steps[-1]),
    )


def _near(curve: Curve, step: float) -> float:
    """Return the mean of the last three points up to a step; NaN without any."""
    known = [value for at, value in zip(*curve, strict=True) if at <= step][-3:]
    return float(np.mean(known)) if known else float("nan")


def _perplexity(curves: Mapping[str, Curve]) -> Finding | None:
    steps, values = curves.get("validation/perplexity", ((), ()))
    if len(values) < LEAST_VALIDATIONS:
        return None
    _, lengths = curves.get("validation/characters_per_target", ((), ()))
    is_long = len(lengths) > 0 and lengths[-1] > USUAL_CHARACTERS
    found = values[-1] ** (USUAL_CHARACTERS / lengths[-1]) if is_long else values[-1]
    if not found > HIGH_PERPLEXITY:
        return None
    per = f" per {USUAL_CHARACTERS:g} characters" if is_long else ""
    return Finding(
        name="high_perplexity",
        message=f"the validation perplexity is {found:.3g}{per} after {len(values)} validations, above"
        f" {HIGH_PERPLEXITY:g}",
        advice="train longer, raise algorithm.lr, or choose a larger model or one that knows the subject",
        step=int(steps[-1]),
    )


def _chosen_lost(curves: Mapping[str, Curve]) -> Finding | None:
    """Preferred answers become less likely: the loss asks only that others become so even more."""
    steps, values = curves.get("train/chosen_gain", ((), ()))
    if len(values) < LEAST_POINTS:
        return None
    gain = float(np.array_split(np.asarray(values, float), 4)[-1].mean())
    if not gain < -LOST_NATS:
        return None
    return Finding(
        name="chosen_less_likely",
        message=f"preferred answers lost {-gain:.3g} nats of log-probability since the start",
        advice="set algorithm.sft_weight=1, lower algorithm.lr or algorithm.epochs, or raise algorithm.beta",
        step=int(steps[-1]),
    )


def _memory(curves: Mapping[str, Curve]) -> Finding | None:
    steps, values = curves.get("memory/fraction", ((), ()))
    if not len(values) or not max(values) > FULL_MEMORY:
        return None
    return Finding(
        name="memory_near_limit",
        message=f"{max(values):.0%} of the memory was in use",
        advice="lower algorithm.batch_size or algorithm.tokens_per_batch and raise algorithm.accumulation, set"
        " algorithm.gradient_checkpointing=true, or use quant=nf4",
        step=int(steps[int(np.argmax(values))]),
    )


def _out_of_memory(curves: Mapping[str, Curve]) -> Finding | None:
    steps, values = curves.get("train/micro_batch", ((), ()))
    if len(values) < 2 or not min(values) < values[0]:
        return None
    return Finding(
        name="out_of_memory",
        message=f"memory ran out: micro-batches were halved from {values[0]:g} to {min(values):g}",
        advice="start there (algorithm.batch_size, algorithm.tokens_per_batch) and raise algorithm.accumulation, set"
        " algorithm.gradient_checkpointing=true, or use quant=nf4",
        step=int(steps[int(np.argmin(values))]),
    )
