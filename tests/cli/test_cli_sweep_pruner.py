"""A sweep says once, before it starts, where its pruner does less than one would think."""

from collections.abc import Callable
from typing import Any

import pytest

RULE = ("task=backtest", "strategy=sma_cross", "strategy.fast=5,6")
TRAINED = ("algorithm.lr=1e-3,1e-4",)
NOTHING_REPORTS = "has no effect: nothing is trained, so that no job reports a figure before its end"
FOLDS = "has no effect: the fits of a cross-validated run (evaluate.folds) are compared with nothing"
SEEDS = "stops a trial during its first seed only; the others of sweep.seeds=2 run to their end"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((*RULE, "pruner=median"), f"pruner=median {NOTHING_REPORTS}"),
        ((*RULE, "pruner=hyperband"), f"pruner=hyperband {NOTHING_REPORTS}"),
        ((*RULE, "pruner=median", "sweep.seeds=2"), f"pruner=median {NOTHING_REPORTS}"),
        ((*TRAINED, "pruner=median", "evaluate=walk_forward"), f"pruner=median {FOLDS}"),
        ((*TRAINED, "pruner=median", "evaluate=purged_k_fold"), f"pruner=median {FOLDS}"),
        ((*TRAINED, "pruner=median", "evaluate=combinatorial"), f"pruner=median {FOLDS}"),
        ((*TRAINED, "pruner=median", "sweep.seeds=2"), f"pruner=median {SEEDS}"),
        ((*TRAINED, "pruner=median"), ""),
        (("pruner=median", "evaluate=walk_forward,backtest"), ""),
        (RULE, ""),
    ],
)
def test_pruner_without_effect_is_named_once_before_the_sweep_starts(
    words: tuple[str, ...], expected: str, cli: Callable, spine: dict[str, Any]
) -> None:
    answer = cli("-m", *words)
    assert answer.code == 0
    warnings = [line for line in answer.err.splitlines() if line.startswith("warning: pruner")]
    assert warnings == ([f"warning: {expected}"] if expected else [])
    assert not expected or answer.err.index("warning: pruner") < answer.err.index("job 0 done")
