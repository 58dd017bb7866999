"""``launcher=process``: whatever a job does, it is one ended job, and nothing of it stays."""

import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path

import pytest
from launched import act, is_alive, job_of, pid_in, wait_for, wait_until

from tradewright.errors import ConfigError
from tradewright.sweep import child
from tradewright.sweep.job import Ended, Session
from tradewright.sweep.machine import num_cores
from tradewright.sweep.process import Process

HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """A fork server for this file that imports nothing; the one with the imports is proved in its own file."""
    with pytest.MonkeyPatch.context() as patch:
        own = forkserver.ForkServer()
        patch.setattr(child, "PRELOAD", "json")
        patch.setattr(forkserver, "_forkserver", own)
        for name in ("ensure_running", "connect_to_new_process", "get_inherited_fds", "set_forkserver_preload"):
            patch.setattr(forkserver, name, getattr(own, name))
        yield
        own._stop()


@pytest.fixture
def session() -> Iterator[Session]:
    """Three jobs at a time."""
    with Process(jobs=3, memory_gb_per_job=None, threads_per_job=1).open(act, 3) as opened:
        yield opened


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the launcher says, also where an earlier test has told its logger to keep to itself."""
    logger = logging.getLogger("tradewright.sweep")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def status(directory: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((directory / "status.json").read_text())
    return content


def test_job_that_ends_well_is_done_and_its_output_is_appended(session: Session, tmp_path: Path) -> None:
    (tmp_path / "output.txt").write_text("an earlier attempt\n")
    ended = wait_for(session.start(job_of(tmp_path, "done")))
    assert ended == Ended("done", warnings=("be warned",))
    lines = (tmp_path / "output.txt").read_text().splitlines()
    assert lines[0] == "an earlier attempt"
    assert sorted(lines[1:]) == ["a line of its own process", "a line of the job"]
    assert not (tmp_path / "status.json").exists()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("raises",), "RuntimeError: no such luck"),
        (("exits", "3"), "the job ended itself with exit code 3"),
        (("exits", "0"), "the job ended itself with exit code 0"),
        (("leaves", "3"), "the job ended itself with exit code 3"),
        (("leaves", "255"), "the job ended itself with exit code 255"),
        (("killed",), "killed by signal 9 (SIGKILL), as the kernel does when memory runs out"),
        (("killed", "11"), "killed by signal 11 (SIGSEGV)"),
        (("killed", "15"), "killed by signal 15 (SIGTERM)"),
    ],
    ids=" ".join,
)
def test_job_that_dies_is_failed_in_its_own_files(
    session: Session, tmp_path: Path, words: tuple[str, ...], error: str
) -> None:
    assert wait_for(session.start(job_of(tmp_path, *words))) == Ended("failed", error)
    assert (status(tmp_path)["state"], status(tmp_path)["error"]) == ("failed", error)
    assert (tmp_path / "log.txt").read_text().endswith(f"{error}\n")
    assert wait_for(session.start(job_of(tmp_path / "next", "done"))).state == "done"


def test_traceback_of_a_job_is_in_its_output(session: Session, tmp_path: Path) -> None:
    wait_for(session.start(job_of(tmp_path, "raises")))
    assert "Traceback (most recent call last)" in (tmp_path / "output.txt").read_text()


def test_job_without_a_place_to_write_has_failed(session: Session, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = wait_for(session.start(job_of(tmp_path / "file" / "0", "done")))
    assert ended.state == "failed"
    assert ended.error.startswith("NotADirectoryError: ")


def test_place_where_a_job_crashed_is_in_its_output(session: Session, tmp_path: Path) -> None:
    wait_for(session.start(job_of(tmp_path, "killed", "11")))
    assert "Fatal Python error: Segmentation fault" in (tmp_path / "output.txt").read_text()


@pytest.mark.parametrize(("state", "error"), [("failed", "RuntimeError: earlier"), ("running", None)])
def test_start_and_duration_of_earlier_attempts_are_kept(
    session: Session, tmp_path: Path, state: str, error: str | None
) -> None:
    earlier = {"state": state, "started_at": "2020-01-01T00:00:00+00:00", "duration_s": 40.0, "error": error}
    (tmp_path / "status.json").write_text(json.dumps(earlier))
    long_ago = time.time() - 1000
    os.utime(tmp_path / "status.json", (long_ago, long_ago))
    ended = wait_for(session.start(replace(job_of(tmp_path, "raises"), resume=True)))
    assert ended.error == "RuntimeError: no such luck"
    assert status(tmp_path)["started_at"] == earlier["started_at"]
    assert status(tmp_path)["duration_s"] == 40.0  # it never began to write: the time between is not its own
    assert (status(tmp_path)["state"], status(tmp_path)["error"]) == ("failed", ended.error)
    assert status(tmp_path)["ended_at"]


def test_time_that_a_killed_job_ran_is_counted(session: Session, tmp_path: Path) -> None:
    handle = session.start(job_of(tmp_path, "has_grandchild", "waits"))
    pid = pid_in(tmp_path / "child")
    time.sleep(0.5)
    os.kill(pid, signal.SIGKILL)
    assert wait_for(handle).state == "failed"
    seconds = status(tmp_path)["duration_s"]
    assert isinstance(seconds, float)
    assert 0.45 < seconds < 30


def test_job_that_is_killed_after_its_result_is_done(session: Session, tmp_path: Path) -> None:
    assert wait_for(session.start(job_of(tmp_path, "killed_after_result"))) == Ended("done")
    assert status(tmp_path)["state"] == "done"


@pytest.mark.parametrize("end", ["ends", "waits"])
def test_processes_of_a_job_end_with_it(session: Session, tmp_path: Path, end: str) -> None:
    handle = session.start(job_of(tmp_path, "has_grandchild", end))
    grandchild = pid_in(tmp_path / "grandchild")
    if end == "waits":
        pid_in(tmp_path / "child")
        assert is_alive(grandchild)
        handle.kill()
        assert handle.poll() == Ended("interrupted")
        assert status(tmp_path)["error"] == "interrupted"
    assert wait_for(handle).state == ("failed" if end == "ends" else "interrupted")
    wait_until(lambda: not is_alive(grandchild), 2)


@pytest.mark.slow
def test_job_that_ignores_the_request_to_end_is_ended_after_five_seconds(session: Session, tmp_path: Path) -> None:
    handle = session.start(job_of(tmp_path, "stubborn"))
    pid = pid_in(tmp_path / "child")
    begin = time.monotonic()
    handle.kill()
    assert 4.5 < time.monotonic() - begin < 9
    assert not is_alive(pid)
    assert handle.poll() == Ended("interrupted")
    assert status(tmp_path)["error"] == "interrupted"  # not the failure it wrote on its way out


def test_end_of_a_session_ends_its_jobs(tmp_path: Path) -> None:
    with Process(jobs=2, memory_gb_per_job=None).open(act, 2) as session:
        handles = [session.start(job_of(tmp_path / name, "has_grandchild", "waits")) for name in "ab"]
        pids = [pid_in(tmp_path / name / which) for name in "ab" for which in ("child", "grandchild")]
    assert not [pid for pid in pids if is_alive(pid)]
    assert [handle.poll() for handle in handles] == [Ended("interrupted")] * 2


@pytest.mark.row("B41")
@pytest.mark.parametrize("gpus_per_job", [1, 2])
def test_jobs_at_the_same_time_see_devices_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus_per_job: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "90,91,92,93,94")  # jobs look at the variable, not at devices
    with Process(gpus_per_job=gpus_per_job, memory_gb_per_job=None).open(act, 9) as session:
        assert session.capacity == 5 // gpus_per_job
        running, number = {}, 0
        while number < 9 or running:
            if number < 9 and len(running) < session.capacity:
                running[number] = session.start(job_of(tmp_path, "counted", str(tmp_path), "0.3", number=number))
                number += 1
            running = {one: handle for one, handle in running.items() if handle.poll() is None}
            time.sleep(0.01)
    lines = [json.loads((tmp_path / f"{one}.json").read_text()) for one in range(9)]
    used = {line["gpus"] for line in lines}
    assert used == ({"90", "91", "92", "93", "94"} if gpus_per_job == 1 else {"90,91", "92,93"})
    for one, other in itertools.combinations(lines, 2):
        if one["begin"] < other["end"] and other["begin"] < one["end"]:
            assert one["gpus"] != other["gpus"]


def test_devices_that_no_job_needs_and_those_of_a_session_that_ended_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "95,96")
    launcher = Process(gpus_per_job=1, memory_gb_per_job=None)
    with launcher.open(act, 1) as first:
        with launcher.open(act, 9) as second:
            assert (first.capacity, second.capacity) == (1, 1)
            with pytest.raises(ConfigError, match="1 needed, 0 free"):
                launcher.open(act, 1)
        with launcher.open(act, 9) as third:
            assert third.capacity == 1
    with launcher.open(act, 9) as fourth:
        assert fourth.capacity == 2


@pytest.mark.row("B41")
def test_oversubscription_is_chosen_never_by_default(told: pytest.LogCaptureFixture) -> None:
    cores = num_cores()
    assert Process(memory_gb_per_job=None).capacity(1000) == cores
    assert Process(memory_gb_per_job=None, threads_per_job=2).capacity(1000) == max(1, cores // 2)
    assert Process(memory_gb_per_job=None).capacity(1) == 1
    assert not told.records
    assert Process(jobs=cores, threads_per_job=4, memory_gb_per_job=None).capacity(1000) == cores
    assert f"{cores} jobs with 4 threads each on {cores} cores slow each other down" in told.text


def test_memory_limits_jobs_and_says_so(told: pytest.LogCaptureFixture) -> None:
    assert Process(jobs=50, memory_gb_per_job=1e9).capacity(50) == 1
    assert "launcher.memory_gb_per_job" in told.text
    assert "1 of 50 jobs at a time" in told.text


@pytest.mark.parametrize(
    ("key", "value"), [("jobs", 0), ("threads_per_job", 0), ("gpus_per_job", -1), ("memory_gb_per_job", 0.0)]
)
def test_number_out_of_range_is_refused_by_its_key(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{key} must be .*, was {value}$"):
        Process(**{key: value})  # type: ignore[arg-type]


SCRIPT = """
import signal, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from launched import act, job_of, note, wait_for
from tradewright.errors import ConfigError
from tradewright.sweep import child
from tradewright.sweep.process import Process
child.PRELOAD = "json"  # the fork server starts in no time
folder = Path(sys.argv[2])
session = Process(jobs=3, memory_gb_per_job=None, preload=sys.argv[3] == "preload").open(act, 3)
handles = [session.start(job_of(folder / name, "has_grandchild", "waits")) for name in "ab"]
if sys.argv[4:] == ["ignore", "Ctrl-C"]:
    signal.signal(signal.SIGINT, lambda number, frame: note(folder / "interrupted", number))
    note(folder / "ready", 1)
if sys.argv[4:] == ["go", "on"]:
    print([wait_for(handle).state for handle in handles], flush=True)
    print(wait_for(session.start(job_of(folder, "done"))).state, flush=True)
    sys.exit()
while True:
    time.sleep(1)
"""
"""Without a guard around what it does: the processes of jobs must not run it again."""


def sweep_script(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Start a sweep that is a process of its own, with two long jobs ``a`` and ``b``."""
    script = folder / "sweep.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, HERE, folder, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.parametrize("preload", ["preload", "spawn"])
def test_jobs_and_their_processes_end_within_two_seconds_of_a_killed_parent(tmp_path: Path, preload: str) -> None:
    with sweep_script(tmp_path, preload) as parent:
        try:
            pids = [pid_in(tmp_path / name / which) for name in "ab" for which in ("child", "grandchild")]
            assert all(is_alive(pid) for pid in pids)
        finally:
            parent.kill()
        wait_until(lambda: not any(is_alive(pid) for pid in pids), 2)


def test_sweep_goes_on_when_the_fork_server_is_killed(tmp_path: Path) -> None:
    with sweep_script(tmp_path, "preload", "go", "on") as parent:
        pids = [pid_in(tmp_path / name / which) for name in "ab" for which in ("child", "grandchild")]
        server = int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[1])
        assert server != parent.pid
        os.kill(server, signal.SIGKILL)
        told, _ = parent.communicate(timeout=60)
        assert told.splitlines() == ["['interrupted', 'interrupted']", "done"]
        assert not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize("preload", ["preload", "spawn"])
def test_ctrl_c_reaches_only_the_worker(tmp_path: Path, preload: str) -> None:
    with sweep_script(tmp_path, preload, "ignore", "Ctrl-C") as parent:
        try:
            pid_in(tmp_path / "ready")
            pids = [pid_in(tmp_path / name / which) for name in "ab" for which in ("child", "grandchild")]
            os.killpg(parent.pid, signal.SIGINT)  # what a terminal does: to everything in its foreground group
            assert pid_in(tmp_path / "interrupted") == signal.SIGINT
            time.sleep(0.3)
            assert all(is_alive(pid) for pid in pids)
        finally:
            parent.kill()
