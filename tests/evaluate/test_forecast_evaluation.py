"""Figures of forecasts against NumPy, beside the majority class and the training means."""

import math

import numpy as np
import pytest

from tradewright.evaluate.forecasts import confusion_of, forecast_figures
from tradewright.strategy.forecast import Forecasts
from tradewright.target.label_sets import LabelSet, LabelSets
from tradewright.target.labels import ACTIONS


def label_set(sides: str, sizes: float = 0.05, seed: int = 0) -> LabelSet:
    """Return examples by the first letters of their sides."""
    words = {"B": "BUY", "S": "SELL", "H": "HOLD"}
    side_B = np.array([ACTIONS.index(words[letter]) for letter in sides])
    rng = np.random.default_rng(seed)
    size_B = np.where(side_B == ACTIONS.index("HOLD"), np.nan, sizes + rng.uniform(0, 0.03, len(sides)))
    return LabelSet(
        row_B=np.arange(len(sides)), side_B=side_B, size_B=size_B, horizon_B=rng.normal(0, 1e-3, len(sides))
    )


TEST = label_set("BBSSHHHHSB", seed=1)
SETS = LabelSets(train=label_set("SSSSBHHS"), validation=TEST, test=TEST)


def said(probability_of_right: float = 0.6) -> Forecasts:
    rest = (1 - probability_of_right) / 2
    probabilities_RL = np.full((len(TEST), 3), rest)
    probabilities_RL[np.arange(len(TEST)), TEST.side_B] = probability_of_right
    probabilities_RL[0] = [0.1, 0.1, 0.8]  # a BUY taken for a HOLD
    return Forecasts(
        probabilities_RL=probabilities_RL, size_R=np.full(len(TEST), 0.06), horizon_R=TEST.horizon_B + 1e-4
    )


@pytest.mark.row("R30")
def test_side_is_judged_beside_the_majority_of_the_training_bars() -> None:
    figures = forecast_figures(SETS, TEST, said())
    assert SETS.order[0] == "SELL"
    assert figures["side_accuracy"] == pytest.approx(0.9)
    assert figures["side_recall_buy"] == pytest.approx(2 / 3)
    assert figures["side_recall_sell"] == figures["side_recall_hold"] == 1.0
    assert figures["side_balanced_accuracy"] == pytest.approx((2 / 3 + 2) / 3)
    assert figures["side_majority_accuracy"] == pytest.approx(3 / 10)
    assert figures["side_log_loss"] == pytest.approx(-(9 * math.log(0.6) + math.log(0.1)) / 10)


@pytest.mark.row("R31")
def test_size_and_return_are_judged_beside_the_training_mean() -> None:
    figures = forecast_figures(SETS, TEST, said())
    sized = TEST.side_B != ACTIONS.index("HOLD")
    train = SETS.train
    mean = train.size_B[train.side_B != ACTIONS.index("HOLD")].mean()
    own, of_mean = (np.mean((TEST.size_B[sized] - value) ** 2) for value in (0.06, mean))
    assert figures["size_mse"] == pytest.approx(own)
    assert figures["size_mse_of_mean"] == pytest.approx(of_mean)
    assert figures["size_skill"] == pytest.approx(1 - own / of_mean)
    assert figures["horizon_mse"] == pytest.approx(1e-8)
    of_mean = np.mean((TEST.horizon_B - train.horizon_B.mean()) ** 2)
    assert figures["horizon_mse_of_mean"] == pytest.approx(of_mean)


def test_temperature_moves_confidence_and_no_decision() -> None:
    raw, cool = (forecast_figures(SETS, TEST, said(), temperature=temperature) for temperature in (1.0, 0.5))
    assert raw["side_accuracy"] == cool["side_accuracy"]
    assert raw["side_log_loss"] != cool["side_log_loss"]


def test_range_without_entries_has_no_size_figures() -> None:
    holds = label_set("HHHH")
    probabilities_RL = np.tile([0.1, 0.1, 0.8], (4, 1))
    forecasts = Forecasts(probabilities_RL=probabilities_RL, size_R=np.full(4, 0.1), horizon_R=np.zeros(4))
    figures = forecast_figures(SETS, holds, forecasts)
    assert all(math.isnan(figures[name]) for name in ("size_mse", "size_mse_of_mean", "size_skill"))
    assert math.isnan(figures["side_recall_buy"])
    assert figures["side_balanced_accuracy"] == 1.0


def test_confusion_counts_every_bar() -> None:
    found = confusion_of(TEST, said())
    assert found == {("BUY", "HOLD"): 1, ("BUY", "BUY"): 2, ("SELL", "SELL"): 3, ("HOLD", "HOLD"): 4}


def test_constant_size_has_no_deviation_to_divide_by() -> None:
    constant = LabelSet(
        row_B=np.arange(3), side_B=np.zeros(3, dtype=np.int64), size_B=np.full(3, 0.05), horizon_B=np.zeros(3)
    )
    sets = LabelSets(train=constant, validation=constant, test=constant)
    assert sets.size == (pytest.approx(0.05), 1.0)
    assert sets.horizon == (0.0, 1.0)
