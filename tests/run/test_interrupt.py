"""Ctrl-C during a training ends it with exit code 130, says how to go on, and the run can be resumed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import TINY

from tradewright.cli import main


def heed_interrupts() -> None:
    """A shell starts what runs in the background deaf to Ctrl-C, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_interrupted_training_exits_130_and_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [sys.executable, "-m", "tradewright", *TINY, "algorithm.total_frames=200000", "report=none"]
    process = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    while not list(tmp_path.glob("outputs/default/*/checkpoints/last.ckpt")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1]
    assert process.returncode == 130, errors
    run = next(iter(tmp_path.glob("outputs/default/*/status.json"))).parent
    assert f"tradewright resume={run}" in errors
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["error"]) == ("failed", "interrupted")
    monkeypatch.chdir(tmp_path)
    assert main((f"resume={run}", "trainer.max_epochs=3")) == 0
    assert json.loads((run / "status.json").read_text())["state"] == "done"
