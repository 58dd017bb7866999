"""``launcher=process``: every job in a process of its own on this machine, within its cores, memory and GPUs.

A job can raise, exit, be killed or run out of memory without harm to the sweep; when the sweep itself is killed, its
jobs end with it. On Linux and macOS a fork server pays for the heavy imports once. On Windows every job is a new
interpreter and there are no process groups: a killed job's own child processes may outlive it.
"""

import logging
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tradewright.sweep.child import Child, Method
from tradewright.sweep.job import Ended, Job, Launcher, Run, Session
from tradewright.sweep.machine import VISIBLE, free_memory_gb, num_cores, take_gpus

if TYPE_CHECKING:
    from filelock import FileLock

log = logging.getLogger("tradewright.sweep")


class Process(Launcher):
    """Runs jobs on this machine.

    Args:
        jobs: At the same time; None: as many as there are free cores, or with ``gpus_per_job`` free GPUs.
        threads_per_job: Of numerical libraries. More jobs with one thread beat fewer with several, but for wide
            networks; more threads than cores slow everything down, by an order of magnitude where jobs are small.
        gpus_per_job: Devices of its own that each job sees; 0: every job sees what this process sees, and the number
            of jobs follows from the cores.
        memory_gb_per_job: What a job is expected to need, in 1e9 bytes; no more jobs start than fit into what is free.
            None: no limit.
        preload: Import torch, Lightning and TorchRL once for all jobs; false: each job is a new interpreter.

    Raises:
        ValueError: A number is out of range.
    """

    def __init__(
        self,
        *,
        jobs: int | None = None,
        threads_per_job: int = 1,
        gpus_per_job: int = 0,
        memory_gb_per_job: float | None = 2.0,
        preload: bool = True,
    ) -> None:
        if jobs is not None and jobs < 1:
            raise ValueError(f"jobs must be >= 1 or null, was {jobs}")
        if threads_per_job < 1:
            raise ValueError(f"threads_per_job must be >= 1, was {threads_per_job}")
        if gpus_per_job < 0:
            raise ValueError(f"gpus_per_job must be >= 0, was {gpus_per_job}")
        if memory_gb_per_job is not None and not memory_gb_per_job > 0:
            raise ValueError(f"memory_gb_per_job must be > 0 or null, was {memory_gb_per_job}")
        self.jobs = jobs
        self.threads_per_job = threads_per_job
        self.gpus_per_job = gpus_per_job
        self.memory_gb_per_job = memory_gb_per_job
        self.method: Method = "forkserver" if preload and sys.platform != "win32" else "spawn"

    def open(self, run: Run, num_jobs: int) -> "ProcessSession":
        """Return a session; GPUs are taken until it ends.

        Raises:
            ConfigError: Fewer GPUs are free than one job needs.
        """
        slots: list[str | None] = []
        locks: list[FileLock] = []
        size = self.gpus_per_job
        if size:
            gpus, locks = take_gpus(size)
            slots += [",".join(gpus[first : first + size]) for first in range(0, len(gpus) - size + 1, size)]
        capacity = self.capacity(num_jobs, len(slots) if size else None)
        for lock in locks[capacity * size :]:
            lock.release()
        return ProcessSession(self, run, slots[:capacity] if size else [None] * capacity, locks)

    def capacity(self, num_jobs: int, num_slots: int | None = None) -> int:
        """Return how many jobs run at the same time, and tell what limits them unexpectedly.

        Args:
            num_jobs: That there are.
            num_slots: Sets of GPUs; None: jobs need none.
        """
        cores = num_cores()
        wanted = self.jobs or (num_slots if num_slots is not None else max(1, cores // self.threads_per_job))
        wanted = max(1, min(wanted, num_jobs, *([] if num_slots is None else [num_slots])))
        free = free_memory_gb()
        fitting = wanted
        if free is not None and self.memory_gb_per_job is not None:
            fitting = max(1, min(wanted, int(free / self.memory_gb_per_job)))
        if fitting < wanted:
            log.warning(
                "launcher.memory_gb_per_job: %.1f GB are free, %d of %d jobs at a time; lower it if they need less",
                free,
                fitting,
                wanted,
            )
        if fitting * self.threads_per_job > cores:
            log.warning(
                "launcher: %d jobs with %d threads each on %d cores slow each other down; lower launcher.jobs or"
                " launcher.threads_per_job",
                fitting,
                self.threads_per_job,
                cores,
            )
        return fitting


@dataclass(eq=False)
class _Placed:
    """A started job and the GPUs it occupies; a ``Handle``."""

    child: Child
    gpus: str | None
    free: "list[str | None]" = field(repr=False)
    is_counted: bool = True

    def poll(self) -> Ended | None:
        ended = self.child.poll()
        if ended is not None:
            self._leave()
        return ended

    def kill(self) -> None:
        self.child.kill()
        self._leave()

    def _leave(self) -> None:
        if self.is_counted:
            self.is_counted = False
            self.free.append(self.gpus)


class ProcessSession(Session):
    """The processes of one worker.

    Args:
        launcher: Says how.
        run: Does one job.
        slots: One entry per job at the same time: its ``CUDA_VISIBLE_DEVICES``, None: as in this process.
        locks: Hold the GPUs.
    """

    def __init__(self, launcher: Process, run: Run, slots: list[str | None], locks: "list[FileLock]") -> None:
        self.launcher, self.run, self.locks = launcher, run, locks
        self.capacity = len(slots)
        self._free: list[str | None] = list(slots)
        self._placed: list[_Placed] = []

    def start(self, job: Job) -> _Placed:
        """Start a job.

        Raises:
            RunError: No process can be started.
        """
        assert self._free, "called while fewer than capacity run"
        gpus = self._free.pop(0)
        environment = dict(os.environ) if gpus is None else {**os.environ, VISIBLE: gpus}
        try:
            child = Child(
                self.run,
                job,
                method=self.launcher.method,
                environment=environment,
                num_threads=self.launcher.threads_per_job,
            )
        except BaseException:
            self._free.append(gpus)
            raise
        placed = _Placed(child, gpus, self._free)
        self._placed = [one for one in self._placed if one.is_counted] + [placed]
        return placed

    def close(self) -> None:
        """Kill what still runs, all at once, and give the GPUs back."""
        running = [one for one in self._placed if one.poll() is None]
        for one in running:
            one.child.terminate()
        for one in running:
            one.kill()
        for lock in self.locks:
            lock.release()
