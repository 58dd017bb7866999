"""``strategy=forecast``: what a network says becomes orders where it is sure enough, and nothing else does."""

from dataclasses import replace

import numpy as np
import pytest

from swap_cases import random_swap_panel
from tradewright.config.inert import Unused
from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.features.features import Features
from tradewright.metrics.temperature import tempered
from tradewright.risk.filter import RiskFilter
from tradewright.strategy.forecast import Forecast, Forecasts
from tradewright.target.labels import ACTIONS

NUM = 60
ROWS = Range(100, 100 + NUM)
OPEN = RiskFilter(max_slippage_bps=None, confidence_threshold=None, max_position_size=1.0)
BUY, SELL, HOLD = ([0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8])


class Given:
    """A network whose forecasts are given: a buy, three holds, a sell, three holds, and so on."""

    def __init__(self, calibration: float = 1.0) -> None:
        rows = ([BUY] + 3 * [HOLD] + [SELL] + 3 * [HOLD]) * NUM
        self.said = Forecasts(
            probabilities_RL=np.array(rows[:NUM]), size_R=np.full(NUM, 0.05), horizon_R=np.full(NUM, 0.002)
        )
        self.calibration = calibration

    def forecast(self, features: Features, rows: Range) -> Forecasts:
        assert len(rows) == NUM
        return self.said


@pytest.fixture(scope="module")
def panel():
    return random_swap_panel(700, seed=21)


@pytest.fixture(scope="module")
def features(panel) -> Features:
    return Features(x_TNF=np.zeros((panel.num_bars, 1, 1), dtype=np.float32), names_F=("zero",), ready_from=0)


def decided(panel, features, given: Given | None = None, **keys):
    strategy = Forecast(forecaster=given or Given(), risk=keys.pop("risk", OPEN), **keys)
    positions = strategy.decide(panel, features, ROWS)
    return strategy, positions.weights_TN[:, 0], positions.confidence_TN


def test_most_probable_side_is_traded_in_the_size_that_is_forecast(panel, features) -> None:
    _, weight_R, confidence_R1 = decided(panel, features)
    orders = np.flatnonzero(~np.isnan(weight_R))
    assert orders.tolist() == list(range(0, NUM, 4))
    np.testing.assert_allclose(weight_R[orders], [0.05, 0.0] * 7 + [0.05])
    np.testing.assert_allclose(confidence_R1[orders[::2], 0], 0.7)
    _, weight_R, _ = decided(panel, features, size=0.2)
    assert weight_R[0] == pytest.approx(0.2)


@pytest.mark.parametrize(("threshold", "sides"), [(0.69, {"BUY", "SELL"}), (0.75, {"SELL"}), (0.85, set())])
def test_decision_below_the_threshold_becomes_no_order_with_its_reason(panel, features, threshold, sides) -> None:
    risk = replace(OPEN, confidence_threshold=threshold)
    strategy, weight_R, _ = decided(panel, features, risk=risk)
    unsure = [one for one in strategy.blocked if one.reason == "confidence"]
    assert {one.action for one in unsure} == {"BUY", "SELL"} - sides
    assert all(one.value < threshold == one.limit for one in unsure)
    assert (not np.isnan(weight_R).all()) == ("BUY" in sides)  # nothing is held that a sale could take from


def test_confidence_is_calibrated_by_the_temperature_of_the_network(panel, features) -> None:
    expected = tempered(np.array([BUY]), 3.0).max()
    for is_calibrated, confidence in ((True, expected), (False, 0.7)):
        _, _, confidence_R1 = decided(panel, features, Given(calibration=3.0), is_calibrated=is_calibrated)
        assert confidence_R1[0, 0] == pytest.approx(confidence)
    risk = replace(OPEN, confidence_threshold=0.6)
    _, weight_R, _ = decided(panel, features, Given(calibration=3.0), risk=risk)
    assert np.isnan(weight_R).all()


def test_side_that_the_forecast_return_does_not_pay_is_a_hold(panel, features) -> None:
    strategy, weight_R, _ = decided(panel, features, least_return=0.001)
    assert strategy.num_unpaid == 7  # the sells: the forecast return is positive
    assert np.flatnonzero(~np.isnan(weight_R)).tolist() == list(range(0, NUM, 8))
    strategy, weight_R, _ = decided(panel, features, least_return=0.003)
    assert strategy.num_unpaid == 15
    assert np.isnan(weight_R).all()


def test_decides_at_every_few_bars_of_the_data_not_of_the_range(panel, features) -> None:
    strategy, _, _ = decided(panel, features, every_bars=7)
    assert strategy.num_asked == sum(row % 7 == 0 for row in range(ROWS.start, ROWS.stop))


def test_bars_without_a_forecast_give_no_order_and_are_counted(panel, features) -> None:
    given = Given()
    given.said.probabilities_RL[:10] = np.nan
    given.said.size_R[:10] = np.nan
    strategy, weight_R, _ = decided(panel, features, given)
    assert (strategy.num_asked, strategy.num_undefined) == (NUM - 10, 10)
    assert np.isnan(weight_R[:10]).all()


def test_words_are_in_the_order_of_the_labels() -> None:
    assert ACTIONS == ("BUY", "SELL", "HOLD")


def test_missing_features_are_refused(panel) -> None:
    with pytest.raises(DataError, match="strategy=forecast needs features, was given none"):
        Forecast(forecaster=Given(), risk=OPEN).decide(panel, None, ROWS)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"every_bars": 0}, "every_bars must be >= 1, was 0"),
        ({"size": 1.5}, r"size must be in \(0, 1\] or null, was 1.5"),
        ({"least_return": -0.1}, "least_return must be >= 0 or null, was -0.1"),
        ({"risk": Unused()}, "risk must be a filter such as risk=swaps"),
    ],
)
def test_value_out_of_range_is_refused(keys, message) -> None:
    with pytest.raises(ValueError, match=message):
        Forecast(**{"forecaster": Given(), "risk": OPEN, **keys})
