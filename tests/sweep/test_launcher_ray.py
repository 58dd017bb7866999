"""``launcher=ray`` on real local clusters. ``pytest -m cluster``."""

import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from launched import act, is_alive, job_of, pid_in, wait_for

from tradewright.errors import ConfigError
from tradewright.sweep.job import Ended, Session
from tradewright.sweep.ray import Ray

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs pip install 'tradewright[ray]'")
cluster = [pytest.mark.cluster, needs_ray, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def status(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "status.json").read_text())
    return content


def run_all(session: Session, folder: Path, seconds: float, meanwhile: Callable[[int], None]) -> list[Ended]:
    """Run eight jobs as the worker of a sweep does.

    Args:
        session: Where.
        folder: Of the jobs' directories and notes.
        seconds: That each takes.
        meanwhile: Called with the number of jobs that have ended.
    """
    running: dict[int, Any] = {}
    ended: dict[int, Ended] = {}
    waiting = list(range(8))
    until = time.monotonic() + 180
    while len(ended) < 8:
        assert time.monotonic() < until, f"{len(ended)} of 8 jobs ended"
        while waiting and len(running) < session.capacity:
            number = waiting.pop(0)
            job = job_of(folder / str(number), "noted", str(folder), str(seconds), number=number)
            running[number] = session.start(job)
        for number, handle in list(running.items()):
            if (now := handle.poll()) is not None:
                ended[number] = now
                del running[number]
        meanwhile(len(ended))
        time.sleep(0.02)
    return [ended[number] for number in range(8)]


@pytest.fixture(scope="module")
def local() -> Any:
    """A local cluster of two CPUs, shared by the tests of this file."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("done",), Ended("done", warnings=("be warned",))),
        (("raises",), Ended("failed", "RuntimeError: no such luck")),
        (("exits", "3"), Ended("failed", "the job ended itself with exit code 3")),
        (("killed",), Ended("failed", "killed by signal 9 (SIGKILL), as the kernel does when memory runs out")),
    ],
    ids=["done", "raises", "exits", "killed"],
)
class TestOneJob:
    pytestmark = cluster

    def test_job_ends_as_in_a_process_of_this_machine(
        self, local: Any, tmp_path: Path, words: tuple[str, ...], expected: Ended
    ) -> None:
        with Ray(max_retries=0).open(act, 8) as session:
            assert session.capacity == 2
            assert wait_for(session.start(job_of(tmp_path, *words))) == expected
        if expected.state == "failed":
            assert status(tmp_path)["error"] == expected.error
            assert (tmp_path / "log.txt").read_text().endswith(f"{expected.error}\n")


class TestLocalCluster:
    pytestmark = cluster

    def test_environment_folder_and_threads_arrive(
        self, local: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TRADEWRIGHT_TEST", "secret")
        monkeypatch.chdir(tmp_path)
        with Ray(cpus_per_job=2).open(act, 8) as session:
            assert session.capacity == 1
            wait_for(session.start(job_of(tmp_path, "facts", "TRADEWRIGHT_TEST", "OMP_NUM_THREADS")))
        facts = json.loads((tmp_path / "facts.json").read_text())
        assert facts["environment"] == {"TRADEWRIGHT_TEST": "secret", "OMP_NUM_THREADS": "2"}
        assert (facts["cwd"], facts["torch"]) == (str(tmp_path), 2)

    def test_killed_job_ends_with_its_processes(self, local: Any, tmp_path: Path) -> None:
        with Ray().open(act, 8) as session:
            handle = session.start(job_of(tmp_path, "has_grandchild", "waits"))
            pids = [pid_in(tmp_path / which) for which in ("child", "grandchild")]
            handle.kill()
            assert handle.poll() == Ended("interrupted")
            assert not any(is_alive(pid) for pid in pids)
            assert status(tmp_path)["error"] == "interrupted"

    def test_eight_jobs_are_done_though_a_worker_is_killed(self, local: Any, tmp_path: Path) -> None:
        victims: list[int] = []

        def kill_one(num_ended: int) -> None:
            if not victims and (tmp_path / "1" / "worker").is_file():
                victims.append(pid_in(tmp_path / "1" / "worker"))
                os.kill(victims[0], signal.SIGKILL)

        with Ray().open(act, 8) as session:
            assert run_all(session, tmp_path, 1.0, kill_one) == [Ended("done")] * 8
        assert len(victims) == 1
        lines = [(tmp_path / f"{number}.attempts").read_text().split() for number in range(8)]
        assert lines == [["False", "True"] if number == 1 else ["False"] for number in range(8)]

    def test_job_whose_workers_are_lost_too_often_has_failed(self, local: Any, tmp_path: Path) -> None:
        with Ray(max_retries=0).open(act, 8) as session:
            handle = session.start(job_of(tmp_path / "0", "noted", str(tmp_path), "60"))
            os.kill(pid_in(tmp_path / "0" / "worker"), signal.SIGKILL)
            assert wait_for(handle).error.startswith("its Ray worker was lost 1 times: ")
        assert status(tmp_path / "0")["state"] == "failed"

    def test_job_that_fits_on_no_node_is_refused(self, local: Any) -> None:
        with pytest.raises(ConfigError, match=r"launcher\.cpus_per_job: no node of the cluster has 99 CPUs"):
            Ray(cpus_per_job=99).open(act, 8)


@pytest.mark.cluster
@needs_ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.row("R39")
def test_eight_jobs_are_done_though_a_node_is_lost(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    workers = [nodes.add_node(num_cpus=1) for _ in range(2)]
    nodes.wait_for_nodes()
    removed: list[int] = []

    def remove_one(num_ended: int) -> None:
        if num_ended >= 2 and not removed:
            removed.append(num_ended)
            nodes.remove_node(workers[0], allow_graceful=False)

    try:
        with Ray(address=nodes.address).open(act, 8) as session:
            assert session.capacity == 2
            assert run_all(session, tmp_path, 1.0, remove_one) == [Ended("done")] * 8
        assert removed
        assert sorted(path.name for path in tmp_path.glob("*.attempts")) == [
            f"{number}.attempts" for number in range(8)
        ]
    finally:
        nodes.shutdown()


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"pip install 'tradewright\[ray\]'"):
        Ray().open(act, 1)


@pytest.mark.parametrize(
    ("key", "value"), [("cpus_per_job", 0), ("gpus_per_job", -0.5), ("jobs", 0), ("max_retries", -1)]
)
def test_number_out_of_range_is_refused_by_its_key(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{key} must be .*, was {value}$"):
        Ray(**{key: value})


@pytest.mark.row("R39")
@pytest.mark.cluster
@needs_ray
def test_cluster_file_for_machines_reached_by_ssh_is_one_that_ray_accepts() -> None:
    """Ray's own preparation and schema; nothing is reached, and the file holds the path of a key, not a key."""
    import yaml
    from ray.autoscaler._private.util import prepare_config, validate_config

    path = Path(__file__).parents[2] / "src" / "tradewright" / "sweep" / "ray_cluster.yaml"
    prepared = prepare_config(yaml.safe_load(path.read_text()))
    validate_config(prepared)
    assert set(prepared["provider"]["worker_ips"]) == {"192.0.2.2", "192.0.2.3"}
    assert prepared["max_workers"] == len(prepared["provider"]["worker_ips"])
    assert "PRIVATE KEY" not in path.read_text()
