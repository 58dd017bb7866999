"""Actions, profit per action, trading frequency and calibration, against tables worked out by hand.

Legend: T bars, n = T - 1 bars with an action, N instruments.
"""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewright.metrics.calibration import binomial_interval, calibrate, confident_outcomes
from tradewright.metrics.decisions import ACTIONS, bar_actions, by_action, by_side, frequency

DAYS = np.datetime64("2021-01-28T00:00", "us") + np.arange(64) * np.timedelta64(1, "D")


def fill(bar: int, quantity: float, reason: str = "order", symbol: str = "A") -> SimpleNamespace:
    return SimpleNamespace(bar=bar, ts=DAYS[bar], symbol=symbol, quantity=quantity, price=10.0, reason=reason)


def history(weights: Any, fills: list[SimpleNamespace], equity: Any = None, **more: Any) -> Any:
    weights_TN = np.array(weights, dtype=np.float64).reshape(len(weights), -1)
    num_bars = len(weights_TN)
    values = {
        "ts_T": DAYS[:num_bars],
        "timeframe_s": 86_400,
        "symbols": ("A", "B")[: weights_TN.shape[1]],
        "equity_T": np.array(np.full(num_bars, 100.0) if equity is None else equity, dtype=np.float64),
        "weights_TN": weights_TN,
        "fills": tuple(fills),
        "confidence_TN": None,
        "mark_TN": None,
    }
    return SimpleNamespace(**(values | more))


def names(result: Any) -> list[str]:
    return [ACTIONS[place] for place in bar_actions(result)]


ALL_KINDS = history(
    #         0    1    2    3    4    5    6    7    8
    weights=[0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.4, 0.0, 0.0],
    fills=[
        fill(1, 10.0),
        fill(3, -10.0, "stop_loss"),
        fill(4, 0.0, "below_lot"),
        fill(5, 5.0, "scaled_buying_power"),
        fill(5, -5.0, "trailing_stop"),
        fill(6, 4.0),
        fill(7, -4.0),
    ],
    equity=[100.0, 101.0, 104.0, 99.0, 99.0, 98.5, 98.0, 100.0, 100.0],
)


@pytest.mark.row("R33")
def test_every_bar_has_the_action_that_was_executed_in_it() -> None:
    assert names(ALL_KINDS) == ["buy", "hold", "stop", "flat", "buy", "buy", "sell", "flat"]


@pytest.mark.parametrize(
    ("reason", "action"),
    [
        ("stop_loss", "stop"),
        ("trailing_stop", "stop"),
        ("take_profit", "target"),
        ("margin_call", "margin_call"),
        ("bankrupt", "margin_call"),
        ("order", "sell"),
        ("short_not_allowed", "sell"),
        ("limit_entry", "sell"),
        ("roll", "hold"),
    ],
)
def test_forced_exit_is_an_action_of_its_own_and_a_roll_none(reason: str, action: str) -> None:
    assert names(history([0.5, 0.5, 0.0], [fill(2, -1.0, reason)])) == ["hold", action]


def test_two_instruments_are_a_rebalance_only_if_one_is_bought_and_one_sold() -> None:
    weights = [[0.0, 0.0], [0.5, 0.5], [0.6, 0.4], [0.6, 0.4], [0.0, 0.0]]
    fills = [
        fill(1, 5.0),
        fill(1, 5.0, symbol="B"),
        fill(2, 1.0),
        fill(2, -1.0, symbol="B"),
        fill(3, 2.0),
        fill(3, -2.0),
        fill(4, -6.0),
        fill(4, -4.0, symbol="B"),
    ]
    assert names(history(weights, fills)) == ["buy", "rebalance", "hold", "sell"]


@pytest.mark.row("R34")
def test_profit_by_action_and_side_equals_the_table() -> None:
    actions = by_action(bar_actions(ALL_KINDS), ALL_KINDS.equity_T)
    assert {tally.name: (tally.num_bars, tally.pnl, tally.num_gains) for tally in actions} == {
        "buy": (3, 0.0, 1),
        "sell": (1, 2.0, 1),
        "hold": (1, 3.0, 1),
        "flat": (2, 0.0, 0),
        "stop": (1, -5.0, 0),
    }
    sides = by_side(ALL_KINDS.weights_TN, ALL_KINDS.equity_T)
    assert {tally.name: (tally.num_bars, tally.pnl) for tally in sides} == {"long": (5, 0.5), "flat": (3, -0.5)}


def test_short_bars_are_tallied_apart() -> None:
    sides = by_side(np.array([[0.0], [-0.5], [-0.5], [0.3]]), np.array([10.0, 9.0, 12.0, 11.0]))
    assert [(tally.name, tally.num_bars, tally.pnl) for tally in sides] == [("long", 1, -1.0), ("short", 2, 2.0)]


@st.composite
def histories(draw: st.DrawFn) -> Any:
    num_bars, num = draw(st.integers(1, 40)), draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reasons = ("order", "stop_loss", "take_profit", "margin_call", "below_lot", "roll")
    fills = [
        fill(
            int(rng.integers(1, num_bars)),
            float(rng.integers(-2, 3)),
            str(rng.choice(reasons)),
            str(rng.choice(["A", "B"])),
        )
        for _ in range(rng.integers(0, 30))
        if num_bars > 1
    ]
    weights = rng.normal(0, 1, (num_bars, num)) * (rng.random((num_bars, num)) < 0.6)
    return history(weights, fills, rng.uniform(50, 150, num_bars))


@pytest.mark.row("R34")
@settings(max_examples=200, deadline=None)
@given(histories())
def test_profit_by_action_adds_up_to_the_change_of_equity(result: Any) -> None:
    actions_n = bar_actions(result)
    total = result.equity_T[-1] - result.equity_T[0]
    for tallies in (by_action(actions_n, result.equity_T), by_side(result.weights_TN, result.equity_T)):
        assert sum(tally.num_bars for tally in tallies) == len(result.ts_T) - 1
        assert math.fsum(tally.pnl for tally in tallies) == pytest.approx(total, rel=1e-12, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(histories())
def test_actions_equal_a_bar_by_bar_reading_of_the_journal(result: Any) -> None:
    expected = []
    for bar in range(1, len(result.ts_T)):
        own = [entry for entry in result.fills if entry.bar == bar and entry.quantity != 0 and entry.reason != "roll"]
        forced = {entry.reason for entry in own} & {"stop_loss", "take_profit", "margin_call"}
        net = {
            symbol: sum(e.quantity for e in own if e.symbol == symbol and e.reason in ("order", "below_lot"))
            for symbol in "AB"
        }
        bought, sold = any(q > 0 for q in net.values()), any(q < 0 for q in net.values())
        if bought or sold:
            expected.append("rebalance" if bought and sold else "buy" if bought else "sell")
        elif forced:
            expected.append(
                "margin_call" if "margin_call" in forced else "target" if "take_profit" in forced else "stop"
            )
        else:
            expected.append("hold" if result.weights_TN[bar - 1 : bar + 1].any() else "flat")
    assert names(result) == expected


@pytest.mark.row("R33")
def test_months_without_a_trade_are_counted_as_zero_and_idle_actions_left_out() -> None:
    result = history(
        [0.0, 0.0] + [0.5] * 60, [fill(1, 1.0), fill(40, 1.0), fill(41, -1.0), fill(61, -1.0, "stop_loss")]
    )
    found = frequency(bar_actions(result), result.ts_T[1:], "month")
    assert found.labels == ("2021-01", "2021-02", "2021-03")
    assert {name: counts.tolist() for name, counts in found.counts.items()} == {
        "buy": [1, 0, 1],
        "sell": [0, 0, 1],
        "stop": [0, 0, 1],
    }


@pytest.mark.row("R33")
def test_weekdays_and_hours_are_those_of_the_bars_opens() -> None:
    result = history([0.0] + [0.5] * 8, [fill(1, 1.0), fill(2, 1.0)])  # 2021-01-29 was a Friday
    found = frequency(bar_actions(result), result.ts_T[1:], "weekday")
    assert dict(zip(found.labels, found.counts["buy"].tolist(), strict=True)) == {
        "Mon": 0, "Tue": 0, "Wed": 0, "Thu": 0, "Fri": 1, "Sat": 1, "Sun": 0,
    }  # fmt: skip
    hours = np.datetime64("2021-01-04T14:30", "us") + np.arange(9) * np.timedelta64(30, "m")
    found = frequency(bar_actions(result), hours[1:], "hour")
    assert found.labels == ("15", "16", "17", "18")
    assert found.counts["buy"].tolist() == [2, 0, 0, 0]


def test_one_bar_has_no_action_and_no_frequency() -> None:
    result = history([0.0], [])
    assert names(result) == []
    assert by_action(bar_actions(result), result.equity_T) == ()
    assert frequency(bar_actions(result), result.ts_T[1:], "month").labels == ()


@pytest.mark.row("R36")
def test_calibration_error_equals_the_table() -> None:
    confidence = np.array([0.05, 0.15, 0.95, 0.95, 1.0])
    found = calibrate(confidence, np.array([False, True, True, False, True]))
    assert found.num_K.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0, 3]
    assert found.confidence_K[[0, 1, 9]] == pytest.approx([0.05, 0.15, 2.9 / 3])
    assert found.accuracy_K[[0, 1, 9]] == pytest.approx([0.0, 1.0, 2 / 3])
    assert np.isnan(found.accuracy_K[2:9]).all()
    assert found.error == pytest.approx((0.05 + 0.85 + 3 * 0.3) / 5)
    assert found.num_decisions == 5


@pytest.mark.row("R36")
def test_sure_and_right_is_calibrated_and_sure_and_wrong_is_not() -> None:
    sure = np.ones(10)
    assert calibrate(sure, np.ones(10, dtype=bool)).error == 0.0
    assert calibrate(sure, np.zeros(10, dtype=bool)).error == 1.0
    assert math.isnan(calibrate(np.zeros(0), np.zeros(0, dtype=bool)).error)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan])
def test_confidence_outside_its_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"^confidence must be in \[0, 1\], was "):
        calibrate(np.array([0.5, value]), np.array([True, False]))


@pytest.mark.row("R36")
def test_decision_is_right_if_the_next_mark_moves_the_way_of_the_position() -> None:
    marks = [10.0, 11.0, 12.0, 11.0, 11.0, 9.0, 8.0, 7.0, 8.0, 9.0]
    #  decided at close   0    1    2    3    4    5    6    7    8
    confidence = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, math.nan, 0.3, 0.2, 0.1]
    #  held at close 0    1    2    3    4    5    6     7     8    9
    weights = [0.0, 0.5, 0.5, 0.5, 0.5, 0.0, -0.5, -0.5, 0.0, -0.5]
    fills = [fill(5, -1.0, "stop_loss"), fill(6, -1.0), fill(8, 1.0, "margin_call"), fill(9, -1.0, "roll")]
    result = history(
        weights, fills, confidence_TN=np.array(confidence)[:, None], mark_TN=np.array(marks, dtype=float)[:, None]
    )
    sure, is_right = confident_outcomes(result)
    # 3: the mark did not move. 4: long, stopped in bar 5. 6: no confidence. 7: closed at the open. 8: a roll.
    assert sure.tolist() == [0.9, 0.8, 0.7, 0.5, 0.4]
    assert is_right.tolist() == [True, True, False, False, True]


def test_without_confidence_or_marks_nothing_can_be_checked() -> None:
    for more in ({}, {"confidence_TN": np.ones((3, 1))}, {"mark_TN": np.ones((3, 1))}):
        assert len(confident_outcomes(history([0.0, 0.5, 0.5], [], **more))[0]) == 0


@pytest.mark.row("X8")
@pytest.mark.parametrize("number", [1, 7, 50, 252, 1_000])
@pytest.mark.parametrize("probability", [0.0, 0.03, 0.5, 0.53, 0.97, 1.0])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_noise_floor_equals_the_binomial_quantiles(number: int, probability: float, confidence: float) -> None:
    tail = (1 - confidence) / 2
    expected = scipy.stats.binom.ppf([tail, 1 - tail], number, probability) / number
    assert binomial_interval(number, probability, confidence) == pytest.approx(tuple(expected), abs=1e-12)
