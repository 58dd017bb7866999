"""What one account is given and what it leaves, whichever form of the accounting carries it.

Legend: T bars, N instruments. Row t of the decisions is decided at the close of bar t.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradewright.market.scalar_book import Record

Float = npt.NDArray[np.float64]


class Quotes(NamedTuple):
    """Bars of all instruments as arrays ``[T, N]``, and years since the previous bar ``[T]``; None: not given."""

    open: Float
    high: Float
    low: Float
    close: Float
    tradable: npt.NDArray[np.bool_]
    years: Float
    split: Float | None = None
    dividend: Float | None = None


class Decided(NamedTuple):
    """Decisions ``[T, N]``, row t made at the close of bar t; NaN: no order, or the default distance."""

    weights: Float
    stop_loss: Float | None = None
    take_profit: Float | None = None
    trailing: Float | None = None


class Ledger(NamedTuple):
    """The account's history: equity and cash ``[T]``, shares and marks ``[T, N]``, carry in money, fills in order."""

    equity: Float
    cash: Float
    shares: Float
    mark: Float
    interest: float
    borrow: float
    dividend: float
    records: list[Record]
    ended_at: int | None


def last_marks(quotes: Quotes) -> Float:
    """Return the mark price of every bar, ``[T, N]``: its close, or the last one (split-adjusted) where it has no bar.

    0 before an instrument's first bar.
    """
    marks = np.where(np.isnan(quotes.close) | ~quotes.tradable, 0.0, quotes.close)
    marks[0] = np.where(np.isnan(quotes.close[0]), 0.0, quotes.close[0])
    if quotes.split is None:
        if not quotes.tradable.all():
            rows = np.where(marks > 0, np.arange(len(marks))[:, None], 0)
            marks = np.take_along_axis(marks, np.maximum.accumulate(rows, axis=0), axis=0)
        return marks
    for t in range(1, len(marks)):
        marks[t] = np.where(quotes.tradable[t], marks[t], marks[t - 1] / quotes.split[t])
    return marks
