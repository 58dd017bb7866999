"""``OpenTrade``: a trade from its first fill on, until it is flat or the range ends.

Legend: T bars of the judged range.
"""

from dataclasses import dataclass, field
from math import inf

import numpy as np
import numpy.typing as npt

from tradewright.backtest.carry import Paid
from tradewright.backtest.result import Trade
from tradewright.market.instrument import Instrument


@dataclass
class OpenTrade:
    """Sums over the fills of one trade; quantities in shares, money (``paid`` to ``lifted``) without the multiplier.

    ``lifted`` are the sums of what rolls added to the prices of earlier purchases and sales.
    """

    entry_bar: int
    entry_reason: str
    shares: float = 0.0
    largest: float = 0.0
    bought: float = 0.0
    paid: float = 0.0
    sold: float = 0.0
    received: float = 0.0
    fees: float = 0.0
    slippage: float = 0.0
    slippage_of_rolls: float = 0.0
    bought_lifted: float = 0.0
    sold_lifted: float = 0.0
    lowest: float = inf
    highest: float = -inf
    seen: int = field(init=False)
    """Number of bars whose low and high are known to the trade."""

    def __post_init__(self) -> None:
        self.seen = self.entry_bar

    def fill(self, quantity: float, after: float, price: float, fee: float, slippage: float) -> None:
        """Take part in a fill at ``price`` (slippage included) that leaves ``after`` shares."""
        if quantity > 0:
            self.bought += quantity
            self.paid += quantity * price
        else:
            self.sold -= quantity
            self.received -= quantity * price
        self.fees += fee
        self.slippage += slippage
        self.shares = after
        self.largest = after if abs(after) > abs(self.largest) else self.largest

    def pay(self, fee: float, slippage: float) -> None:
        """Pay for half a roll, which leaves the position as it is."""
        self.fees += fee
        self.slippage += slippage
        self.slippage_of_rolls += slippage

    def see(self, low: float, high: float) -> None:
        """Widen the range of prices seen."""
        self.lowest, self.highest = min(self.lowest, low), max(self.highest, high)

    def restate(self, ratio: float, shift: float) -> None:
        """Turn one old share into ``ratio`` new ones; a roll stands ``shift`` higher than what was traded before."""
        self.shares, self.largest = self.shares * ratio, self.largest * ratio
        self.bought, self.sold = self.bought * ratio, self.sold * ratio
        self.bought_lifted, self.sold_lifted = (
            self.bought_lifted + self.bought * shift,
            self.sold_lifted + self.sold * shift,
        )
        self.lowest, self.highest = self.lowest / ratio + shift, self.highest / ratio + shift

    def finish(
        self,
        instrument: Instrument,
        ts_T: npt.NDArray[np.datetime64],
        exit_bar: int | None,
        reason: str,
        held: Paid,
        *,
        price: float = 0.0,
    ) -> Trade:
        """Return the trade, its remaining shares valued at ``price``."""
        is_long = self.largest > 0
        bought = (self.bought, self.paid, self.bought_lifted)
        sold = (self.sold, self.received, self.sold_lifted)
        (entered, spent, lifted), (left, taken, _) = (bought, sold) if is_long else (sold, bought)
        entry, comparable = spent / entered, (spent + lifted) / entered
        value = self.received + self.sold_lifted - self.paid - self.bought_lifted + self.shares * price
        moved = value * instrument.multiplier
        carry = held.borrow + held.funding - held.dividends
        pnl = moved - self.slippage_of_rolls - self.fees - carry
        costs = self.fees + self.slippage + carry
        down, up = max(comparable - self.lowest, 0.0) / entry, max(self.highest - comparable, 0.0) / entry
        last_bar = len(ts_T) - 1 if exit_bar is None else exit_bar
        return Trade(
            symbol=instrument.symbol,
            side="long" if is_long else "short",
            quantity=self.largest,
            entry_bar=self.entry_bar,
            entry_ts=ts_T[self.entry_bar],
            entry_price=entry,
            entry_reason=self.entry_reason,
            exit_bar=exit_bar,
            exit_ts=None if exit_bar is None else ts_T[exit_bar],
            exit_price=None if exit_bar is None else taken / left,
            exit_reason=reason,
            pnl=pnl,
            gross_pnl=pnl + costs,
            costs=costs,
            fees=self.fees,
            slippage=self.slippage,
            borrow=held.borrow,
            funding=held.funding,
            dividends=held.dividends,
            return_fraction=pnl / (abs(self.largest) * entry * instrument.multiplier),
            holding_bars=last_bar - self.entry_bar,
            holding_days=float((ts_T[last_bar] - ts_T[self.entry_bar]) / np.timedelta64(1, "D")),
            mae=down if is_long else up,
            mfe=up if is_long else down,
        )
