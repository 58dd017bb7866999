"""What holding a position cost, by instrument, bar and kind, so that the journal can give it to trades.

The amounts are those that the accounting charged before the open of bar t on the shares and marks of bar t-1:
borrow ``short notional * rate * years``, funding ``notional * rate``, dividends ``shares * cash``.
Legend: T bars of the judged range, N instruments. Money is float64.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradewright.market.ledger import Ledger, Quotes

Float = npt.NDArray[np.float64]


class Paid(NamedTuple):
    """Money that one trade paid for borrowed shares and funding, and received as dividends."""

    borrow: float = 0.0
    funding: float = 0.0
    dividends: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Carry:
    """Money by bar and instrument ``[T, N]``; None: nothing of the kind."""

    borrow_TN: Float | None = None
    funding_TN: Float | None = None
    dividends_TN: Float | None = None

    def of(self, n: int, entry_bar: int, last_bar: int) -> Paid:
        """Return what a trade paid that was opened in ``entry_bar`` and held into ``last_bar``."""
        rows = slice(entry_bar + 1, last_bar + 1)
        kinds = (self.borrow_TN, self.funding_TN, self.dividends_TN)
        return Paid(*(0.0 if money_TN is None else float(money_TN[rows, n].sum()) for money_TN in kinds))


def find_carry(ledger: Ledger, quotes: Quotes, multiplier_N: Float, borrow_rate: float) -> Carry:
    """Return the carry of an account's history.

    Args:
        ledger: The history.
        quotes: Its bars.
        multiplier_N: Money per price unit.
        borrow_rate: Annual rate where the quotes carry none.
    """
    has_borrow = quotes.borrow is not None or borrow_rate > 0
    if not (has_borrow or quotes.funding is not None or quotes.dividend is not None):
        return Carry()
    held_TN = np.zeros_like(ledger.shares)
    held_TN[1:] = ledger.shares[:-1]
    value_TN = np.zeros_like(held_TN)
    value_TN[1:] = held_TN[1:] * ledger.mark[:-1] * multiplier_N
    if ledger.ended_at is not None:
        value_TN[ledger.ended_at + 1 :] = 0.0  # an ended account pays no more
    borrow_TN = funding_TN = dividends_TN = None
    if has_borrow:
        rate_TN = borrow_rate if quotes.borrow is None else quotes.borrow
        borrow_TN = np.maximum(-value_TN, 0.0) * rate_TN * quotes.years[:, None]
    if quotes.funding is not None:
        funding_TN = value_TN * quotes.funding
    if quotes.dividend is not None:
        dividends_TN = held_TN * quotes.dividend * multiplier_N
    return Carry(borrow_TN=borrow_TN, funding_TN=funding_TN, dividends_TN=dividends_TN)
