"""Leases: dead processes, zombies, reused numbers, silence on the reader's own clock."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradewright.sweep import lease
from tradewright.sweep.lease import Stale, Worker, is_dead

HERE = Worker(uid="reader", host="here", pid=os.getpid(), start=None)
ELSEWHERE = {"worker": "w", "host": "elsewhere", "pid": 1, "start": 1, "beat": 0}


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def look(stale: Stale, clock: Clock, value: dict[str, object] | None, seconds: int) -> set[int]:
    """Look at one lease every second for some seconds; return the last verdict."""
    verdict = stale.among({5: value})
    for _ in range(seconds):
        clock.now += 1
        verdict = stale.among({5: value})
    return verdict


@pytest.fixture
def child() -> Iterator[subprocess.Popen]:
    """A process that sleeps; killed in the end."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def began(pid: int) -> int:
    """Return when a process began, read beside the code under test: the 22nd field."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return int(text[text.rindex(")") + 2 :].split()[22 - 3])


def test_worker_names_this_process_and_no_two_are_alike() -> None:
    one, two = Worker.current(), Worker.current()
    assert one.pid == os.getpid()
    assert one.start == began(os.getpid())
    assert one.uid != two.uid
    assert one.host == two.host
    assert Path("/proc/sys/kernel/random/boot_id").read_text().strip() in one.host
    assert one.lease(3) == {"worker": one.uid, "host": one.host, "pid": one.pid, "start": one.start, "beat": 3}


def test_running_process_is_not_dead() -> None:
    assert not is_dead(os.getpid(), began(os.getpid()))
    assert not is_dead(os.getpid(), None)


def test_killed_process_is_dead_even_while_it_is_a_zombie(child: subprocess.Popen) -> None:
    pid = child.pid
    start = began(pid)
    assert not is_dead(pid, start)
    os.kill(pid, signal.SIGKILL)
    for _ in range(500):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.01)
    os.kill(pid, 0)  # its number is still taken
    assert is_dead(pid, start)
    child.wait()
    assert is_dead(pid, start)


def test_reused_process_number_is_told_apart_by_its_start() -> None:
    assert is_dead(os.getpid(), began(os.getpid()) - 1)


def test_without_proc_a_signal_tells_and_doubt_means_alive(
    child: subprocess.Popen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "PROC", tmp_path)
    assert Worker.current().start is None
    assert not is_dead(child.pid, 12345)
    child.kill()
    child.wait()
    assert is_dead(child.pid, 12345)


def test_dead_process_of_this_host_is_stale_at_once() -> None:
    reader = Worker.current()
    gone = {**reader.lease(0), "start": began(os.getpid()) - 1}
    assert Stale(reader, 60.0).among({1: gone, 2: reader.lease(0)}) == {1}


def test_process_number_of_another_host_says_nothing() -> None:
    reader = Worker.current()
    gone = {**reader.lease(0), "start": began(os.getpid()) - 1, "host": "elsewhere"}
    assert Stale(reader, 60.0).among({1: gone}) == set()


@pytest.mark.parametrize("value", [ELSEWHERE, None], ids=["lease", "no lease"])
def test_silence_becomes_stale_after_the_grace_period_of_the_reader(value: dict[str, object] | None) -> None:
    clock = Clock()
    stale = Stale(HERE, 20.0, clock)
    assert look(stale, clock, value, 19) == set()
    assert look(stale, clock, value, 1) == {5}


def test_every_beat_starts_the_grace_period_anew() -> None:
    clock = Clock()
    stale = Stale(HERE, 20.0, clock)
    for beat in range(5):
        assert look(stale, clock, {**ELSEWHERE, "beat": beat}, 15) == set()


def test_lease_that_vanished_is_forgotten() -> None:
    clock = Clock()
    stale = Stale(HERE, 20.0, clock)
    look(stale, clock, ELSEWHERE, 19)
    stale.among({})
    assert look(stale, clock, ELSEWHERE, 19) == set()


def test_reader_that_was_suspended_looks_again_before_it_judges() -> None:
    clock = Clock()
    stale = Stale(HERE, 20.0, clock)
    look(stale, clock, ELSEWHERE, 2)
    clock.now += 3600
    assert stale.among({5: ELSEWHERE}) == set()
    assert look(stale, clock, {**ELSEWHERE, "beat": 1}, 15) == set()


@pytest.mark.parametrize("grace_s", [0.0, -1.0, float("nan")])
def test_grace_period_must_be_positive(grace_s: float) -> None:
    with pytest.raises(ValueError, match="grace_s must be > 0, was"):
        Stale(HERE, grace_s)
