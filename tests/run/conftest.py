"""Runs of the real command line inside the test process, each in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tradewright.cli import main


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Run ``tradewright <words>`` in a fresh folder, require success, and return the newest run directory."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Path:
        assert main(words) == 0
        runs = sorted(tmp_path.glob("outputs/**/status.json"), key=lambda path: path.stat().st_mtime_ns)
        return runs[-1].parent if runs else tmp_path

    return run
