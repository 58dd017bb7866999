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
