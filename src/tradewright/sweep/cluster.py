"""What launchers over a cluster have in common: an optional library, and jobs that are handed over and may be lost."""

import importlib
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from tradewright.errors import ConfigError
from tradewright.sweep.guard import Before
from tradewright.sweep.job import Ended, Job, Session


def import_library(name: str, *, extra: str) -> Any:
    """Return the library of a launcher.

    Args:
        name: Of the module.
        extra: Of the launcher, and of our extra that installs the library.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"launcher={extra}: {error}; install the extra: pip install 'tradewright[{extra}]'") from None


class ClusterHandle(ABC):
    """A job that was handed over; a ``Handle``.

    Args:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.before = Before.of(job)
        self.num_lost = 0
        self.ended: Ended | None = None

    @abstractmethod
    def poll(self) -> Ended | None:
        """Return how it ended; None while it waits, runs, or has been handed over again."""

    @abstractmethod
    def cancel(self) -> None:
        """Ask the cluster to end it, if it has not ended."""

    @abstractmethod
    def wait(self) -> None:
        """Return when a cancelled job is gone, or must be."""

    def kill(self) -> None:
        """End it; returns when it is gone."""
        if self.poll() is not None:
            return
        self.cancel()
        self.wait()
        self.before.interrupted()
        self.ended = Ended("interrupted")


H = TypeVar("H", bound=ClusterHandle)


class ClusterSession(Session, Generic[H]):
    """The jobs that one worker has handed over.

    Args:
        capacity: Jobs at the same time.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._handles: list[H] = []

    @abstractmethod
    def hand_over(self, job: Job) -> H:
        """Submit a job and return what follows it."""

    def start(self, job: Job) -> H:
        """Submit a job.

        Raises:
            RunError: The cluster does not take it.
        """
        handle = self.hand_over(job)
        self._handles = [one for one in self._handles if one.ended is None] + [handle]
        return handle

    def close(self) -> None:
        """Cancel what is still there, all at once, and wait for it."""
        for one in self._handles:
            one.cancel()
        for one in self._handles:
            one.kill()
