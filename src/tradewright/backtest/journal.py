"""The trade journal: fills with their reasons, and trades from flat to flat with profit net of fees.

A reversal closes one trade and opens the next; its fee and slippage are split by quantity. Borrow, interest and
dividends are not attributed to trades, so the trades' profit plus these equals the change of equity.
Legend: T bars of the judged range; ``bar`` counts from its first one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradewright.backtest.result import Fill, Trade
from tradewright.market.instrument import Instrument
from tradewright.market.rules import Reason
from tradewright.market.scalar_book import Record

REASON_NAMES = {int(reason): reason.name.lower() for reason in Reason}

STILL_OPEN = "open"
"""``exit_reason`` of a trade that is open at the end."""


def list_fills(
    records: Iterable[Record], instruments: Sequence[Instrument], ts_T: npt.NDArray[np.datetime64]
) -> tuple[Fill, ...]:
    """Return the journal's fills and rejections in time order."""
    return tuple(
        Fill(
            bar=bar,
            ts=ts_T[bar],
            symbol=instruments[n].symbol,
            quantity=quantity,
            price=price,
            fee=fee,
            slippage=slippage,
            reason=REASON_NAMES[reason],
        )
        for bar, _, n, reason, quantity, _, price, fee, slippage in records
    )


def list_trades(
    records: Iterable[Record],
    instruments: Sequence[Instrument],
    ts_T: npt.NDArray[np.datetime64],
    last_mark_N: npt.NDArray[np.float64],
) -> tuple[Trade, ...]:
    """Return closed trades in the order they closed, then open ones, marked at ``last_mark_N``."""
    running: dict[int, _Running] = {}
    closed: list[Trade] = []
    for bar, _, n, reason, quantity, after, price, fee, _ in records:
        if quantity == 0:
            continue
        instrument, open_fee = instruments[n], fee
        if n in running:
            trade = running[n]
            is_over = after == 0 or (after > 0) != (trade.shares > 0)
            if not is_over:
                trade.add(quantity, after, price, fee)
                continue
            part = trade.shares / -quantity
            trade.add(-trade.shares, 0.0, price, fee * part)
            closed.append(trade.close(instrument, ts_T, bar, REASON_NAMES[reason]))
            del running[n]
            open_fee = fee * (1.0 - part)
        if after != 0:
            running[n] = _Running(bar)
            running[n].add(after, after, price, open_fee)
    marked = [trade.mark(instruments[n], ts_T, float(last_mark_N[n])) for n, trade in sorted(running.items())]
    return (*closed, *marked)


@dataclass
class _Running:
    """A trade that is not flat yet; quantities in shares, money without the multiplier."""

    entry_bar: int
    shares: float = 0.0
    largest: float = 0.0
    bought: float = 0.0
    paid: float = 0.0
    sold: float = 0.0
    received: float = 0.0
    fees: float = 0.0

    def add(self, quantity: float, after: float, price: float, fee: float) -> None:
        if quantity > 0:
            self.bought += quantity
            self.paid += quantity * price
        else:
            self.sold -= quantity
            self.received -= quantity * price
        self.fees += fee
        self.shares = after
        self.largest = after if abs(after) > abs(self.largest) else self.largest

    def close(self, instrument: Instrument, ts_T: npt.NDArray[np.datetime64], bar: int, reason: str) -> Trade:
        return self._trade(instrument, ts_T, bar, reason, value=0.0)

    def mark(self, instrument: Instrument, ts_T: npt.NDArray[np.datetime64], price: float) -> Trade:
        return self._trade(instrument, ts_T, None, STILL_OPEN, value=self.shares * price)

    def _trade(
        self, instrument: Instrument, ts_T: npt.NDArray[np.datetime64], exit_bar: int | None, reason: str, value: float
    ) -> Trade:
        is_long = self.largest > 0
        bought = self.paid / self.bought if self.bought else None
        sold = self.received / self.sold if self.sold else None
        entry, leave = (bought, sold) if is_long else (sold, bought)
        assert entry is not None
        pnl = (self.received - self.paid + value) * instrument.multiplier - self.fees
        last_bar = len(ts_T) - 1 if exit_bar is None else exit_bar
        return Trade(
            symbol=instrument.symbol,
            side="long" if is_long else "short",
            quantity=self.largest,
            entry_bar=self.entry_bar,
            entry_ts=ts_T[self.entry_bar],
            entry_price=entry,
            exit_bar=exit_bar,
            exit_ts=None if exit_bar is None else ts_T[exit_bar],
            exit_price=None if exit_bar is None else leave,
            pnl=pnl,
            costs=self.fees,
            return_fraction=pnl / (abs(self.largest) * entry * instrument.multiplier),
            holding_bars=last_bar - self.entry_bar,
            exit_reason=reason,
        )
