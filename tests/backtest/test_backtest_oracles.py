"""The backtester equals independent simulations of a few lines each, on the semantics that other engines share.

Shared semantics: decide at close t, fill at open t+1; fees on the slipped notional; all-in size
``(cash - fixed) / (price * (1 + fee))``; a stop fills at the worse of open and stop price, is checked on the entry bar
too, before the target, and leaves the position closed until the signal turns. Agreement is 1e-12, relative.
Legend: T bars, N instruments.
"""

from pathlib import Path

import numpy as np
import pytest

from market_cases import make_panel, random_panel
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs
from tradewright.strategy.sma_cross import SmaCross

CSV = Path(__file__).parents[1] / "golden" / "bars_500.csv"
NAN = float("nan")


def golden_panel() -> Panel:
    bars = np.loadtxt(CSV, delimiter=",", skiprows=1, usecols=(1, 2, 3, 4))
    return make_panel(*(bars[:, [column]] for column in range(4)))


PANELS = {
    "golden": golden_panel(),
    "calm": random_panel(1, 600, 1, volatility=0.01),
    "wild": random_panel(2, 600, 1, volatility=0.05),
}
panels = pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS.keys())


def averages(close_T: np.ndarray, fast: int, slow: int) -> np.ndarray:
    """Signal after each close: 1 where the fast average is above the slow one, -1 below, NaN before the slow exists."""
    signal_T = np.full(len(close_T), NAN)
    for t in range(slow - 1, len(close_T)):
        signal_T[t] = np.sign(close_T[t + 1 - fast : t + 1].mean() - close_T[t + 1 - slow : t + 1].mean())
    return signal_T


def run(panel: Panel, weights_TN: np.ndarray, **changes: object) -> np.ndarray:
    costs = Costs(**{name: changes.pop(name) for name in list(changes) if name in Costs.__dataclass_fields__})
    backtest = Vectorized(initial_cash=10_000.0, costs=costs, **changes)
    return backtest.run(panel, Positions(weights_TN=weights_TN), Range(0, panel.num_bars), name="test").equity_T


def at_changes(target_T: np.ndarray) -> np.ndarray:
    """Orders only where the target changes."""
    is_same = np.append(False, (target_T[1:] == target_T[:-1]) | np.isnan(target_T[1:]))
    return np.where(is_same, NAN, target_T)[:, None]


@panels
@pytest.mark.parametrize(("fast", "slow"), [(10, 20), (20, 50)])
@pytest.mark.parametrize(
    ("fee", "slippage", "fixed", "lot"), [(0.001, 0, 0, 0), (0.001, 0.0005, 1, 0), (0.001, 0, 0, 1)]
)
def test_sma_cross_all_in_equals_simulation(
    panel: Panel, fast: int, slow: int, fee: float, slippage: float, fixed: float, lot: float
) -> None:
    open_T, close_T = panel.open_TN[:, 0], panel.close_TN[:, 0]
    signal_T = averages(close_T, fast, slow)
    cash, shares, expected = 10_000.0, 0.0, [10_000.0]
    for t in range(1, len(close_T)):
        if signal_T[t - 1] > 0 and shares == 0:
            price = open_T[t] * (1 + slippage)
            shares = (cash - fixed) / (price * (1 + fee))
            shares = np.floor(shares) if lot else shares
            cash -= shares * price * (1 + fee) + fixed
        elif signal_T[t - 1] < 0 and shares > 0:
            cash += shares * open_T[t] * (1 - slippage) * (1 - fee) - fixed
            shares = 0.0
        expected.append(cash + shares * close_T[t])
    instruments = make_panel(panel.open_TN, panel.high_TN, panel.low_TN, panel.close_TN, lot=lot)
    weights_TN = SmaCross(fast=fast, slow=slow).decide(instruments, None, Range(0, panel.num_bars)).weights_TN
    equity_T = run(instruments, weights_TN, fee_bps=fee * 1e4, slippage_bps=slippage * 1e4, fixed_fee=fixed)
    np.testing.assert_allclose(equity_T, expected, rtol=1e-12)


@panels
def test_long_short_sma_cross_equals_simulation(panel: Panel) -> None:
    """A reversal first closes, then opens with what buying power is left after the fees of both."""
    fee, open_T, close_T = 0.001, panel.open_TN[:, 0], panel.close_TN[:, 0]
    signal_T = averages(close_T, 10, 30)
    cash, shares, side, expected = 10_000.0, 0.0, 0.0, [10_000.0]
    for t in range(1, len(close_T)):
        wanted = signal_T[t - 1]
        if not np.isnan(wanted) and wanted != side:
            cash += shares * open_T[t] - abs(shares) * open_T[t] * fee
            shares = wanted * cash / (open_T[t] * (1 + fee))
            cash -= shares * open_T[t] + abs(shares) * open_T[t] * fee
            side = wanted
        expected.append(cash + shares * close_T[t])
    equity_T = run(panel, at_changes(signal_T), fee_bps=10.0)
    np.testing.assert_allclose(equity_T, expected, rtol=1e-12)


STOPS = {
    "stop loss": (0.05, NAN, NAN),
    "stop loss and target": (0.05, 0.10, NAN),
    "trailing": (NAN, NAN, 0.08),
    "all three": (0.06, 0.12, 0.05),
}


@panels
@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(("loss", "profit", "trail"), STOPS.values(), ids=STOPS.keys())
def test_stops_in_chronological_order_equal_simulation(
    panel: Panel, side: float, loss: float, profit: float, trail: float
) -> None:
    fee, slip = 0.001, 0.0005
    open_T, high_T, low_T, close_T = (x[:, 0] for x in (panel.open_TN, panel.high_TN, panel.low_TN, panel.close_TN))
    signal_T = np.where(averages(close_T, 10, 20) == side, side, 0.0)
    cash, shares, entry, best, is_done, expected = 10_000.0, 0.0, NAN, NAN, False, [10_000.0]
    for t in range(1, len(close_T)):
        if signal_T[t - 1] == 0:
            cash += shares * open_T[t] * (1 - side * slip) * (1 - side * fee)
            shares, is_done = 0.0, False
        elif shares == 0 and not is_done:
            entry = best = open_T[t] * (1 + side * slip)
            cost = slip + fee * (1 + side * slip)
            shares = side * cash / (open_T[t] * (1 + cost))
            cash -= shares * entry + abs(shares) * entry * fee
        if shares != 0:
            levels = [entry * (1 - side * loss), best * (1 - side * trail)]
            stop = np.nanmax(levels) if side > 0 else np.nanmin(levels)
            target = entry * (1 + side * profit)
            worst, top = (low_T[t], high_T[t]) if side > 0 else (high_T[t], low_T[t])
            price = NAN
            if side * worst <= side * stop:
                price = (min(open_T[t], stop) if side > 0 else max(open_T[t], stop)) * (1 - side * slip)
            elif side * top >= side * target:
                price = max(open_T[t], target) if side > 0 else min(open_T[t], target)
            if not np.isnan(price):
                cash += shares * price - abs(shares) * price * fee
                shares, is_done = 0.0, True
            best = max(best, high_T[t]) if side > 0 else min(best, low_T[t])
        expected.append(cash + shares * close_T[t])
    distances = {"stop_loss": loss, "take_profit": profit, "trailing": trail}
    given = {name: None if np.isnan(value) else value for name, value in distances.items()}
    equity_T = run(panel, at_changes(signal_T), fee_bps=fee * 1e4, slippage_bps=slip * 1e4, **given)
    np.testing.assert_allclose(equity_T, expected, rtol=1e-12)


@pytest.mark.parametrize("num", [5, 20, 50])
@pytest.mark.parametrize("gross", [0.9, 1.0])
def test_many_assets_with_shared_cash_equal_simulation(num: int, gross: float) -> None:
    """Daily rebalancing: sales first, purchases scaled alike to the cash."""
    panel, fee = random_panel(num, 120, num), 0.001
    rng = np.random.default_rng(num)
    weights_TN = rng.dirichlet(np.ones(num), 120) * gross
    cash, shares_N, expected = 10_000.0, np.zeros(num), [10_000.0]
    for t in range(1, 120):
        price_N = panel.open_TN[t]
        equity = cash + (shares_N * price_N).sum()
        change_N = weights_TN[t - 1] * equity / price_N - shares_N
        change_N[np.abs(change_N) * price_N < 1e-9 * equity] = 0.0
        sale_N, purchase_N = np.minimum(change_N, 0), np.maximum(change_N, 0)
        cash -= (sale_N * price_N * (1 - fee)).sum()
        purchase_N *= min(1.0, cash / (purchase_N * price_N * (1 + fee)).sum())
        cash -= (purchase_N * price_N * (1 + fee)).sum()
        shares_N = shares_N + sale_N + purchase_N
        expected.append(cash + (shares_N * panel.close_TN[t]).sum())
    np.testing.assert_allclose(run(panel, weights_TN, fee_bps=10.0, allow_short=False), expected, rtol=1e-12)


def test_long_short_assets_with_shared_cash_equal_simulation() -> None:
    """Gross exposure of 0.8 leaves room for all costs, so every order is filled in full."""
    num, fee, slip = 20, 0.001, 0.0005
    panel, rng = random_panel(7, 120, num), np.random.default_rng(7)
    weights_TN = rng.dirichlet(np.ones(num), 120) * 0.8 * rng.choice([-1, 1], (120, num))
    cash, shares_N, expected = 10_000.0, np.zeros(num), [10_000.0]
    for t in range(1, 120):
        price_N = panel.open_TN[t]
        target_N = weights_TN[t - 1] * (cash + (shares_N * price_N).sum()) / price_N
        fill_N = price_N * np.where(target_N > shares_N, 1 + slip, 1 - slip)
        cash -= ((target_N - shares_N) * fill_N).sum() + (np.abs(target_N - shares_N) * fill_N).sum() * fee
        shares_N = target_N
        expected.append(cash + (shares_N * panel.close_TN[t]).sum())
    np.testing.assert_allclose(run(panel, weights_TN, fee_bps=10.0, slippage_bps=5.0), expected, rtol=1e-12)


def test_futures_with_margin_equal_simulation() -> None:
    """Two-fold leverage, contracts of 50 per point in whole lots, a fee per contract."""
    panel = make_panel(*(x * 40 for x in _prices(PANELS["calm"])), multiplier=50.0, lot=1.0)
    open_T, close_T = panel.open_TN[:, 0], panel.close_TN[:, 0]
    signal_T = averages(close_T, 10, 20)
    cash, contracts, side, expected = 1e6, 0.0, 0.0, [1e6]
    for t in range(1, len(close_T)):
        if not np.isnan(signal_T[t - 1]) and signal_T[t - 1] != side:
            side = signal_T[t - 1]
            equity = cash + contracts * open_T[t] * 50
            wanted = np.trunc(side * 1.5 * equity / (open_T[t] * 50) - contracts)
            cash -= wanted * open_T[t] * 50 + abs(wanted) * 2.5
            contracts += wanted
        expected.append(cash + contracts * close_T[t] * 50)
    backtest = Vectorized(initial_cash=1e6, leverage=2.0, costs=Costs(per_share_fee=2.5))
    positions = Positions(weights_TN=1.5 * at_changes(signal_T))
    result = backtest.run(panel, positions, Range(0, panel.num_bars), name="futures")
    np.testing.assert_allclose(result.equity_T, expected, rtol=1e-12)


def _prices(panel: Panel) -> tuple[np.ndarray, ...]:
    return panel.open_TN, panel.high_TN, panel.low_TN, panel.close_TN
