"""Runs of the real command line inside the test process, each in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tradewright.cli import main

TINY = (
    "data=synthetic",
    "data.num_bars=500",
    "algorithm.total_frames=2048",
    "algorithm.num_envs=16",
    "algorithm.rollout_steps=16",
    "algorithm.iterations_per_epoch=1",
    "algorithm.num_minibatches=4",
    "env.window=5",
)
"""A training of a few seconds: eight epochs of 256 frames."""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Run ``tradewright <words>`` in a fresh folder, require success, and return the newest run directory."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Path:
        assert main(words) == 0
        runs = sorted(tmp_path.glob("outputs/**/status.json"), key=lambda path: path.stat().st_mtime_ns)
        return runs[-1].parent if runs else tmp_path

    return run
