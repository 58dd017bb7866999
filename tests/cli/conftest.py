"""The command line inside the test process: captured output, and the handlers of its logs closed afterwards."""

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig

from tradewright.cli import main
from tradewright.output import METRICS, Status, write_json


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code and both outputs."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable]:
    """Run ``tradewright <words>`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRADEWRIGHT_TRACEBACK", raising=False)
    root, ours = logging.getLogger(), logging.getLogger("tradewright")
    before = (list(root.handlers), root.level, list(ours.handlers), ours.level, ours.propagate)

    def run(*words: str) -> Answer:
        code = main((*words, "launcher=inline") if "-m" in words else words)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    yield run
    for logger in (root, ours, logging.getLogger("tradewright.log_file")):
        for handler in list(logger.handlers):
            if isinstance(handler, logging.FileHandler):
                handler.close()
    root.handlers, root.level, ours.handlers, ours.level, ours.propagate = before
    logging.getLogger("tradewright.log_file").handlers = []
    HydraConfig.instance().cfg = None


@pytest.fixture
def spine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace ``tradewright.run`` by one that records its calls; ``spine['do']`` may be set to act in its place.

    Such runs leave one figure, ``spine['figure'](cfg)``, and nothing to compare: a sweep over them ends without its
    comparison.
    """
    calls: dict[str, Any] = {"calls": [], "do": lambda cfg, directory: None, "figure": lambda cfg: 1.0}

    def run(cfg: Any, *, directory: Path, resume: bool = False, **_: Any) -> dict[str, float]:
        calls["calls"].append((cfg, directory, resume))
        with Status(directory):
            calls["do"](cfg, directory)
            write_json(directory / METRICS, {"validation/sharpe": calls["figure"](cfg)})
        return {"validation/sharpe": 1.0}

    module = ModuleType("tradewright.run")
    module.run = run  # type: ignore[attr-defined] # a stand-in for the module
    monkeypatch.setitem(sys.modules, "tradewright.run", module)
    monkeypatch.setattr("tradewright.sweeping._compare", lambda directory: None)
    return calls
