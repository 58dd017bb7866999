"""``Claim``: a slot that a worker has to run, and when its result counts as one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from optuna.trial import Trial

Verdict = Literal["done", "pruned", "failed"]


@dataclass(frozen=True)
class Claim:
    """A slot that this worker has to run.

    Args:
        slot: Its number.
        trial: Its trial, RUNNING.
        point: Texts of what varies, by name of the dimension.
        overrides: The command line of the job.
        attempt: How many trials of the slot came before.
        num_losses: How many of them were lost with their worker since a command last queued the slot.
        num_repeats: How many of them had ended and were queued again by a command.
    """

    slot: int
    trial: "Trial"
    point: dict[str, str]
    overrides: list[str]
    attempt: int
    num_losses: int = 0
    num_repeats: int = 0


def fault(values: Sequence[float], num: int, bounds: Mapping[str, float]) -> str:
    """Return why a done job has no result; empty if it has."""
    if len(values) != num:
        return f"{len(values)} objective values, expected {num}" if values else "no objective value"
    for value in values:
        if not math.isfinite(value):
            return f"the objective is {value}"
    for name, value in bounds.items():
        if not math.isfinite(value):
            return f"the constraint on {name} is {value}"
    return ""
