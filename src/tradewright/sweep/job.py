"""``Job`` and ``Launcher``: one training or backtest of a sweep, and who runs it where.

A launcher gets a function of a module (``run``) that does a job from its description alone; what happened is in the
job's directory, and ``Ended`` says it in short. A job that raises, exits, is killed or runs out of memory is an
``Ended`` like any other: nothing a job does may end the sweep.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Literal, Protocol

State = Literal["done", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class Pruning:
    """Where a running job reports its validation figure, and is told to stop.

    Args:
        study: Name of the study.
        trial: Number of the trial.
        monitor: The reported ``validation/*`` metric.
        pruner: Configuration of the pruner, plain values with ``_target_``.
    """

    study: str
    trial: int
    monitor: str
    pruner: dict[str, object]


@dataclass(frozen=True)
class Job:
    """One job, as plain values: it travels to other processes and machines.

    Args:
        number: Of the slot.
        directory: Run directory, absolute.
        overrides: Command line of the job, without settings of the sweep.
        swept: Names of every key that the sweep varies, also those that this job lacks.
        conf: Folder of the main configuration.
        extra: Further folder of options, ``--config-dir``; None: none.
        cwd: Folder the sweep was started in.
        resume: The directory holds an earlier attempt: continue from its newest checkpoint.
        pruning: Where to report; None: the job is never stopped early. The storage's URL is in the environment
            (``STORAGE_VARIABLE``), because it may hold a password.
    """

    number: int
    directory: str
    overrides: tuple[str, ...]
    swept: tuple[str, ...]
    conf: str
    extra: str | None
    cwd: str
    resume: bool = False
    pruning: Pruning | None = None


STORAGE_VARIABLE = "TRADEWRIGHT_STORAGE"


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Args:
        state: ``interrupted``: to be run again; it says nothing about the configuration.
        error: One line; empty where it is done.
        warnings: Of the configuration.
        is_misfit: Its options do not fit together: it never saw data.
        is_lost: The machine took it away while nobody wanted it to end: that counts against ``sweep.max_attempts``.
    """

    state: State
    error: str = ""
    warnings: tuple[str, ...] = ()
    is_misfit: bool = False
    is_lost: bool = False


Run = Callable[[Job], Ended]


class Handle(Protocol):
    """A started job."""

    def poll(self) -> Ended | None:
        """Return how it ended; None while it runs."""
        ...

    def kill(self) -> None:
        """End it now, with everything it has started; ``poll`` then says ``interrupted``."""
        ...


class Session(ABC):
    """Runs jobs for one worker; a context manager whose end leaves no process behind."""

    capacity: int
    """Jobs at the same time, >= 1."""

    @abstractmethod
    def start(self, job: Job) -> Handle:
        """Start a job; called while fewer than ``capacity`` run."""

    @abstractmethod
    def close(self) -> None:
        """Kill what still runs and give back what was taken."""

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Launcher(ABC):
    """Base of the config nodes of group ``launcher``."""

    is_isolated: ClassVar[bool] = True
    """Whether jobs run in other processes, which Ctrl-C does not reach."""
    least_grace_s: ClassVar[float] = 0.0
    """Seconds for which a job may outlive the worker that started it; nobody may take it over before."""

    @abstractmethod
    def open(self, run: Run, num_jobs: int) -> Session:
        """Return a session.

        Args:
            run: Does one job; a function of a module, so that another process can import it.
            num_jobs: Jobs that there may be at most; no more need to run at a time.

        Raises:
            ConfigError: The engine is not installed or cannot be reached.
        """
