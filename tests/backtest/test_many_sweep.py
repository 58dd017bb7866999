"""Signals of many SMA crosses are those of the strategy, also where two means are equal or nearly so."""

import numpy as np
import pytest
from many_cases import assert_equal, one_by_one

from market_cases import make_panel, random_panel
from tradewright.backtest.many import score
from tradewright.backtest.sweep import sma_signals, window_means
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.ranges import Range
from tradewright.market.rules import Costs
from tradewright.strategy.sma_cross import SmaCross


def prices_with_ties(num: int, seed: int = 0) -> np.ndarray:
    """A walk in cents that often stands still: many windows have equal sums, which rounding can order either way."""
    steps = np.random.default_rng(seed).choice([-0.01, 0.0, 0.0, 0.01], num)
    return np.round(0.3 + np.cumsum(steps) - np.cumsum(steps).min(), 2)


@pytest.mark.parametrize("num", [5, 420])
def test_window_means_are_those_of_numpy_to_the_bit(num: int) -> None:
    windows = [*range(1, 300), 383, 384, 385, 420, 500]
    for x_T in (prices_with_ties(num), np.random.default_rng(1).lognormal(size=num)):
        means = window_means(x_T, set(windows))
        for window in windows:
            wanted = np.full(num, np.nan)
            if window <= num:
                wanted[window - 1 :] = np.lib.stride_tricks.sliding_window_view(x_T, window).mean(axis=-1)
            np.testing.assert_array_equal(means[window], wanted, err_msg=str(window))


@pytest.mark.parametrize("start", [0, 37])
def test_sweep_decides_as_the_strategy_does(start: int) -> None:
    close_T1 = prices_with_ties(400)[:, None]
    panel, rows = make_panel(close_T1), Range(start, 390)
    pairs = [
        (fast, slow) for fast in (1, 2, 3, 5, 8, 20, 37, 64, 129) for slow in (4, 9, 21, 50, 130, 200) if fast < slow
    ]
    weights = (SmaCross(fast=fast, slow=slow).decide(panel, None, rows).weights_TN for fast, slow in pairs)
    wanted_BTN = np.stack(list(weights))
    (signal_bT,) = (chunk.copy() for chunk in sma_signals(close_T1[:, 0], pairs, rows))
    held_bT = np.zeros(len(pairs), dtype=bool)
    for t in range(len(rows)):
        ordered_b = wanted_BTN[:, t, 0]
        held_bT = np.where(np.isnan(ordered_b), held_bT, ordered_b == 1.0)
        np.testing.assert_array_equal(signal_bT[:, t], held_bT, err_msg=f"bar {t}")


def test_scored_sweep_equals_backtests_of_the_strategy() -> None:
    panel, rows = random_panel(4, 260, 1), Range(30, 260)
    pairs = [(1, 2), (2, 3), (5, 20), (10, 50), (30, 61), (3, 259), (3, 300)]
    backtester = Vectorized(costs=Costs(fee_bps=10))
    weights = [SmaCross(fast=fast, slow=slow).decide(panel, None, rows).weights_TN for fast, slow in pairs]
    got = score(panel, rows, backtester.rules, sma_signals(panel.close_TN[:, 0], pairs, rows), risk_free=0.02)
    assert_equal(got, one_by_one(backtester, panel, rows, np.stack(weights)))


def test_chunks_hold_all_pairs_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    close_T = random_panel(5, 100, 1).close_TN[:, 0]
    pairs = [(fast, 30) for fast in range(1, 20)]
    whole = np.concatenate([chunk.copy() for chunk in sma_signals(close_T, pairs, Range(0, 100))])
    monkeypatch.setattr("tradewright.backtest.sweep.CHUNK_BYTES", 700)
    parts = [chunk.copy() for chunk in sma_signals(close_T, pairs, Range(0, 100))]
    assert [len(part) for part in parts] == [7, 7, 5]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("pair", [(0, 3), (3, 3), (5, 3)])
def test_malformed_pair_is_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"pairs must have 1 <= fast < slow, was \("):
        next(sma_signals(np.ones(10), [(1, 2), pair], Range(0, 10)))
