"""Sweeps that cannot start: one line that says why, exit code 2, and nothing left behind."""

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
