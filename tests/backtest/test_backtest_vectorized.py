"""The backtester: what goes in, what comes out, and what it refuses."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from market_cases import make_panel, random_panel, random_weights
from tradewright.backtest import vectorized
from tradewright.backtest.result import BacktestResult
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import MarketError
from tradewright.market import compiled
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs

FREE = Costs()
REAL = Costs(fee_bps=5, fixed_fee=0.5, per_share_fee=0.001, slippage_bps=3, borrow_rate=0.02, cash_rate=0.03)


def run(panel: Panel, weights_TN: np.ndarray, rows: Range | None = None, **rules: Any) -> BacktestResult:
    backtest = Vectorized(**{"costs": FREE, **rules})
    rows = Range(0, panel.num_bars) if rows is None else rows
    return backtest.run(panel, Positions(weights_TN=weights_TN), rows, name="test")


def weights_for(panel: Panel, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return random_weights(np.random.default_rng(seed), panel.close_TN.shape, scale)


@pytest.mark.row("B28")
@pytest.mark.row("N58")
@pytest.mark.parametrize("num", [1, 3, 40])
def test_cash_and_positions_make_equity_at_every_bar(num: int) -> None:
    panel = random_panel(num, 200, num, missing=0.05)
    result = run(panel, weights_for(panel, scale=0.5 / num), costs=REAL, leverage=2.0)
    held_T = (result.weights_TN * result.equity_T[:, None]).sum(axis=1)
    np.testing.assert_allclose(result.cash_T + held_T, result.equity_T, rtol=1e-12)


@pytest.mark.row("L39")
@pytest.mark.row("B29")
@pytest.mark.parametrize("seed", range(12))
def test_profit_of_trades_and_carry_make_the_change_of_equity(seed: int) -> None:
    panel = random_panel(seed, 150, 1 + seed % 3, missing=0.1, volatility=0.05)
    result = run(panel, weights_for(panel, seed, 1.5), costs=REAL, leverage=1.0 + seed % 3)
    profit = sum(trade.pnl for trade in result.trades)
    change = result.equity_T[-1] - result.equity_T[0]
    assert profit - result.costs["interest"] == pytest.approx(change, rel=1e-9, abs=1e-7)
    closed = sum(trade.pnl for trade in result.trades if trade.exit_bar is not None)
    still_open = sum(trade.pnl for trade in result.trades if trade.exit_bar is None)
    assert closed == pytest.approx(change - still_open + result.costs["interest"], rel=1e-9, abs=1e-7)
    for kind in ("fees", "slippage", "borrow", "funding", "dividends"):
        sign = -1 if kind == "dividends" else 1
        assert sum(getattr(trade, kind) for trade in result.trades) == pytest.approx(sign * result.costs[kind]), kind
    assert sum(trade.gross_pnl - trade.costs for trade in result.trades) == pytest.approx(profit)
    assert sum(fill.fee for fill in result.fills) == pytest.approx(result.costs["fees"])
    assert sum(fill.slippage for fill in result.fills) == pytest.approx(result.costs["slippage"])


def test_free_buy_and_hold_is_the_price_ratio() -> None:
    panel = random_panel(3, 300, 1)
    weights_TN = np.full((300, 1), np.nan)
    weights_TN[0] = 1.0
    result = run(panel, weights_TN)
    np.testing.assert_allclose(result.equity_T[1:], 1e5 * panel.close_TN[1:, 0] / panel.open_TN[1, 0], rtol=1e-14)
    np.testing.assert_allclose(result.weights_TN[1:], 1.0, rtol=1e-12)


def test_first_equity_is_the_initial_cash_and_the_last_decision_never_fills() -> None:
    panel = random_panel(4, 50, 1)
    weights_TN = np.full((20, 1), np.nan)
    weights_TN[-1] = 1.0
    result = run(panel, weights_TN, Range(10, 30), initial_cash=777.0)
    assert result.equity_T[0] == result.initial_cash == 777.0
    assert (result.equity_T == 777.0).all()
    assert result.fills == ()
    assert len(result.equity_T) == 20
    np.testing.assert_array_equal(result.ts_T, panel.ts_T[10:30])


def test_range_does_not_see_bars_outside_it() -> None:
    panel = random_panel(5, 120, 2)
    weights_TN = weights_for(panel)
    inside = run(panel, weights_TN[30:90], Range(30, 90), costs=REAL)
    alone = run(panel.slice(30, 90), weights_TN[30:90], costs=REAL)
    np.testing.assert_array_equal(inside.equity_T, alone.equity_T)
    assert inside.fills == alone.fills


def test_truncated_range_gives_the_same_past() -> None:
    panel = random_panel(6, 200, 2, missing=0.1)
    weights_TN = weights_for(panel)
    whole = run(panel, weights_TN, costs=REAL, stop_loss=0.04)
    for stop in (2, 60, 61, 150):
        part = run(panel.slice(0, stop), weights_TN[:stop], costs=REAL, stop_loss=0.04)
        np.testing.assert_array_equal(whole.equity_T[:stop], part.equity_T)
        assert tuple(fill for fill in whole.fills if fill.bar < stop) == part.fills


def test_few_and_many_instruments_are_judged_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scalar loop and the bar step, chosen by the number of instruments, give one result."""
    panel = random_panel(7, 100, 6, missing=0.1)
    weights_TN = weights_for(panel, scale=0.3)
    first = run(panel, weights_TN, costs=REAL, stop_loss=0.05)
    monkeypatch.setattr(vectorized, "WIDE_FROM", 2)
    second = run(panel, weights_TN, costs=REAL, stop_loss=0.05)
    np.testing.assert_array_equal(first.equity_T, second.equity_T)
    assert first.fills == second.fills
    assert first.trades == second.trades
    assert first.costs == second.costs


@pytest.mark.row("B17")
@pytest.mark.parametrize("xp", [np, torch], ids=["numpy", "torch"])
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_many_accounts_equal_single_runs(xp: Any, missing: float) -> None:
    panel = random_panel(8, 80, 2, missing=missing)
    weights_BTN = np.stack([weights_for(panel, seed) for seed in range(10)])
    backtest = Vectorized(leverage=2.0, stop_loss=0.05, costs=REAL)
    given = torch.from_numpy(weights_BTN) if xp is torch else weights_BTN
    equity_BT = np.asarray(backtest.run_many(panel, given, Range(0, 80), xp=xp))
    assert equity_BT.shape == (10, 80)
    for weights_TN, equity_T in zip(weights_BTN, equity_BT, strict=True):
        single = backtest.run(panel, Positions(weights_TN=weights_TN), Range(0, 80), name="one")
        np.testing.assert_array_equal(single.equity_T, equity_T)


def test_bankruptcy_names_its_bar_and_later_orders_are_rejected() -> None:
    panel = make_panel(np.array([[100.0], [100.0], [300.0], [100.0], [100.0]]))
    result = run(panel, np.array([[-1.0], [np.nan], [1.0], [1.0], [1.0]]))
    assert result.ended_at == 2
    np.testing.assert_array_equal(result.equity_T, [1e5, 1e5, -1e5, -1e5, -1e5])
    assert [fill.reason for fill in result.fills] == ["order", "bankrupt", "account_ended", "account_ended"]
    np.testing.assert_array_equal(result.weights_TN[2:], 0.0)


def test_stop_columns_of_positions_are_used() -> None:
    panel = make_panel(
        open_TN=[[100.0], [100.0], [100.0]], high_TN=[[100.0]] * 3, low_TN=[[100.0], [99.0], [85.0]],
        close_TN=[[100.0], [100.0], [90.0]],
    )  # fmt: skip
    weights_TN = np.array([[1.0], [np.nan], [np.nan]])
    positions = Positions(weights_TN=weights_TN, stop_loss_TN=np.array([[0.1], [np.nan], [np.nan]]))
    result = Vectorized(costs=FREE).run(panel, positions, Range(0, 3), name="stop")
    assert [fill.reason for fill in result.fills] == ["order", "stop_loss"]
    assert result.equity_T[-1] == 90_000.0
    assert result.trades[0].exit_reason == "stop_loss"


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300, -2e6])
def test_impossible_weight_is_refused_by_symbol_and_row(value: float) -> None:
    panel = random_panel(9, 10, 2)
    weights_TN = np.zeros((10, 2))
    weights_TN[3, 1] = value
    with pytest.raises(MarketError, match=r"^S1: weight of row 3 is "):
        run(panel, weights_TN)
    with pytest.raises(MarketError, match=r"^S1: weight of row 3 is "):
        Vectorized(costs=FREE).run_many(panel, weights_TN[None], Range(0, 10))


@pytest.mark.parametrize(("name", "price"), [("open", np.nan), ("close", 0.0), ("low", -1.0), ("high", np.inf)])
def test_impossible_price_is_refused_by_symbol_and_time(name: str, price: float) -> None:
    panel = random_panel(9, 10, 2)
    prices_TN = getattr(panel, f"{name}_TN").copy()
    prices_TN[4, 1] = price
    with pytest.raises(MarketError, match=f"^S1: {name} of the bar at 2020-01-05T"):
        run(replace(panel, **{f"{name}_TN": prices_TN}), np.zeros((10, 2)))


def test_weights_of_another_shape_or_type_are_refused() -> None:
    panel = random_panel(9, 10, 2)
    with pytest.raises(MarketError, match=r"must have shape \(10, 2\)"):
        run(panel, np.zeros((9, 2)))
    with pytest.raises(MarketError, match="must be float64"):
        run(panel, np.zeros((10, 2), dtype=np.float32))


def test_impossible_distance_is_refused() -> None:
    panel = random_panel(9, 10, 1)
    for distance_TN in (np.zeros((10, 1)), np.full((10, 1), -0.1), np.full((10, 1), np.inf)):
        positions = Positions(weights_TN=np.zeros((10, 1)), trailing_TN=distance_TN)
        with pytest.raises(MarketError, match=r"^S0: trailing of row 0"):
            Vectorized(costs=FREE).run(panel, positions, Range(0, 10), name="bad")
    positions = Positions(weights_TN=np.zeros((10, 1)), stop_loss_TN=np.ones((3, 1)))
    with pytest.raises(MarketError, match=r"^stop_loss must have the shape"):
        Vectorized(costs=FREE).run(panel, positions, Range(0, 10), name="bad")


def test_two_currencies_are_refused() -> None:
    panel = random_panel(9, 10, 2)
    mixed = replace(panel, instruments=(panel.instruments[0], replace(panel.instruments[1], currency="EUR")))
    with pytest.raises(MarketError, match=r"^S1 settles in EUR but S0 in USD"):
        run(mixed, np.zeros((10, 2)))


@pytest.mark.parametrize("rows", [Range(0, 11), Range(5, 5), Range(-1, 4)])
def test_range_outside_the_panel_is_refused(rows: Range) -> None:
    with pytest.raises(MarketError, match=r"must lie within the 10 bars"):
        run(random_panel(9, 10, 1), np.zeros((max(len(rows), 0), 1)), rows)


def test_wrong_rule_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^leverage must be > 0, was 0"):
        Vectorized(leverage=0.0, costs=FREE)


def test_backtest_needs_no_torch() -> None:
    code = (
        "import sys, tradewright.backtest.vectorized, tradewright.strategy.sma_cross, tradewright.strategy.momentum,"
        " tradewright.strategy.buy_and_hold; assert not {'torch', 'lightning', 'torchrl'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_many_strategies_and_many_instruments_are_scored_like_single_accounts(panel_of) -> None:
    panel = panel_of(300, 3)
    backtest = Vectorized(costs=Costs(fee_bps=2.0))
    rows = Range(20, 300)
    weights = np.random.default_rng(1).dirichlet(np.ones(4), 280)[:, :3]
    result = backtest.run(panel, Positions(weights_TN=weights), rows, name="own")
    held = backtest.rebalance(panel, weights, rows)
    np.testing.assert_allclose(held.equity_T, result.equity_T, rtol=1e-12)
    scored = backtest.score_many(panel, [weights[None]], rows)
    assert scored["total_return"][0] == pytest.approx(result.equity_T[-1] / result.equity_T[0] - 1, rel=1e-9)


@pytest.mark.parametrize("is_compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_compiled_account_equals_the_plain_one(
    panel_of, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, is_compiled: bool
) -> None:
    """The small form lets Python run what ``numba`` would compile for twenty seconds."""
    numba = pytest.importorskip("numba", reason="numba is optional: pip install 'tradewright[numba]'")
    if not is_compiled:
        as_records = compiled._as_records
        monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
        monkeypatch.setattr(compiled, "_as_records", lambda book: as_records(book).view(np.recarray))
    compiled.compiled_machine.cache_clear()
    request.addfinalizer(compiled.compiled_machine.cache_clear)
    panel = panel_of(200)
    weights = np.where(np.random.default_rng(2).random((200, 1)) < 0.3, 1.0, np.nan)
    weights[::7] = 0.0
    plain, fast = (
        Vectorized(compiled=by_numba, stop_loss=0.02, costs=Costs(fee_bps=2.0)).run(
            panel, Positions(weights_TN=weights), Range(0, 200), name="own"
        )
        for by_numba in (False, True)
    )
    np.testing.assert_array_equal(plain.equity_T, fast.equity_T)
    assert plain.fills == fast.fills
