"""``launcher=slurm`` on submitit's executor for one machine and, where it runs, on SLURM. ``pytest -m cluster``."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from launched import act, impatient, is_alive, job_of, pid_in, wait_for, wait_until

from tradewright.errors import ConfigError
from tradewright.sweep import slurm, slurm_node
from tradewright.sweep.job import Ended
from tradewright.sweep.slurm import Slurm
from tradewright.sweep.slurm_node import Pulse

has_submitit = importlib.util.find_spec("submitit") is not None
needs_submitit = pytest.mark.skipif(not has_submitit, reason="needs pip install 'tradewright[slurm]'")


def has_slurm() -> bool:
    """Whether a SLURM answers."""
    if shutil.which("sinfo") is None:
        return False
    return subprocess.run(["sinfo", "--noheader"], capture_output=True, check=False).returncode == 0


@pytest.fixture(params=["local", "slurm"])
def launcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Slurm]:
    """Make a launcher that notices losses soon."""
    if request.param == "slurm" and not has_slurm():
        pytest.skip("no SLURM answers here")
    monkeypatch.setattr(slurm_node, "BEAT_S", 1.0)
    monkeypatch.setattr(slurm_node, "SILENT_S", 12.0)  # nodes still beat every 10 seconds
    monkeypatch.setattr(slurm, "QUEUE_S", 1.0)

    def make(**changes: Any) -> Slurm:
        return Slurm(**{"timeout_min": 5, "cluster": request.param, "memory_gb_per_job": None, **changes})

    return make


def status(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "status.json").read_text())
    return content


@pytest.mark.cluster
@needs_submitit
class TestSubmitted:
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
    def test_job_ends_as_in_a_process_of_this_machine(
        self, launcher: Callable[..., Slurm], tmp_path: Path, words: tuple[str, ...], expected: Ended
    ) -> None:
        with launcher().open(act, 100) as session:
            assert session.capacity == 8
            assert wait_for(session.start(job_of(tmp_path, *words))) == expected
        if expected.state == "failed":
            assert status(tmp_path)["error"] == expected.error

    def test_environment_and_threads_arrive_and_no_file_holds_a_secret(
        self, launcher: Callable[..., Slurm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TRADEWRIGHT_STORAGE", "postgresql://me:hush-hush@host/sweeps")
        with launcher(cpus_per_job=2).open(act, 1) as session:
            wait_for(session.start(job_of(tmp_path, "facts", "OMP_NUM_THREADS")))
            facts = json.loads((tmp_path / "facts.json").read_text())
            assert (facts["environment"], facts["torch"]) == ({"OMP_NUM_THREADS": "2"}, 2)
            wait_for(session.start(job_of(tmp_path, "has_storage")))
        assert (tmp_path / "has_storage").read_text() == "True\n"
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(files) > 4
        assert not [path for path in files if b"hush-hush" in path.read_bytes()]

    def test_killed_job_ends_with_its_processes(self, launcher: Callable[..., Slurm], tmp_path: Path) -> None:
        with launcher().open(act, 1) as session:
            handle = session.start(job_of(tmp_path, "has_grandchild", "waits"))
            pids = [pid_in(tmp_path / which) for which in ("child", "grandchild")]
            handle.kill()
            assert handle.poll() == Ended("interrupted")
        wait_until(lambda: not any(is_alive(pid) for pid in pids))
        assert status(tmp_path)["error"] == "interrupted"

    def test_lost_job_is_submitted_again_and_continued(self, launcher: Callable[..., Slurm], tmp_path: Path) -> None:
        with launcher().open(act, 1) as session:
            handle = session.start(job_of(tmp_path / "0", "noted", str(tmp_path), "3"))
            os.kill(pid_in(tmp_path / "0" / "worker"), signal.SIGKILL)
            assert wait_for(handle) == Ended("done")
        assert (tmp_path / "0.attempts").read_text().split() == ["False", "True"]

    def test_job_that_is_lost_too_often_has_failed(self, launcher: Callable[..., Slurm], tmp_path: Path) -> None:
        with launcher(max_retries=0).open(act, 1) as session:
            handle = session.start(job_of(tmp_path / "0", "noted", str(tmp_path), "60"))
            os.kill(pid_in(tmp_path / "0" / "worker"), signal.SIGKILL)
            assert wait_for(handle).error.startswith("its SLURM job was lost 1 times, see ")
        assert status(tmp_path / "0")["state"] == "failed"

    def test_job_past_its_time_has_failed(self, launcher: Callable[..., Slurm], tmp_path: Path) -> None:
        with launcher(timeout_min=1).open(act, 1) as session:
            handle = session.start(job_of(tmp_path / "0", "noted", str(tmp_path), "300"))
            os.kill(pid_in(tmp_path / "0" / "worker"), signal.SIGUSR2)  # as SLURM warns before it kills
            assert wait_for(handle) == Ended("failed", "took longer than launcher.timeout_min = 1")
        assert status(tmp_path / "0")["error"] == "took longer than launcher.timeout_min = 1"

    def test_job_whose_sweep_fell_silent_ends_itself(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
        import submitit

        letters = slurm_node.Letters(str(tmp_path / "letters"), "key")
        letters.node.parent.mkdir()
        executor = submitit.AutoExecutor(folder=tmp_path / "submitit", cluster="local")
        executor.update_parameters(timeout_min=5)
        job = job_of(tmp_path, "has_grandchild", "waits")
        submitted = executor.submit(impatient, job, letters)
        pids = [pid_in(tmp_path / which) for which in ("child", "grandchild")]
        wait_until(submitted.done)
        assert json.loads(letters.end.read_text())["state"] == "interrupted"
        assert not any(is_alive(pid) for pid in pids)

    def test_submitted_job_does_not_outlive_its_session(self, launcher: Callable[..., Slurm], tmp_path: Path) -> None:
        with launcher().open(act, 1) as session:
            session.start(job_of(tmp_path, "noted", str(tmp_path), "60"))
        time.sleep(1)
        assert not (tmp_path / "status.json").is_file() or status(tmp_path)["error"] == "interrupted"

    def test_parameter_that_sbatch_lacks_is_refused(self, launcher: Callable[..., Slurm]) -> None:
        with pytest.raises(ConfigError, match="qoss"):
            launcher(parameters={"qoss": "long"}).open(act, 1)

    @pytest.mark.skipif(os.path.exists("/usr/bin/srun"), reason="SLURM is installed")
    def test_machine_without_slurm_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"launcher=slurm: .*srun"):
            Slurm(timeout_min=5).open(act, 1)


def test_pulse_counts_from_the_last_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_node, "BEAT_S", 0.2)
    writer, reader = Pulse(tmp_path / "pulse"), Pulse(tmp_path / "pulse")
    assert not reader.is_known
    for _ in range(3):
        writer.beat()
        assert reader.silence_s() < 0.1
        assert reader.is_known
        writer.beat()  # too early to change anything
        time.sleep(0.25)
        assert 0.2 < reader.silence_s() < 5


@pytest.mark.parametrize(
    ("key", "value"),
    [("timeout_min", 0), ("cpus_per_job", 0), ("gpus_per_job", -1), ("jobs", 0), ("max_retries", -1)],
)
def test_number_out_of_range_is_refused_by_its_key(key: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^{key} must be >= .*, was {value}$"):
        Slurm(**{"timeout_min": 5, key: value})  # type: ignore[arg-type]


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"pip install 'tradewright\[slurm\]'"):
        Slurm(timeout_min=5).open(act, 1)
