"""``launcher=inline``: jobs in this process, one after another, for debuggers and tests.

A job that raises or exits fails like any other, but one that is killed takes the sweep with it, and no job can be
stopped for its time.
"""

from dataclasses import dataclass
from typing import ClassVar

from tradewright.sweep.guard import guarded
from tradewright.sweep.job import Ended, Job, Launcher, Run, Session


class Inline(Launcher):
    """Runs jobs in this process."""

    is_isolated: ClassVar[bool] = False

    def open(self, run: Run, num_jobs: int) -> "InlineSession":
        """Return a session for one job at a time."""
        return InlineSession(run)


@dataclass(frozen=True)
class _Over:
    """A job that has ended; a ``Handle``."""

    ended: Ended

    def poll(self) -> Ended:
        return self.ended

    def kill(self) -> None:
        """Do nothing: there is nothing left."""


class InlineSession(Session):
    """Does a job at the moment it is started."""

    capacity = 1

    def __init__(self, run: Run) -> None:
        self.run = run

    def start(self, job: Job) -> _Over:
        """Do a job; ``KeyboardInterrupt`` passes."""
        return _Over(guarded(self.run, job))

    def close(self) -> None:
        """Do nothing: nothing runs."""
