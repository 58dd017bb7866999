"""The random-entry baseline: strategies that hold what the strategy held, but at random times, on the same bars.

Turnover, exposure, holding times and costs stay the strategy's; only the timing is lost. What remains of its figures
was never timing. Legend: R random strategies, T bars, N instruments.
"""

from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from tradewright.backtest.result import BacktestResult
from tradewright.data.ranges import Range
from tradewright.evaluate.bench import Bench
from tradewright.evaluate.evidence import RandomEntry
from tradewright.evaluate.rearrange import rotate, shuffle_spells, take, targets
from tradewright.market.positions import Positions
from tradewright.metrics import calendar, ratios, returns

SPELLS = "every holding spell as it was, in random order at random times"
CHUNK_NUMBERS = 4_000_000
"""Target weights held in memory at a time."""

Float = npt.NDArray[np.float64]

TIE = 1e-9
"""Sharpe ratios this close are equal: their rounding depends on where in time the same returns lie."""

ROTATION = "all decisions shifted together by a random number of bars, around the end"


def random_entry(
    bench: Bench,
    positions: Positions,
    result: BacktestResult,
    rows: Range,
    *,
    num_random: int,
    risk_free: float,
    seed: int,
) -> RandomEntry | None:
    """Backtest ``num_random`` random strategies.

    Args:
        bench: The market.
        positions: What the strategy decided.
        result: Its backtest.
        rows: The judged bars.
        num_random: R, >= 1.
        risk_free: Annual fraction.
        seed: Of the random times.

    Returns:
        The distribution; None for a strategy without a position.
    """
    if not targets(positions.weights_TN).any():
        return None
    generator = np.random.default_rng(seed)
    close_TN = bench.panel.close_TN[rows.start : rows.stop]
    drawn = [_draw(positions, close_TN, generator) for _ in range(num_random)]
    equity_RT = _equity(bench, [moved for moved, _ in drawn], rows)
    marks, periods = calendar.annualised_marks(result.ts_T, result.timeframe_s, result.periods_per_year)

    def sharpe(equity_T: np.ndarray) -> float:
        return ratios.sharpe(returns.simple_returns(equity_T[marks]), periods, risk_free)

    own = sharpe(result.equity_T)
    sharpe_R = np.array([sharpe(equity_T) for equity_T in equity_RT])
    at_least = int(np.sum(~(sharpe_R < own - TIE * max(abs(own), 1.0))))
    return RandomEntry(
        sharpe_R=sharpe_R,
        total_return_R=np.array([returns.total_return(equity_T) for equity_T in equity_RT]),
        sharpe=own,
        total_return=returns.total_return(result.equity_T),
        p_value=float("nan") if np.isnan(own) else (1 + at_least) / (1 + num_random),
        method=drawn[0][1],
    )


def _draw(positions: Positions, close_TN: Float, generator: np.random.Generator) -> tuple[Positions, str]:
    """Return the decisions at random times, and how the times were drawn.

    Entry prices move with the closes: a limit one percent below stays one percent below.
    """
    num_rows, num = positions.weights_TN.shape
    if num == 1:
        rows_T = shuffle_spells(positions.weights_TN[:, 0], generator)
        if rows_T is not None:
            return _repriced(take(positions, rows_T), rows_T, close_TN), SPELLS
    shift = int(generator.integers(1, max(num_rows, 2)))
    rows_T = rotate(num_rows, shift)
    shifted = _repriced(take(positions, rows_T), rows_T, close_TN)
    weights_TN = shifted.weights_TN
    weights_TN[0] = targets(positions.weights_TN)[-shift]
    first_N = weights_TN[shift % num_rows]
    weights_TN[shift % num_rows] = np.where(np.isnan(first_N), 0.0, first_N)
    return shifted, ROTATION


def _repriced(moved: Positions, rows_T: npt.NDArray[np.int64], close_TN: Float) -> Positions:
    """Scale entry prices by the close at the new row over that at the old one; NaN where either has no bar."""
    if moved.limit_TN is None and moved.stop_TN is None:
        return moved
    ratio_TN = close_TN / close_TN[np.maximum(rows_T, 0)]
    return replace(
        moved,
        limit_TN=None if moved.limit_TN is None else moved.limit_TN * ratio_TN,
        stop_TN=None if moved.stop_TN is None else moved.stop_TN * ratio_TN,
    )


def _has_more_than_weights(positions: Positions) -> bool:
    """Return whether orders carry prices or distances, which batches of weights do not know."""
    plain = ("weights_TN", "confidence_TN")
    return any(getattr(positions, entry.name) is not None for entry in fields(positions) if entry.name not in plain)


def _equity(bench: Bench, drawn: list[Positions], rows: Range) -> Float:
    """Return the equity ``[R, T]`` of every drawn strategy, in chunks that fit the memory."""
    backtest = bench.backtest
    if _has_more_than_weights(drawn[0]):
        return np.stack([backtest.run(bench.panel, positions, rows, name="random").equity_T for positions in drawn])
    size = max(1, CHUNK_NUMBERS // drawn[0].weights_TN.size)
    chunks = [drawn[i : i + size] for i in range(0, len(drawn), size)]
    return np.concatenate(
        [backtest.run_many(bench.panel, np.stack([p.weights_TN for p in chunk]), rows) for chunk in chunks]
    )
