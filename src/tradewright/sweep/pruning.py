"""Which trial of a study the run of this process is: set around a job of a sweep, asked by the training.

The run itself knows nothing of sweeps; without this there is nobody to report to.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tradewright.sweep.job import Pruning

_current: ContextVar[Pruning | None] = ContextVar("pruning", default=None)


@contextmanager
def pruning(trial: Pruning | None) -> Iterator[None]:
    """Let trainings inside the block report to ``trial``; None: to nobody."""
    token = _current.set(trial)
    try:
        yield
    finally:
        _current.reset(token)


def current_pruning() -> Pruning | None:
    """Return where trainings report; None outside a sweep with a pruner."""
    return _current.get()
