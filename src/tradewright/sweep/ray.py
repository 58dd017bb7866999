"""``launcher=ray``: every job on a Ray cluster, or on a local one that lives as long as the sweep.

A Ray task starts the job in a process of its own, so that a job that is killed is told apart from a worker or a node
that is lost: the first has failed, the second is started again elsewhere and continues from its checkpoint. Run
directories and bars must lie on a file system that every node mounts at the same place, and every node needs this
package. The environment travels with the job and is written nowhere.
"""

import os
import pickle
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tradewright.errors import ConfigError
from tradewright.sweep.child import Child
from tradewright.sweep.cluster import ClusterHandle, ClusterSession, import_library
from tradewright.sweep.guard import one_line
from tradewright.sweep.job import Ended, Job, Launcher, Run
from tradewright.sweep.machine import VISIBLE, num_cores

PAUSE_S = 0.1
LOCAL = "local"
OBJECT_STORE_BYTES = 80_000_000
"""Of a local cluster: results are a line of text, and Ray's default is a third of the memory."""
OF_NODE = ("RAY_", VISIBLE)
"""Beginnings of variables that say where a task runs; those of the node stay."""


class Ray(Launcher):
    """Runs jobs on a Ray cluster.

    Args:
        address: Of the cluster, ``auto`` for the one that this node belongs to; None: a local one is started.
        cpus_per_job: Processors that each job occupies; also its number of threads.
        gpus_per_job: Devices, or shares of one device, that each job occupies.
        jobs: At the same time; None: as many as the cluster has room for when the sweep starts.
        max_retries: How often a job is started again after its worker or node was lost.

    Raises:
        ValueError: A number is out of range.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        cpus_per_job: int = 1,
        gpus_per_job: float = 0.0,
        jobs: int | None = None,
        max_retries: int = 2,
    ) -> None:
        if cpus_per_job < 1:
            raise ValueError(f"cpus_per_job must be >= 1, was {cpus_per_job}")
        if gpus_per_job < 0:
            raise ValueError(f"gpus_per_job must be >= 0, was {gpus_per_job}")
        if jobs is not None and jobs < 1:
            raise ValueError(f"jobs must be >= 1 or null, was {jobs}")
        if max_retries < 0:
            raise ValueError(f"max_retries must be >= 0, was {max_retries}")
        self.address = address
        self.cpus_per_job = cpus_per_job
        self.gpus_per_job = gpus_per_job
        self.jobs = jobs
        self.max_retries = max_retries

    def open(self, run: Run, num_jobs: int) -> "RaySession":
        """Connect to the cluster, or start one; one that is connected already is used and left alone.

        Raises:
            ConfigError: Ray is missing, the cluster cannot be reached, or no node of it has room for a job.
        """
        ray = import_library("ray", extra="ray")
        is_ours = not ray.is_initialized()
        if is_ours:
            self._connect(ray)
        try:
            room = sum(self._room(node) for node in ray.nodes() if node["Alive"])
            if self.jobs is None and room == 0:
                raise ConfigError(
                    f"launcher.cpus_per_job: no node of the cluster has {self.cpus_per_job} CPUs and"
                    f" {self.gpus_per_job:g} GPUs; ask for less, or give launcher.jobs where nodes are added on demand"
                )
        except BaseException:
            if is_ours:
                ray.shutdown()
            raise
        return RaySession(self, ray, run, max(1, min(self.jobs or room, num_jobs)), is_ours=is_ours)

    def _connect(self, ray: Any) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
        if self.address in (None, LOCAL):
            options |= {"address": LOCAL, "num_cpus": max(num_cores(), self.cpus_per_job)}
            options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        else:
            options |= {"address": self.address}
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            ray.init(**options)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise ConfigError(f"launcher.address: {self.address or LOCAL}: {one_line(error)}") from error

    def _room(self, node: Mapping[str, Any]) -> int:
        """Return how many jobs fit on a node."""
        has: Mapping[str, float] = node["Resources"]
        room = int(has.get("CPU", 0) // self.cpus_per_job)
        return min(room, int(has.get("GPU", 0) / self.gpus_per_job)) if self.gpus_per_job else room


def on_node(run: bytes, job: Job, environment: Mapping[str, str], search: list[str], num_threads: int) -> Ended:
    """Start the job in a process of its own and wait for its end; runs in a worker of the cluster.

    Args:
        run: Does the job, pickled by name.
        job: The job.
        environment: Of the process that started the sweep; what says where this worker runs stays.
        search: Folders that modules are looked for in.
        num_threads: Of numerical libraries.
    """
    sys.path.extend(folder for folder in search if folder not in sys.path)
    own = {name: value for name, value in os.environ.items() if name.startswith(OF_NODE)}
    sent = {name: value for name, value in environment.items() if not name.startswith(OF_NODE)}
    function: Run = pickle.loads(run)
    child = Child(function, job, method="spawn", environment={**sent, **own}, num_threads=num_threads)
    try:
        while (ended := child.poll()) is None:
            time.sleep(PAUSE_S)
    finally:
        child.kill()
    return ended


class RaySession(ClusterSession["RayHandle"]):
    """The jobs of one worker on a cluster.

    Args:
        launcher: Says how.
        ray: The library.
        run: Does one job.
        capacity: Jobs at the same time.
        is_ours: The connection was made for this session and ends with it.
    """

    def __init__(self, launcher: Ray, ray: Any, run: Run, capacity: int, *, is_ours: bool) -> None:
        super().__init__(capacity)
        self.launcher, self.ray, self.is_ours = launcher, ray, is_ours
        self._run = pickle.dumps(run)
        # max_calls=1: a process of its own for each job; lost ones are started again here, where they can be resumed.
        self._remote = ray.remote(
            num_cpus=launcher.cpus_per_job, num_gpus=launcher.gpus_per_job, max_calls=1, max_retries=0
        )(on_node)

    def hand_over(self, job: Job) -> "RayHandle":
        """Submit a job and return what follows it."""
        return RayHandle(self, job)

    def submit(self, job: Job) -> Any:
        """Return the reference of a job that has been handed to the cluster."""
        return self._remote.remote(self._run, job, dict(os.environ), list(sys.path), self.launcher.cpus_per_job)

    def close(self) -> None:
        """Cancel what still runs; end the cluster, or leave it."""
        super().close()
        if self.is_ours:
            self.ray.shutdown()


class RayHandle(ClusterHandle):
    """A submitted job."""

    def __init__(self, session: RaySession, job: Job) -> None:
        super().__init__(job)
        self.session = session
        self._reference = session.submit(job)

    def poll(self) -> Ended | None:
        """Return how it ended; None while it runs, waits for room, or has been submitted again."""
        ray = self.session.ray
        if self.ended is None and ray.wait([self._reference], timeout=0)[0]:
            try:
                self.ended = ray.get(self._reference)
            except ray.exceptions.TaskCancelledError:
                self.ended = Ended("interrupted")
            except (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError) as error:
                self.ended = self.before.died(f"the job could not be started: {one_line(error)}")
            except ray.exceptions.RayError as error:
                self.ended = self._lost(error)
        return self.ended

    def _lost(self, error: Exception) -> Ended | None:
        """Submit again what its worker or node took with it, unless that has happened too often."""
        self.num_lost += 1
        if self.num_lost > self.session.launcher.max_retries:
            return self.before.died(f"its Ray worker was lost {self.num_lost} times: {type(error).__name__}")
        self._reference = self.session.submit(replace(self.job, resume=True))
        return None

    def cancel(self) -> None:
        """Interrupt its worker, which then ends the job's process."""
        if self.ended is None:
            self.session.ray.cancel(self._reference)

    def wait(self) -> None:
        """Return when it is gone."""
        self.session.ray.wait([self._reference])
