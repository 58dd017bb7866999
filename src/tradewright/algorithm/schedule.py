"""The learning rate over a training: warm-up, then constant or decay."""

import math
from collections.abc import Callable
from typing import Literal

LrSchedule = Literal["cosine", "linear", "constant"]
SCHEDULES: tuple[LrSchedule, ...] = ("cosine", "linear", "constant")


def warmup_steps(warmup: float, num_steps: int) -> int:
    """Return the steps of the warm-up: ``warmup`` is a fraction of all below 1, a number of steps from 1 on."""
    return min(num_steps, round(warmup) if warmup >= 1 else math.ceil(warmup * num_steps))


def lr_factor(schedule: LrSchedule, *, num_steps: int, warmup: float, final_fraction: float) -> Callable[[int], float]:
    """Return the factor on the highest learning rate at a step, counted from 0.

    Warm-up: ``(step + 1) / (w + 1)``, so that no step is wasted at 0 and the first full one is step w; then from 1 to
    ``final_fraction`` in the last step.

    Args:
        schedule: Shape of the decay.
        num_steps: Of the whole training, >= 1.
        warmup: Fraction of ``num_steps`` below 1, else steps.
        final_fraction: Reached in the last step.
    """
    num_warmup = warmup_steps(warmup, num_steps)

    def factor(step: int) -> float:
        if step < num_warmup:
            return (step + 1) / (num_warmup + 1)
        if schedule == "constant":
            return 1.0
        done = min(1.0, (step - num_warmup) / max(1, num_steps - 1 - num_warmup))
        shape = 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
        return final_fraction + (1.0 - final_fraction) * shape

    return factor
