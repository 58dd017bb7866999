"""Sweeps that cannot start: one line that says why, exit code 2, and nothing left behind."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    "word",
    [
        "range(5,10,0)",
        "range(10,5)",
        "range(1,inf)",
        "range(1,10,nan)",
        "range(0.0,1.0,1e-9)",
        "interval(5,1)",
        "int(interval(1.2,1.4))",
        "choice()",
        "choice(a,",
        "tag(log,interval(0,1))",
        "shuffle(1,2)",
        "shuffle()",
        "sort()",
        "sort(3,a)",
        "int(choice(a,b))",
        "glob(zz*)",
        "foo(1,2)",
    ],
)
def test_fault_of_the_space_starts_with_its_key_and_leaves_nothing(
    word: str, cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    answer = cli("-m", "backtest", "strategy=sma_cross", f"strategy.fast={word}")
    assert answer.code == 2
    assert answer.err.startswith(f"error: strategy.fast: {'' if word.startswith('range(0.0') else word}")
    assert answer.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("storage", "name"), [("null", "study.db"), ("journal://log", "log")])
def test_damaged_queue_is_told_at_once_with_what_to_do(
    storage: str, name: str, cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    words = ("-m", "algorithm.lr=1e-3,1e-4", "sweep.name=x", f"sweep.storage={storage}")
    assert cli(*words).code == 0
    (path,) = tmp_path.rglob(name)
    for left in path.parent.glob(f"{name}-*"):
        left.unlink()
    path.write_bytes(b"this was a queue once\n" * 100)
    started = time.monotonic()
    answer = cli(*words)
    assert time.monotonic() - started < 5  # composing takes some of it; twelve tries took sixteen
    assert answer.code == 2
    assert f"error: sweep.storage: {path} is no " in answer.err
    path.unlink()
    assert cli(*words).code == 0
    assert len(spine["calls"]) == 2  # adopted


@pytest.mark.parametrize("flags", [(), ("-m", "strategy.fast=5,6")], ids=["one run", "sweep"])
def test_output_folder_that_cannot_exist_is_one_line_with_its_key(
    flags: tuple[str, ...], cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    places = ["file/x", *(["/proc/x"] if Path("/proc/self").exists() else [])]
    for place in places:
        answer = cli(*flags, "task=backtest", "strategy=sma_cross", f"output_dir={place}")
        assert answer.code == 2
        assert f"error: output_dir: {(tmp_path / place) if flags else place}/default/" in answer.err
        assert "cannot be created (" in answer.err
        assert "choose a folder that you may write\n" in answer.err
        assert "Traceback" not in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert not spine["calls"]


def test_read_only_output_folder_is_one_line_with_its_key(
    cli: Callable, spine: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated, as the superuser may write everywhere."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "outputs" not in str(path) and access(path, mode))
    for flags in ((), ("-m", "strategy.fast=5,6")):
        answer = cli(*flags, "task=backtest", "strategy=sma_cross")
        assert answer.code == 2
        assert "error: output_dir: " in answer.err
        assert "cannot be written (it is read-only); choose" in answer.err


@pytest.mark.parametrize("words", [("hydra.run.dir=file/x",), ("-m", "strategy.fast=5,6", "hydra.sweep.dir=file/x")])
def test_folder_chosen_by_a_key_of_hydra_is_named_by_it(
    words: tuple[str, ...], cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    answer = cli(*words, "task=backtest", "strategy=sma_cross")
    assert answer.code == 2
    assert f"error: {words[-1].partition('=')[0]}: " in answer.err
