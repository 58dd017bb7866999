"""What one account is given and what it leaves, whichever form of the accounting carries it.

Legend: T bars, N instruments. Row t of the decisions is decided at the close of bar t.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradewright.market.scalar_book import Record

Float = npt.NDArray[np.float64]


class Quotes(NamedTuple):
    """Bars of all instruments as arrays ``[T, N]`` unless said otherwise; None: not given, and costs no time.

    Args:
        open, high, low, close: Prices > 0; whatever stands where ``tradable`` is False is ignored.
        tradable: Whether the instrument has a bar.
        years: ``[T]``, years of 365 days since the previous bar.
        split: New shares per old share before the open; 1: none.
        dividend: Money per old share (times the multiplier) paid to holders before the open.
        borrow: Annual rate on the notional of shorts for the time since the previous bar; replaces
            ``Costs.borrow_rate``.
        funding: Fraction of the position's notional at the previous mark, paid by longs and received by shorts before
            the open; 0: none.
        roll_from, roll_to: Prices of the leaving and the coming contract at the roll before the open; NaN: no roll.
        impact: Slippage fraction per square root of a share: an order of q shares slips by ``impact * sqrt(|q|)`` more.
            Known at the decision.
        capacity: Most shares that a decided order may move in the bar; inf: no cap. Stops, targets, liquidations and
            rolls are not capped.
        pool: Inverse liquidity of a constant-product pool, 1 / sqrt(shares x money): an order of q shares at price p
            fills at ``p / (1 - q * sqrt(p) * pool)``, q > 0 for buys. Known at the decision; 0: no pool.
        finer_open, finer_high, finer_low: ``[T, K, N]``, finer bars inside each bar in time order, padded with NaN;
            they decide whether stop or target came first.
    """

    open: Float
    high: Float
    low: Float
    close: Float
    tradable: npt.NDArray[np.bool_]
    years: Float
    split: Float | None = None
    dividend: Float | None = None
    borrow: Float | None = None
    funding: Float | None = None
    roll_from: Float | None = None
    roll_to: Float | None = None
    impact: Float | None = None
    capacity: Float | None = None
    pool: Float | None = None
    finer_open: Float | None = None
    finer_high: Float | None = None
    finer_low: Float | None = None


class Decided(NamedTuple):
    """Decisions ``[T, N]``, row t made at the close of bar t; NaN: no order, or the default distance.

    ``limit`` and ``stop`` are entry prices good for the next bar only, at most one of them per order; NaN: at the open.
    """

    weights: Float
    stop_loss: Float | None = None
    take_profit: Float | None = None
    trailing: Float | None = None
    limit: Float | None = None
    stop: Float | None = None


class Ledger(NamedTuple):
    """The account's history: equity and cash ``[T]``, shares and marks ``[T, N]``, carry in money, fills in order.

    ``carry_TN`` is what each instrument cost without being traded (borrow + funding - dividends, money); None when the
    configuration has no such cost.
    """

    equity: Float
    cash: Float
    shares: Float
    mark: Float
    interest: float
    borrow: float
    dividend: float
    records: list[Record]
    ended_at: int | None
    funding: float = 0.0
    carry_TN: Float | None = None


def last_marks(quotes: Quotes) -> Float:
    """Return the mark price of every bar, ``[T, N]``: its close, or the last one where it has no bar.

    0 before an instrument's first bar; a last mark goes through the splits and rolls since then.
    """
    marks = np.where(np.isnan(quotes.close) | ~quotes.tradable, 0.0, quotes.close)
    marks[0] = np.where(np.isnan(quotes.close[0]), 0.0, quotes.close[0])
    if quotes.split is None and quotes.roll_from is None:
        if not quotes.tradable.all():
            rows = np.where(marks > 0, np.arange(len(marks))[:, None], 0)
            marks = np.take_along_axis(marks, np.maximum.accumulate(rows, axis=0), axis=0)
        return marks
    for t in range(1, len(marks)):
        last = marks[t - 1] if quotes.split is None else marks[t - 1] / quotes.split[t]
        if quotes.roll_from is not None and quotes.roll_to is not None:
            shift = np.where(np.isnan(quotes.roll_from[t]), 0.0, quotes.roll_to[t] - quotes.roll_from[t])
            last = np.where(last > 0, last + shift, last)
        marks[t] = np.where(quotes.tradable[t], marks[t], last)
    return marks
