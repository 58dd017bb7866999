"""All-in long or flat in one instrument, many accounts at once: the accounting in closed form, per trade, not per bar.

Between a purchase and a sale equity is proportional to the close, so what a trade adds to the sum of returns, of their
squares and of the shortfalls is a difference of running sums of the market's own returns, and the worst fall inside it
is one question to a table (``segments.py``). An account costs time for its trades, not for its bars, and no equity
curve is kept. It holds for fractional shares, proportional fees and slippage, no stops, no leverage and no interest;
tests prove it equal to the bar step.

Differences of running sums lose digits where what is left is tiny. Rows whose dispersion or shortfall is below
``GUARD`` of what it is a difference of, and series too long for the table, are worked out from their equity curve.
Legend: T bars, b accounts of a chunk, K trades of all of them in order, n returns between marks.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradewright.backtest.long_flat_loop import walk_trades
from tradewright.backtest.segments import MAX_BARS, Segments, build_segments
from tradewright.backtest.signal_trades import Trades, accumulate_rows, find_trades, shift_rows
from tradewright.market.tally import Moments

Float = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Bool = npt.NDArray[np.bool_]

GUARD = 0.02
"""Part of the whole below which a row is worked out anew: what is left keeps about 12 digits."""


class Scores(NamedTuple):
    """What the trades make of b accounts: final equity, three sums over their returns, worst fall, trades, wins."""

    final_b: Float
    sums_3b: Float
    fall_b: Float
    closed_b: Float
    wins_b: Float


class Tables(NamedTuple):
    """Prices and running sums by bar; the last entry of those of length T+1 stands for the end of the data.

    Args:
        cash: Money at the start.
        buy_T, sell_T1: Money per share with all costs at each open; at T the last close.
        close_T: Closes.
        marked_n1: Closes at the marks.
        interval_T1: Number of the return in which a bar lies, from 1; n+1 at T.
        sums_3n1: Running sums over the market's returns between marks of the three ``kinds``.
        target: Least acceptable return per mark.
    """

    cash: float
    buy_T: Float
    sell_T1: Float
    close_T: Float
    marked_n1: Float
    interval_T1: Index
    sums_3n1: Float
    target: float


class LongFlat:
    """Scores signals on one instrument's bars.

    Args:
        open_T: Opens.
        close_T: Closes.
        marks_n1: Bars at which returns begin and end, the first and the last bar among them.
        cash: Money at the start.
        fee: Fraction of the notional at the fill price.
        slippage: Fraction of the price.
        target: Least acceptable return per mark, fraction.
        is_compiled: Walk the trades in the loop that ``numba`` compiles instead of in NumPy.
    """

    def __init__(
        self,
        open_T: Float,
        close_T: Float,
        marks_n1: Index,
        *,
        cash: float,
        fee: float,
        slippage: float,
        target: float = 0.0,
        is_compiled: bool = False,
    ) -> None:
        num = len(close_T)
        marked_n1 = close_T[marks_n1]
        returns_n = marked_n1[1:] / marked_n1[:-1] - 1.0
        sums_3n1 = np.zeros((3, len(marks_n1)))
        np.cumsum(kinds(returns_n, target), axis=1, out=sums_3n1[:, 1:])
        interval_T1 = np.searchsorted(marks_n1, np.arange(num + 1)).astype(np.intp)
        sell_T1 = np.append(open_T * ((1.0 - slippage) * (1.0 - fee)), close_T[-1])
        buy_T = open_T * ((1.0 + slippage) * (1.0 + fee))
        self.marks_n1 = marks_n1
        self.tables = Tables(cash, buy_T, sell_T1, close_T, marked_n1, interval_T1, sums_3n1, target)
        self.segments = build_segments(close_T) if num <= MAX_BARS else None
        self.walk = walk_trades
        if is_compiled:
            from tradewright.backtest.long_flat_loop import compile_walk  # numba is optional and slow to import

            self.walk = compile_walk()
        self.is_compiled = is_compiled

    def moments(self, signal_bT: Bool) -> Moments:
        """Return the statistics of b accounts.

        Args:
            signal_bT: Whether each close decides to be long; orders are given where that changes, and at the first bar.
        """
        trades, num = find_trades(signal_bT), len(self.marks_n1) - 1
        if self.segments is None:
            return self._dense(trades, range(len(signal_bT)), _blank(len(signal_bT), self.tables.cash, num))
        scores = self._loop(trades, self.segments) if self.is_compiled else self._score(trades, self.segments)
        sums_3b = scores.sums_3b
        mean_b = sums_3b[0] / max(num, 1)
        moments = Moments(
            start_B=np.full_like(mean_b, self.tables.cash),
            final_B=scores.final_b,
            num_B=np.full_like(mean_b, num),
            mean_B=mean_b,
            square_B=sums_3b[1] - sums_3b[0] * mean_b,
            shortfall_B=sums_3b[2] + num * _square_below(0.0, self.tables.target),
            drawdown_B=1.0 - scores.fall_b,
            trades_B=scores.closed_b,
            wins_B=scores.wins_b,
        )
        _, squares, shortfall = self.tables.sums_3n1[:, -1]
        neutral = float(num * _square_below(0.0, self.tables.target))
        is_thin_b = moments.square_B <= GUARD * np.maximum(squares, sums_3b[1])
        is_thin_b |= moments.shortfall_B <= GUARD * (shortfall + 2.0 * neutral)
        has_trades_b = trades.bounds[1:] > trades.bounds[:-1]
        return self._dense(trades, np.flatnonzero(is_thin_b & has_trades_b).tolist(), moments)

    def _loop(self, trades: Trades, segments: Segments) -> Scores:
        """Return the scores by the scalar loop."""
        out_7b = np.empty((7, len(trades.bounds) - 1))
        walk: Callable[..., None] = self.walk
        walk(*trades, *self.tables, *segments, out_7b)
        return Scores(out_7b[0], out_7b[1:4], *out_7b[4:])

    def _score(self, trades: Trades, segments: Segments) -> Scores:
        """Return the scores by NumPy, all trades at once."""
        tables, num = self.tables, len(trades.bounds) - 1
        final_b, sums_3b = np.full(num, tables.cash), np.zeros((3, num))
        fall_b, closed_b, wins_b = np.ones(num), np.zeros(num), np.zeros(num)
        rows = np.flatnonzero(trades.bounds[1:] > trades.bounds[:-1])
        if len(rows):
            starts, ends = trades.bounds[rows], trades.bounds[rows + 1]
            paid_K = tables.buy_T.take(trades.entry_K)
            sold_K = tables.sell_T1.take(trades.exit_K)
            is_closed_K = trades.exit_K < len(tables.close_T)
            closed_b[rows] = np.add.reduceat(is_closed_K, starts, dtype=np.float64)
            wins_b[rows] = np.add.reduceat(is_closed_K & (sold_K > paid_K), starts, dtype=np.float64)
            amounts_2K = np.empty(2 * len(paid_K))  # money -> shares -> money -> ..., one factor each
            np.divide(1.0, paid_K, out=amounts_2K[0::2])
            amounts_2K[1::2] = sold_K
            amounts_2K[2 * starts] *= tables.cash
            amounts_2K = accumulate_rows(np.multiply, amounts_2K, 2 * starts, 2 * ends)
            shares_K, after_K = amounts_2K[0::2].copy(), amounts_2K[1::2].copy()
            before_K = shift_rows(after_K, starts, tables.cash)
            final_b[rows] = after_K[ends - 1]
            sums_3b[:, rows] = self._return_sums(trades, starts, (before_K, shares_K, after_K))
            fall_K = self._falls(trades, segments, (starts, ends), shares_K, after_K)
            fall_b[rows] = np.minimum.reduceat(fall_K, starts)
        return Scores(final_b, sums_3b, fall_b, closed_b, wins_b)

    def _falls(
        self, trades: Trades, segments: Segments, runs: tuple[Index, Index], shares_K: Float, after_K: Float
    ) -> Float:
        """Return the lowest equity over its peak so far in each trade, its sale included."""
        starts, ends = runs
        high_K, low_K, fall_K = segments.query(trades.entry_K, trades.exit_K - 1)
        high_K *= shares_K
        low_K *= shares_K
        peak_K = np.maximum(high_K, after_K)
        peak_K[starts] = np.maximum(peak_K[starts], self.tables.cash)
        peak_K = shift_rows(accumulate_rows(np.maximum, peak_K, starts, ends), starts, self.tables.cash)
        low_K /= peak_K
        np.minimum(fall_K, low_K, out=fall_K)
        np.maximum(peak_K, high_K, out=peak_K)
        np.divide(after_K, peak_K, out=peak_K)
        return np.minimum(fall_K, peak_K, out=fall_K)

    def _return_sums(self, trades: Trades, starts: Index, money: tuple[Float, Float, Float]) -> Float:
        """Return the sums of the three kinds over each account's returns between marks, ``[3, accounts]``.

        A return between two marks is the market's where the position is held throughout; where it changes, equity at
        the two marks is taken from the money before, the shares in, and the money after the trades.
        """
        tables = self.tables
        before_K, shares_K, after_K = money
        first_K, last_K = tables.interval_T1.take(trades.entry_K), tables.interval_T1.take(trades.exit_K)
        held_3K = tables.sums_3n1.take(np.maximum(last_K - 1, first_K), axis=1) - tables.sums_3n1.take(first_K, axis=1)
        bought_K = shares_K * tables.marked_n1.take(first_K)  # equity at the mark after the purchase
        held_K = shares_K * tables.marked_n1.take(last_K - 1)  # equity at the mark before the sale, or at the end
        is_same_K = first_K == last_K  # bought and sold between the same two marks
        is_next_K = np.zeros(len(first_K), dtype=bool)  # bought between the two marks of the sale before
        is_next_K[1:] = first_K[1:] == last_K[:-1]
        is_next_K[starts] = False
        if not is_same_K.any() and not is_next_K.any():
            held_3K += kinds(bought_K / before_K - 1.0, tables.target)
            held_3K += kinds(after_K / held_K - 1.0, tables.target)
            return np.add.reduceat(held_3K, starts, axis=1)
        return self._grouped_sums(held_3K, starts, (first_K, last_K), (before_K, bought_K, held_K, after_K))

    def _grouped_sums(
        self, held_3K: Float, starts: Index, intervals: tuple[Index, Index], equity: tuple[Float, Float, Float, Float]
    ) -> Float:
        """Like ``_return_sums`` where several purchases and sales lie between two marks: the first and last count."""
        before_K, bought_K, held_K, after_K = equity
        interval_2K = np.stack(intervals, axis=1).ravel()
        from_2K = np.stack([before_K, held_K], axis=1).ravel()
        to_2K = np.stack([bought_K, after_K], axis=1).ravel()
        is_first_2K = np.empty(len(interval_2K), dtype=bool)
        is_first_2K[1:] = interval_2K[1:] != interval_2K[:-1]
        is_first_2K[2 * starts] = True
        first = np.flatnonzero(is_first_2K)
        last = np.append(first[1:], len(interval_2K)) - 1
        returns = to_2K[last] / from_2K[first] - 1.0
        touched = np.add.reduceat(kinds(returns, self.tables.target), np.searchsorted(first, 2 * starts), axis=1)
        return touched + np.add.reduceat(held_3K, starts, axis=1)

    def _dense(self, trades: Trades, rows: Iterable[int], moments: Moments) -> Moments:
        """Return the moments with those of some rows worked out from their equity curves."""
        tables = self.tables
        for row in rows:
            cut = slice(trades.bounds[row], trades.bounds[row + 1])
            entry_K, exit_K = trades.entry_K[cut], trades.exit_K[cut]
            equity_T = self.equity(entry_K, exit_K)
            returns_n = np.diff(equity_T[self.marks_n1]) / equity_T[self.marks_n1[:-1]]
            is_closed_K = exit_K < len(tables.close_T)
            mean = returns_n.mean() if len(returns_n) else 0.0
            moments.final_B[row] = equity_T[-1]
            moments.mean_B[row] = mean
            moments.square_B[row] = np.square(returns_n - mean).sum()
            moments.shortfall_B[row] = _square_below(returns_n, tables.target).sum()
            moments.drawdown_B[row] = 1.0 - (equity_T / np.maximum.accumulate(equity_T)).min()
            moments.trades_B[row] = is_closed_K.sum()
            moments.wins_B[row] = (is_closed_K & (tables.sell_T1[exit_K] > tables.buy_T[entry_K])).sum()
        return moments

    def equity(self, entry_K: Index, exit_K: Index) -> Float:
        """Return one account's equity at every close, ``[T]``."""
        tables, num = self.tables, len(self.tables.close_T)
        factors = np.stack([1.0 / tables.buy_T[entry_K], tables.sell_T1[exit_K]], axis=1).ravel()
        amounts = np.multiply.accumulate(np.append(tables.cash, factors))  # money, shares, money, shares, ...
        edges = np.concatenate([[0], np.stack([entry_K, exit_K], axis=1).ravel(), [num]])
        lengths = np.diff(edges)
        is_held_T = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        return np.repeat(amounts, lengths) * np.where(is_held_T, tables.close_T, 1.0)


def kinds(returns_n: Float, target: float) -> Float:
    """Return ``r``, ``r**2`` and ``min(r - target, 0)**2`` less its value for a return of zero, ``[3, n]``."""
    out_3n = np.empty((3, len(returns_n)))
    out_3n[0] = returns_n
    np.multiply(returns_n, returns_n, out=out_3n[1])
    out_3n[2] = _square_below(returns_n, target)
    if target > 0:
        out_3n[2] -= _square_below(0.0, target)
    return out_3n


def _square_below(returns_n: Float | float, target: float) -> Float:
    below_n = np.minimum(returns_n - target, 0.0)
    return np.asarray(below_n * below_n)


def _blank(num: int, cash: float, num_returns: int) -> Moments:
    """Return moments to be filled in."""
    zero = np.zeros(num)
    return Moments(*(zero + value for value in (cash, cash, num_returns, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)))
