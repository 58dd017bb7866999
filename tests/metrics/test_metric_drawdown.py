"""Drawdown against hand-computed curves and a plain loop."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewright.metrics import drawdown

TS = np.arange("2020-01-01", "2020-01-11", dtype="datetime64[D]").astype("datetime64[us]")
#                 start  dip        recovery     deep dip            no recovery
CURVE = np.array([100.0, 90.0, 95.0, 100.0, 120.0, 60.0, 90.0, 110.0, 119.0, 118.0])


@pytest.mark.row("L40")
@pytest.mark.row("B33")
def test_hand_computed_curve_gives_depth_length_and_recovery() -> None:
    first, second = drawdown.episodes(CURVE)
    assert (first.peak, first.trough, first.recovery, first.num_bars) == (0, 1, 3, 2)
    assert first.depth == pytest.approx(0.10)
    assert (second.peak, second.trough, second.recovery, second.num_bars) == (4, 5, None, 5)
    assert second.depth == 0.5
    assert drawdown.max_drawdown(CURVE) == 0.5
    assert drawdown.longest_drawdown_bars(CURVE) == 5
    assert drawdown.longest_drawdown_days(TS, CURVE) == 5.0
    assert drawdown.is_under_water(CURVE) == 1.0


@pytest.mark.row("L40")
def test_longest_in_days_counts_weekends_up_to_the_recovery() -> None:
    days = np.array(["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07"], dtype="datetime64[us]")
    curve = np.array([100.0, 99.0, 98.0, 101.0])
    assert drawdown.longest_drawdown_bars(curve) == 2
    assert drawdown.longest_drawdown_days(days, curve) == 5.0
    assert drawdown.is_under_water(curve) == 0.0


def test_first_bar_is_a_peak() -> None:
    assert drawdown.max_drawdown(np.array([100.0, 80.0, 90.0])) == pytest.approx(0.2)


def test_rising_curve_has_no_drawdown() -> None:
    curve = np.array([1.0, 1.0, 2.0])
    assert drawdown.max_drawdown(curve) == 0.0
    assert drawdown.episodes(curve) == []
    assert drawdown.longest_drawdown_bars(curve) == 0.0
    assert drawdown.longest_drawdown_days(TS[:3], curve) == 0.0


def test_debt_gives_a_drawdown_above_one() -> None:
    assert drawdown.max_drawdown(np.array([100.0, -20.0, -20.0])) == pytest.approx(1.2)


@pytest.mark.parametrize(
    "curve", [np.array([]), np.array([0.0, 1.0]), np.array([-1.0, 1.0]), np.array([math.nan, 1.0])]
)
def test_undefined_drawdown_is_nan(curve: np.ndarray) -> None:
    assert math.isnan(drawdown.max_drawdown(curve))
    assert math.isnan(drawdown.longest_drawdown_bars(curve))
    assert math.isnan(drawdown.longest_drawdown_days(TS[: len(curve)], curve))
    assert math.isnan(drawdown.is_under_water(curve))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_depth_and_length_equal_a_plain_loop(values: list[int]) -> None:
    curve = np.array(values, dtype=np.float64)
    peak, depth, run, longest = -math.inf, 0.0, 0, 0
    for value in values:
        peak = max(peak, value)
        run = run + 1 if value < peak else 0
        longest = max(longest, run)
        depth = max(depth, 1 - value / peak)
    assert drawdown.max_drawdown(curve) == pytest.approx(depth, abs=1e-15)
    assert drawdown.longest_drawdown_bars(curve) == longest
    assert sum(episode.num_bars for episode in drawdown.episodes(curve)) == int(
        np.sum(drawdown.drawdown_curve(curve) > 0)
    )
