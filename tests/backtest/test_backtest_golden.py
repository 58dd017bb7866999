"""One golden backtest over the frozen 500 bars: a change in any number of the accounting shows here.

``PYTHONPATH=tests python tests/backtest/test_backtest_golden.py`` writes the file anew; do so only with the reason in
the commit.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from market_cases import make_panel
from tradewright.backtest.result import BacktestResult
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.ranges import Range
from tradewright.market.rules import Costs
from tradewright.strategy.sma_cross import SmaCross

GOLDEN = Path(__file__).parents[1] / "golden"
SUMMARY = GOLDEN / "backtest_500.json"


def judge() -> BacktestResult:
    """A long-short SMA cross in whole shares with every kind of cost, a trailing stop and two-fold leverage."""
    bars = np.loadtxt(GOLDEN / "bars_500.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3, 4))
    panel = make_panel(*(bars[:, [column]] for column in range(4)), lot=1.0)
    costs = Costs(fee_bps=2, fixed_fee=1, per_share_fee=0.005, slippage_bps=3, borrow_rate=0.02, cash_rate=0.03)
    backtest = Vectorized(initial_cash=100_000.0, leverage=2.0, stop_loss=0.06, trailing=0.09, costs=costs)
    rows = Range(0, panel.num_bars)
    strategy = SmaCross(fast=10, slow=30, side="long_short", exposure=1.5)
    return backtest.run(panel, strategy.decide(panel, None, rows), rows, name="golden")


def summarise(result: BacktestResult) -> dict[str, object]:
    return {
        "equity_every_25_bars": result.equity_T[::25].tolist(),
        "final_equity": float(result.equity_T[-1]),
        "final_cash": float(result.cash_T[-1]),
        "lowest_equity": float(result.equity_T.min()),
        "highest_weight": float(np.abs(result.weights_TN).max()),
        "costs": result.costs,
        "fills_by_reason": dict(Counter(fill.reason for fill in result.fills)),
        "num_trades": len(result.trades),
        "sum_of_profits": sum(trade.pnl for trade in result.trades),
        "first_fill": [result.fills[0].bar, result.fills[0].quantity, result.fills[0].price, result.fills[0].fee],
        "last_fill": [result.fills[-1].bar, result.fills[-1].quantity, result.fills[-1].price, result.fills[-1].fee],
    }


def test_golden_backtest_is_reproduced() -> None:
    expected = json.loads(SUMMARY.read_text())
    found = summarise(judge())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if name in ("fills_by_reason", "num_trades"):
            assert found[name] == value, name
        else:
            assert found[name] == pytest.approx(value, rel=1e-10), name


if __name__ == "__main__":
    SUMMARY.write_text(json.dumps(summarise(judge()), indent=2) + "\n")
