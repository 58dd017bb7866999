"""All-in signals: the closed form equals the bar step, which equals the backtest with journal; its parts by hand.

Legend: b accounts, T bars, K trades.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from many_cases import RISK_FREE, assert_equal, every, one_by_one, orders_of

from market_cases import make_panel, random_panel
from tradewright.backtest import long_flat, many
from tradewright.backtest.long_flat import LongFlat
from tradewright.backtest.long_flat_loop import walk_trades
from tradewright.backtest.many import score
from tradewright.backtest.segments import build_segments
from tradewright.backtest.signal_trades import find_trades
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import ConfigError, MarketError
from tradewright.market.rules import AccountRules, Costs
from tradewright.metrics.calendar import annualised_marks

STRICT = 1e-12


def random_signals(rng: np.random.Generator, num_bars: int) -> np.ndarray:
    """Busy, rare, almost constant, constant and slow signals ``[7, T]``."""
    chances = (0.5, 0.02, 0.98, 0.0, 1.0)
    slow = [np.cumsum(rng.random(num_bars) < chance) % 2 == 1 for chance in (0.05, 0.3)]
    return np.stack([*(rng.random(num_bars) < chance for chance in chances), *slow])


def closed_form(panel: Panel, signal_bT: np.ndarray, rules: AccountRules, **options: Any) -> dict[str, np.ndarray]:
    return score(panel, Range(0, panel.num_bars), rules, [signal_bT], risk_free=RISK_FREE, **options)


def by_bar_step(panel: Panel, signal_bT: np.ndarray, rules: AccountRules) -> dict[str, np.ndarray]:
    return score(panel, Range(0, panel.num_bars), rules, [orders_of(signal_bT)], risk_free=RISK_FREE)


markets = given(
    seed=st.integers(0, 2**32 - 1),
    num_bars=st.integers(1, 70),
    volatility=st.sampled_from([0.0005, 0.02, 0.3]),
    fee_bps=st.sampled_from([0.0, 1.0, 10.0, 500.0]),
    slippage_bps=st.sampled_from([0.0, 3.0, 200.0]),
    timeframe_s=st.sampled_from([3_600, 25_200, 86_400, 604_800]),
)


def compare_forms(
    seed: int, num_bars: int, volatility: float, fee_bps: float, slippage_bps: float, timeframe_s: int
) -> None:
    panel = every(random_panel(seed, num_bars, 1, volatility=volatility), timeframe_s)
    signal_bT = random_signals(np.random.default_rng(seed), num_bars)
    rules = AccountRules(costs=Costs(fee_bps=fee_bps, slippage_bps=slippage_bps))
    wanted = by_bar_step(panel, signal_bT, rules)
    assert_equal(closed_form(panel, signal_bT, rules), wanted, strict=STRICT)


test_closed_form_equals_bar_step = settings(max_examples=100, deadline=None, derandomize=True)(markets(compare_forms))


test_closed_form_equals_bar_step_in_10_000_markets = pytest.mark.slow(
    settings(max_examples=10_000, deadline=None, derandomize=True)(markets(compare_forms))
)


@pytest.mark.parametrize("timeframe_s", [21_600, 86_400])
@pytest.mark.parametrize("seed", range(3))
def test_closed_form_equals_backtest_with_journal(seed: int, timeframe_s: int) -> None:
    panel = every(random_panel(seed, 300, 1), timeframe_s)
    signal_bT = random_signals(np.random.default_rng(seed), 300)
    backtester = Vectorized(costs=Costs(fee_bps=10, slippage_bps=5))
    wanted = one_by_one(backtester, panel, Range(0, 300), orders_of(signal_bT))
    assert_equal(closed_form(panel, signal_bT, backtester.rules), wanted)


def test_hand_computed_trades() -> None:
    # Bought with all 1000 at 10 * 1.1 (fee 10 %), sold at 20 * 0.9, bought at 30 * 1.1 and still held at a close of 22.
    panel = make_panel([[9.0], [10.0], [20.0], [30.0], [25.0]], close_TN=[[9.0], [15.0], [21.0], [33.0], [22.0]])
    rules = AccountRules(initial_cash=1_000.0, costs=Costs(fee_bps=1_000.0))
    signal_bT = np.array([[True, False, True, True, False], [False, False, False, False, True]])
    got = closed_form(panel, signal_bT, rules)
    shares, cash = 1_000 / 11, 1_000 / 11 * 18
    again = cash / 33
    equity = np.array([1_000, shares * 15, cash, again * 33, again * 22])
    assert got["final_equity"] == pytest.approx([equity[-1], 1_000.0], rel=1e-14)
    assert got["max_drawdown"] == pytest.approx([1 - 22 / 33, 0.0], rel=1e-14)
    np.testing.assert_array_equal(got["num_trades"], [1.0, 0.0])  # the last signal never fills
    np.testing.assert_array_equal(got["win_rate"], [1.0, np.nan])
    returns = np.diff(equity) / equity[:-1]
    excess = returns - RISK_FREE / 252
    assert got["sharpe"][0] == pytest.approx(excess.mean() / returns.std(ddof=1) * 252**0.5, rel=1e-12)


@pytest.mark.parametrize("is_compiled", [False, True])
def test_drawdown_runs_from_the_money_of_a_sale_above_all_closes(is_compiled: bool) -> None:
    # Bought at 10, sold at 20 above a close of 11; bought again at 20, which falls to 15: a quarter is lost.
    opens, closes = np.array([10.0, 10.0, 20.0, 20.0, 15.0]), np.array([10.0, 11.0, 20.0, 16.0, 15.0])
    form = LongFlat(opens, closes, np.arange(5), cash=1_000.0, fee=0.0, slippage=0.0, is_compiled=False)
    form.is_compiled = is_compiled  # the loop itself, not compiled
    moments = form.moments(np.array([[True, False, True, True, True]]))
    np.testing.assert_allclose(moments.drawdown_B, [0.25], rtol=1e-14)
    np.testing.assert_allclose(moments.final_B, [1_500.0], rtol=1e-14)


def test_trade_at_one_price_without_costs_is_no_win() -> None:
    panel = make_panel([[7.0], [0.1], [0.1], [0.1]], close_TN=[[7.0], [0.3], [0.2], [0.1]])
    got = closed_form(panel, np.array([[True, False, False, False]]), AccountRules())
    assert (got["num_trades"][0], got["num_wins"][0]) == (1.0, 0.0)


def test_row_with_little_of_the_market_keeps_its_digits() -> None:
    """In the market for 2 quiet bars of 3,000 wild ones, a sum less another would keep few digits."""
    rng = np.random.default_rng(5)
    returns = 0.1 * rng.standard_normal(3_000)
    returns[1_000:1_003] = (1e-6, -2e-6, 1e-6)
    close_T1 = 100 * np.exp(np.cumsum(returns))[:, None]
    panel = make_panel(close_T1)
    signal_bT = np.zeros((2, 3_000), dtype=bool)
    signal_bT[0, 999:1_001] = True
    signal_bT[1, 1_000:1_001] = True
    got = closed_form(panel, signal_bT, AccountRules())
    wanted = by_bar_step(panel, signal_bT, AccountRules())
    assert_equal(got, wanted, strict=STRICT)
    for key in ("volatility", "downside_deviation", "sortino"):
        np.testing.assert_allclose(got[key], wanted[key], rtol=1e-9, atol=0, err_msg=key)


@pytest.mark.parametrize("growth", [1.0, 1.01, 0.99])
def test_constant_growth_has_no_sharpe_ratio(growth: float) -> None:
    panel = make_panel(np.full((400, 1), 50.0) * growth ** np.arange(400)[:, None])
    got = closed_form(panel, np.ones((1, 400), dtype=bool), AccountRules())
    assert_equal(got, by_bar_step(panel, np.ones((1, 400), dtype=bool), AccountRules()), strict=STRICT)
    # The first bar is bought at its close, so one return of zero stands beside 398 equal ones.
    assert np.isnan(got["sharpe"][0]) == (growth == 1.0)


def test_long_series_are_scored_by_their_equity_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = every(random_panel(3, 200, 1), 21_600)
    signal_bT = random_signals(np.random.default_rng(3), 200)
    rules = AccountRules(costs=Costs(fee_bps=10))
    by_table = closed_form(panel, signal_bT, rules)
    monkeypatch.setattr(long_flat, "MAX_BARS", 100)
    assert_equal(closed_form(panel, signal_bT, rules), by_table, strict=STRICT)


def test_figures_do_not_depend_on_the_chunks() -> None:
    panel = random_panel(1, 60, 1)
    signal_bT = random_signals(np.random.default_rng(1), 60)
    rules = AccountRules(costs=Costs(fee_bps=10))
    whole = closed_form(panel, signal_bT, rules)
    parts = score(panel, Range(0, 60), rules, (row[None] for row in signal_bT), risk_free=RISK_FREE)
    for key, values in whole.items():
        np.testing.assert_array_equal(parts[key], values, err_msg=key)


def test_signals_under_other_rules_walk_by_the_bar_step(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = random_panel(2, 80, 1, missing=0.2)
    signal_bT = random_signals(np.random.default_rng(2), 80)
    backtester = Vectorized(stop_loss=0.05, costs=Costs(fee_bps=10, fixed_fee=2.0))
    weights_bT1 = orders_of(signal_bT)
    for t in range(1, 80):  # an order that met no bar is given again
        is_waiting = np.isnan(weights_bT1[:, t]) & ~np.isnan(weights_bT1[:, t - 1]) & ~panel.tradable_TN[t]
        weights_bT1[:, t] = np.where(is_waiting, weights_bT1[:, t - 1], weights_bT1[:, t])
    wanted = one_by_one(backtester, panel, Range(0, 80), weights_bT1)
    for walk_rows in (2, 1_024):
        monkeypatch.setattr(many, "WALK_ROWS", walk_rows)
        chunks = (signal_bT[first : first + 3] for first in range(0, 7, 3))
        assert_equal(score(panel, Range(0, 80), backtester.rules, chunks, risk_free=RISK_FREE), wanted)


def test_no_tracks_have_no_figures() -> None:
    got = score(random_panel(0, 5, 1), Range(0, 5), AccountRules(), [])
    assert {len(values) for values in got.values()} == {0}


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (np.zeros((2, 9), dtype=bool), r"bool NumPy array \[rows, 10 bars\], was bool \(2, 9\)"),
        (np.zeros((2, 10)), r"was float64 \(2, 10\)"),
    ],
)
def test_malformed_signals_are_refused(signal: np.ndarray, message: str) -> None:
    with pytest.raises(MarketError, match=message):
        score(random_panel(0, 10, 1), Range(0, 10), AccountRules(), [signal])


def test_signals_on_several_instruments_are_refused() -> None:
    with pytest.raises(MarketError, match="signals trade one instrument, the panel has 2"):
        score(random_panel(0, 10, 2), Range(0, 10), AccountRules(), [np.zeros((1, 10), dtype=bool)])


def test_compiled_form_refuses_rules_that_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        score(random_panel(0, 10, 1), Range(0, 10), AccountRules(stop_loss=0.1), [], compiled=True)


def test_trades_open_at_changes_and_end_with_the_data() -> None:
    signal_bT = np.array([[0, 1, 1, 0, 1], [1, 1, 1, 1, 0], [0, 0, 0, 0, 0], [1, 0, 1, 0, 1]], dtype=bool)
    trades = find_trades(signal_bT)
    np.testing.assert_array_equal(trades.bounds, [0, 1, 2, 2, 4])
    np.testing.assert_array_equal(trades.entry_K, [2, 1, 1, 3])
    np.testing.assert_array_equal(trades.exit_K, [4, 5, 2, 4])


@pytest.mark.parametrize("num_bars", [1, 2, 3, 4, 5, 8, 9, 31, 70])
def test_segments_answer_every_run_exactly(num_bars: int) -> None:
    price_T = np.random.default_rng(num_bars).uniform(1.0, 2.0, num_bars)
    first_K, last_K = np.array([(a, b) for a in range(num_bars) for b in range(a, num_bars)]).T
    high_K, low_K, fall_K = build_segments(price_T).query(first_K, last_K)
    runs = [price_T[a : b + 1] for a, b in zip(first_K, last_K, strict=True)]
    np.testing.assert_array_equal(high_K, [run.max() for run in runs])
    np.testing.assert_array_equal(low_K, [run.min() for run in runs])
    np.testing.assert_array_equal(fall_K, [(run / np.maximum.accumulate(run)).min() for run in runs])


def form_of(panel: Panel, *, is_compiled: bool) -> LongFlat:
    marks, _ = annualised_marks(panel.ts_T, panel.timeframe_s, 252.0)
    prices = panel.open_TN[:, 0], panel.close_TN[:, 0]
    options = {"cash": 1e5, "fee": 1e-3, "slippage": 5e-4, "target": 1e-4, "is_compiled": is_compiled}
    return LongFlat(*prices, marks, **options)


@pytest.mark.parametrize("timeframe_s", [21_600, 86_400])
def test_loop_equals_arrays_and_its_compiled_form_to_the_bit(timeframe_s: int) -> None:
    pytest.importorskip("numba", reason="the compiled form needs numba: pip install '.[numba]'")
    panel = every(random_panel(7, 150, 1), timeframe_s)
    signal_bT = random_signals(np.random.default_rng(7), 150)
    compiled = form_of(panel, is_compiled=True)
    by_arrays = form_of(panel, is_compiled=False).moments(signal_bT)
    by_numba = compiled.moments(signal_bT)
    compiled.walk = walk_trades
    by_python = compiled.moments(signal_bT)
    for name, arrays, numba, python in zip(by_arrays._fields, by_arrays, by_numba, by_python, strict=True):
        np.testing.assert_array_equal(numba, python, err_msg=name)
        np.testing.assert_allclose(arrays, python, rtol=STRICT, atol=1e-14, err_msg=name)
