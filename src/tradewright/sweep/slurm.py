"""``launcher=slurm``: every job as a job of SLURM, through submitit.

Run directories and bars must lie on a file system that every node mounts at the same place. What a job's node has to
say goes through files beside its run (``submitit/``), not through SLURM's accounting, which many clusters lack and
without which a killed job is never noticed: the node writes a sign of life, and one that falls silent is lost and is
submitted again. The other way round a node ends its job when the sweep falls silent. SLURM hands the environment on;
nothing of it is written. Where the workers themselves can run on nodes, an array job of the same ``tradewright -m``
command over PostgreSQL needs no launcher at all.
"""

import pickle
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

from tradewright.errors import ConfigError, RunError
from tradewright.output import read_json
from tradewright.sweep import slurm_node
from tradewright.sweep.cluster import ClusterHandle, ClusterSession, import_library
from tradewright.sweep.guard import one_line
from tradewright.sweep.job import Ended, Job, Launcher, Run

FOLDER = "submitit"
LOOK_S = 0.5
"""Between looks into a job's files."""
QUEUE_S = 30.0
"""Between questions to SLURM whether a job is still in its queue."""
OVER = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
}
"""States of a job that will not run again under its number."""
GONE_S = 60.0
"""How long a cancelled job may take to end; SLURM itself kills it after half a minute."""


class Slurm(Launcher):
    """Runs jobs as jobs of SLURM.

    Args:
        timeout_min: Longest time of a job in minutes; SLURM ends it then, and it has failed.
        partition: Where to submit; None: the cluster's own default.
        cpus_per_job: Processors of each job; also its number of threads.
        gpus_per_job: Devices of each job.
        memory_gb_per_job: Memory of each job, as SLURM counts it; None: the cluster's own default.
        jobs: Submitted at the same time, waiting ones among them.
        max_retries: How often a job is submitted again after its node was lost.
        parameters: Further options of ``sbatch`` by name, e.g. ``{qos: long, account: desk}``.
        cluster: ``local`` runs the jobs on this machine, without SLURM: to try things out.

    Raises:
        ValueError: A number is out of range.
    """

    least_grace_s: ClassVar[float] = slurm_node.SILENT_S + slurm_node.DRIVE_LAG_S

    def __init__(
        self,
        *,
        timeout_min: int,
        partition: str | None = None,
        cpus_per_job: int = 1,
        gpus_per_job: int = 0,
        memory_gb_per_job: float | None = 4.0,
        jobs: int = 8,
        max_retries: int = 2,
        parameters: dict[str, Any] | None = None,
        cluster: Literal["slurm", "local"] = "slurm",
    ) -> None:
        for key, value, least in (
            ("timeout_min", timeout_min, 1),
            ("cpus_per_job", cpus_per_job, 1),
            ("gpus_per_job", gpus_per_job, 0),
            ("jobs", jobs, 1),
            ("max_retries", max_retries, 0),
        ):
            if value < least:
                raise ValueError(f"{key} must be >= {least}, was {value}")
        if memory_gb_per_job is not None and not memory_gb_per_job > 0:
            raise ValueError(f"memory_gb_per_job must be > 0 or null, was {memory_gb_per_job}")
        self.timeout_min = timeout_min
        self.cpus_per_job = cpus_per_job
        self.jobs = jobs
        self.max_retries = max_retries
        self.cluster = cluster
        self.options: dict[str, Any] = {
            "name": "tradewright",
            "timeout_min": timeout_min,
            "cpus_per_task": cpus_per_job,
            "gpus_per_node": gpus_per_job,
            **({} if memory_gb_per_job is None else {"mem_gb": memory_gb_per_job}),
            **({} if partition is None else {"slurm_partition": partition}),
            **{f"slurm_{name}": value for name, value in (parameters or {}).items()},
        }

    def open(self, run: Run, num_jobs: int) -> "SlurmSession":
        """Return a session.

        Raises:
            ConfigError: submitit is missing, SLURM is not here, or it takes no such parameter.
        """
        submitit = import_library("submitit", extra="slurm")
        with TemporaryDirectory() as folder:
            self.executor(submitit, Path(folder))
        return SlurmSession(self, submitit, run, min(self.jobs, num_jobs))

    def executor(self, submitit: Any, folder: Path) -> Any:
        """Return what submits a job whose files lie in a folder."""
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster=self.cluster)
            executor.update_parameters(**self.options)
        except (RuntimeError, NameError, ValueError, TypeError) as error:
            raise ConfigError(f"launcher=slurm: {one_line(error)}") from error
        return executor


class SlurmSession(ClusterSession["SlurmHandle"]):
    """The jobs that one worker has submitted.

    Args:
        launcher: Says how.
        submitit: The library.
        run: Does one job.
        capacity: Jobs at the same time.
    """

    def __init__(self, launcher: Slurm, submitit: Any, run: Run, capacity: int) -> None:
        super().__init__(capacity)
        self.launcher, self.submitit = launcher, submitit
        self._run = pickle.dumps(run)

    def hand_over(self, job: Job) -> "SlurmHandle":
        """Submit a job and return what follows it.

        Raises:
            RunError: SLURM does not take it.
        """
        return SlurmHandle(self, job)

    def submit(self, job: Job, letters: slurm_node.Letters) -> Any:
        """Hand a job over and return what submitit knows it by."""
        executor = self.launcher.executor(self.submitit, Path(letters.folder))
        numbers = self.launcher.cpus_per_job, self.launcher.timeout_min
        try:
            return executor.submit(slurm_node.on_node, self._run, job, letters, list(sys.path), *numbers)
        except (OSError, RuntimeError) as error:
            raise RunError(f"job {job.number}: SLURM does not take it ({one_line(error)})") from error


class SlurmHandle(ClusterHandle):
    """A submitted job."""

    def __init__(self, session: SlurmSession, job: Job) -> None:
        super().__init__(job)
        self.session = session
        self._submit(job)

    def _submit(self, job: Job) -> None:
        self._letters = slurm_node.Letters(str(Path(job.directory) / FOLDER), uuid.uuid4().hex[:12])
        self._node, self._own = slurm_node.Pulse(self._letters.node), slurm_node.Pulse(self._letters.sweep)
        self._own.beat()
        self._looked, self._asked = 0.0, time.monotonic()
        self._over_since: float | None = None
        self._submitted = self.session.submit(job, self._letters)

    def poll(self) -> Ended | None:
        """Return how it ended; None while it waits, runs, or has been submitted again."""
        if self.ended is None and time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            self._own.beat()
            self.ended = self._letter() or self._lost()
        return self.ended

    def _letter(self) -> Ended | None:
        path = self._letters.end
        if not path.is_file() or (self._is_local and not self._is_over()):
            return None
        content: Mapping[str, Any] = read_json(path)
        return Ended(**{**content, "warnings": tuple(content["warnings"])})

    def _lost(self) -> Ended | None:
        """Submit again what fell silent, or what SLURM says has ended without a letter, unless too often."""
        now = time.monotonic()
        if self._over_since is None and self._is_over():
            self._over_since = now
        is_silent = self._node.silence_s() > slurm_node.SILENT_S and self._node.is_known
        is_over = self._over_since is not None and now - self._over_since > self._patience_s
        if not is_silent and not is_over:
            return None
        self._submitted.cancel(check=False)
        self.num_lost += 1
        if self.num_lost > self.session.launcher.max_retries:
            where = Path(self._letters.folder)
            return self.before.died(f"its SLURM job was lost {self.num_lost} times, see {where}")
        self._submit(replace(self.job, resume=True))
        return None

    @property
    def _patience_s(self) -> float:
        """How long a letter may take from the node to here."""
        return slurm_node.BEAT_S if self._is_local else slurm_node.SILENT_S

    @property
    def _is_local(self) -> bool:
        return self.session.launcher.cluster == "local"

    def cancel(self) -> None:
        """Ask SLURM to end it."""
        if self.ended is None:
            self._submitted.cancel(check=False)

    def wait(self) -> None:
        """Return when it is gone, or when SLURM should have killed it."""
        until = time.monotonic() + GONE_S
        while self._may_run() and time.monotonic() < until:
            time.sleep(slurm_node.PAUSE_S)

    def _may_run(self) -> bool:
        if self._is_local:
            return not self._is_over()
        self._node.silence_s()
        return self._node.is_known and self._letter() is None and not self._is_over()

    def _is_over(self) -> bool:
        """Whether the job has left the queue; asked rarely, and SLURM itself: its accounting may not exist."""
        if self._is_local:
            return bool(self._submitted.done())
        if time.monotonic() - self._asked < QUEUE_S:
            return False
        self._asked = time.monotonic()
        command = ["squeue", "--noheader", "--format=%T", f"--jobs={self._submitted.job_id}"]
        asked = subprocess.run(command, capture_output=True, text=True)
        if asked.returncode:  # a controller that does not answer says nothing about the job
            return "Invalid job id" in asked.stderr
        return OVER.issuperset(asked.stdout.split())
