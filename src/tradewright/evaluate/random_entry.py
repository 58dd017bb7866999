"""The random-entry baseline: strategies that hold what the strategy held, but at random times, on the same bars.

Turnover, exposure, holding times and costs stay the strategy's; only the timing is lost. What remains of its figures
was never timing. Legend: R random strategies, T bars, N instruments.
"""

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
    drawn = [_draw(positions, generator) for _ in range(num_random)]
    equity_RT = _equity(bench, [moved for moved, _ in drawn], rows)
    marks, periods = calendar.annualised_marks(result.ts_T, result.timeframe_s, result.periods_per_year)

    def sharpe(equity_T: np.ndarray) -> float:
        return ratios.sharpe(returns.simple_returns(equity_T[marks]), periods, risk_free)

    own = sharpe(result.equity_T)
    sharpe_R = np.array([sharpe(equity_T) for equity_T in equity_RT])
    at_least = int(np.sum(~(sharpe_R < own)))
    return RandomEntry(
        sharpe_R=sharpe_R,
        total_return_R=np.array([returns.total_return(equity_T) for equity_T in equity_RT]),
        sharpe=own,
        total_return=returns.total_return(result.equity_T),
        p_value=float("nan") if np.isnan(own) else (1 + at_least) / (1 + num_random),
        method=drawn[0][1],
    )


def _draw(positions: Positions, generator: np.random.Generator) -> tuple[Positions, str]:
    """Return the decisions at random times, and how the times were drawn."""
    num_rows, num = positions.weights_TN.shape
    if num == 1:
        rows_T = shuffle_spells(positions.weights_TN[:, 0], generator)
        if rows_T is not None:
            return take(positions, rows_T), SPELLS
    shift = int(generator.integers(1, max(num_rows, 2)))
    shifted = take(positions, rotate(num_rows, shift))
    weights_TN = shifted.weights_TN
    weights_TN[0] = targets(positions.weights_TN)[-shift]
    first_N = weights_TN[shift % num_rows]
    weights_TN[shift % num_rows] = np.where(np.isnan(first_N), 0.0, first_N)
    return shifted, ROTATION


def _equity(bench: Bench, drawn: list[Positions], rows: Range) -> Float:
    """Return the equity ``[R, T]`` of every drawn strategy, in chunks that fit the memory."""
    backtest = bench.backtest
    if any(positions.stop_loss_TN is not None or positions.take_profit_TN is not None for positions in drawn):
        return np.stack([backtest.run(bench.panel, positions, rows, name="random").equity_T for positions in drawn])
    size = max(1, CHUNK_NUMBERS // drawn[0].weights_TN.size)
    chunks = [drawn[i : i + size] for i in range(0, len(drawn), size)]
    return np.concatenate(
        [backtest.run_many(bench.panel, np.stack([p.weights_TN for p in chunk]), rows) for chunk in chunks]
    )
