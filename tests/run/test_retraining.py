"""A language model that is trained anew as time goes on, through the command line."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tiny import QUICK, SHORT, SMALL, SWAPS

from tradewright.output import read_json

SCHEDULE = ("algorithm.epochs=1", "evaluate.folds.bars_per_fold=120")


@pytest.mark.row("T46")
def test_a_language_model_is_retrained_on_a_schedule_and_judged_on_what_follows(original: Callable[..., Any]) -> None:
    run = original("experiment=retrain", *SMALL, *SWAPS, *QUICK, SHORT, *SCHEDULE).run
    fits = sorted(run.glob("fits/fold_*"))
    assert len(fits) == 4
    weights = [torch.load(fit / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for fit in fits]
    name = next(name for name in weights[0] if name.endswith("wte.weight"))
    if len({one[name].shape for one in weights}) == 1:  # tokenizers may differ, each is trained on its own texts
        assert all(not torch.equal(weights[0][name], one[name]) for one in weights[1:])
    metrics = read_json(run / "metrics.json")
    assert np.isfinite(metrics["test/total_return"])
