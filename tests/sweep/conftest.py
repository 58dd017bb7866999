"""What tests of the queue begin with."""

from pathlib import Path

import pytest

from tradewright.sweep import queue


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where a queue of this machine lies."""
    return f"journal://{tmp_path}/queue"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else fills these queues: do not watch for long whether somebody does."""
    monkeypatch.setattr(queue, "FILL_PAUSE_S", 0.001)
