"""The backtest behind ``statistics.json``: long above and short below a moving-average cross on the frozen 500 bars.

Run it to write the file anew; a change of its numbers belongs in the change log with before and after.
Legend: T bars.
"""

import csv
import json
import math
from pathlib import Path

import numpy as np

from tradewright.backtest.result import BacktestResult
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.market.instrument import Instrument
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs
from tradewright.metrics.summary import summarise

BARS = Path(__file__).with_name("bars_500.csv")
GOLDEN = Path(__file__).with_name("statistics.json")
RISK_FREE = 0.01


def panel() -> Panel:
    """Return the 500 bars."""
    with BARS.open() as file:
        rows = list(csv.DictReader(file))
    column = {
        key: np.array([float(row[key]) for row in rows])[:, None] for key in ("open", "high", "low", "close", "volume")
    }
    ts = np.array([row["ts"] for row in rows], dtype="datetime64[us]")
    return Panel(
        dataset="golden",
        instruments=(Instrument(symbol="GOLD"),),
        timeframe_s=86_400,
        ts_T=ts,
        known_at_T=ts + np.timedelta64(1, "D"),
        open_TN=column["open"],
        high_TN=column["high"],
        low_TN=column["low"],
        close_TN=column["close"],
        volume_TN=column["volume"],
        tradable_TN=np.ones((len(rows), 1), dtype=np.bool_),
    )


def cross_weights(close_T: np.ndarray, fast: int = 5, slow: int = 20) -> np.ndarray:
    """Return 0.9 where the fast mean of closes is above the slow one, -0.5 where below; NaN (no order) in between."""
    weights = np.full(len(close_T), np.nan)
    for t in range(slow - 1, len(close_T)):
        is_up = close_T[t - fast + 1 : t + 1].mean() > close_T[t - slow + 1 : t + 1].mean()
        wanted = 0.9 if is_up else -0.5
        held = weights[:t][~np.isnan(weights[:t])]
        weights[t] = wanted if len(held) == 0 or held[-1] != wanted else np.nan
    return weights


def backtests() -> tuple[BacktestResult, BacktestResult]:
    """Return the strategy and buy-and-hold."""
    bars = panel()
    rows = Range(0, bars.num_bars)
    backtest = Vectorized(
        stop_loss=0.08, costs=Costs(fee_bps=5.0, fixed_fee=1.0, slippage_bps=3.0, borrow_rate=0.02, cash_rate=0.005)
    )
    hold = np.full(bars.num_bars, np.nan)
    hold[0] = 1.0
    tracks = {"cross": cross_weights(bars.close_TN[:, 0]), "buy_and_hold": hold}
    strategy, benchmark = (
        backtest.run(bars, Positions(weights_TN=weights[:, None]), rows, name=name) for name, weights in tracks.items()
    )
    return strategy, benchmark


def statistics() -> dict[str, dict[str, float | None]]:
    """Return every figure of both accounts; undefined is None."""
    strategy, benchmark = backtests()
    figures = {result.name: summarise(result, benchmark, RISK_FREE) for result in (strategy, benchmark)}
    return {
        name: {key: None if math.isnan(value) else value for key, value in values.items()}
        for name, values in figures.items()
    }


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(statistics(), indent=2) + "\n")
