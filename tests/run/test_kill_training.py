"""kill -9 at any moment of a training, then ``resume=``: the metrics are those of an uninterrupted run, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import TINY

from tradewright.cli import main

SLOWER = (*TINY, "algorithm.num_passes=8", "report=none")


def epochs(num: int) -> str:
    """Return the override for a training of so many epochs: more than kills, so that one can fall into any of them."""
    return f"algorithm.total_frames={256 * num}"


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tradewright", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def run_of(folder: Path) -> Path | None:
    found = list(folder.glob("outputs/default/*/config.yaml"))
    return found[0].parent if found else None


def kill_during_training(
    folder: Path, process: subprocess.Popen[bytes], rng: random.Random, seen_before: float
) -> bool:
    """Kill a random moment after a checkpoint newer than ``seen_before``; False if the run ended first."""
    while process.poll() is None:
        run = run_of(folder)
        last = run / "checkpoints" / "last.ckpt" if run else None
        if last is not None and last.exists() and last.stat().st_mtime > seen_before:
            time.sleep(rng.uniform(0.0, 0.4))
            break
        time.sleep(0.02)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    process.wait()
    return True


def check_kills(folder: Path, num_kills: int, num_epochs: int, seed: int, *more: str) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    whole, parts = folder / "whole", folder / "parts"
    for place in (whole, parts):
        place.mkdir()
    words = (*SLOWER, epochs(num_epochs), *more)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(whole)
        assert main(words) == 0
    process, kills, since = start(parts, *words), 0, 0.0
    while kills < num_kills and kill_during_training(parts, process, rng, since):
        kills += 1
        since = time.time()
        run = run_of(parts)
        assert run is not None
        assert json.loads((run / "status.json").read_text())["state"] == "running"
        process = start(parts, f"resume={run}")
    assert process.wait() == 0
    assert kills >= min(num_kills, 2)
    runs = [run_of(place) for place in (whole, parts)]
    metrics = [json.loads((run / "metrics.json").read_text()) for run in runs if run]
    assert metrics[0] == metrics[1]
    assert len(list(parts.glob("outputs/default/*/config.yaml"))) == 1
    assert json.loads((runs[1] / "status.json").read_text())["state"] == "done"
    names = [sorted(path.name for path in (run / "checkpoints").glob("*.ckpt")) for run in runs if run]
    assert names[0] == names[1]


@pytest.mark.row("B46")
def test_training_killed_twice_ends_in_the_same_metrics(tmp_path: Path) -> None:
    check_kills(tmp_path, 2, 12, 20260101, "~callbacks.leaks")


@pytest.mark.slow
@pytest.mark.row("B46")
def test_training_killed_twenty_times_ends_in_the_same_metrics(tmp_path: Path) -> None:
    for round_ in range(5):
        folder = tmp_path / str(round_)
        folder.mkdir()
        check_kills(folder, 4, 24, round_)
