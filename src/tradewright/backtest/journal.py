"""The trade journal: fills with their reasons, and trades from flat to flat with their excursions and P&L by kind.

A reversal closes one trade and opens the next; its fee and slippage are split by quantity. Borrow, funding and
dividends belong to the trade that is held when they are paid; interest on cash belongs to none. A split or roll does
not end a trade.
Legend: T bars of the judged range, N instruments; ``bar`` counts from its first one.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tradewright.backtest.carry import Carry
from tradewright.backtest.open_trade import OpenTrade
from tradewright.backtest.result import Fill, Trade
from tradewright.market.instrument import Instrument
from tradewright.market.ledger import Quotes
from tradewright.market.rules import Reason
from tradewright.market.scalar_book import Record

REASON_NAMES = {int(reason): reason.name.lower() for reason in Reason}

Restatement = tuple[int, int, float, float]
"""Bar, instrument, new shares per old one, and what is added to the price afterwards."""


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
    quotes: Quotes,
    last_mark_N: npt.NDArray[np.float64],
    carry: Carry,
) -> tuple[Trade, ...]:
    """Return closed trades in the order they closed, then open ones.

    Args:
        records: Fills and rejections in time order.
        instruments: N instruments.
        ts_T: Bar opens.
        quotes: The bars of the range.
        last_mark_N: Prices at which open trades are marked.
        carry: What holding cost.
    """
    book = _Book(instruments, ts_T, quotes, carry)
    closed: list[Trade] = []
    for bar, _, n, reason, quantity, after, price, fee, slippage in records:
        if quantity == 0:
            continue
        book.restate(bar)
        if reason == Reason.ROLL:
            book.running[n].pay(fee, slippage)
            continue
        part = 1.0
        if n in book.running:
            trade = book.running[n]
            is_over = after == 0 or (after > 0) != (trade.shares > 0)
            if not is_over:
                trade.fill(quantity, after, price, fee, slippage)
                continue
            part = trade.shares / -quantity
            trade.fill(-trade.shares, 0.0, price, fee * part, slippage * part)
            closed.append(book.close(n, bar, REASON_NAMES[reason]))
            part = 1.0 - part
        if after != 0:
            trade = book.running[n] = OpenTrade(bar, REASON_NAMES[reason])
            trade.fill(after, after, price, fee * part, slippage * part)
    book.restate(len(ts_T) - 1)
    return (*closed, *(book.mark(n, float(last_mark_N[n])) for n in sorted(book.running)))


class _Book:
    """The trades that are open, by instrument, and what happens to them between fills."""

    def __init__(
        self, instruments: Sequence[Instrument], ts_T: npt.NDArray[np.datetime64], quotes: Quotes, carry: Carry
    ) -> None:
        self.instruments, self.ts_T, self.quotes, self.carry = instruments, ts_T, quotes, carry
        self.running: dict[int, OpenTrade] = {}
        self.is_gapless = bool(quotes.tradable.all())
        self.coming = _restatements(quotes)[::-1]

    def restate(self, bar: int) -> None:
        """Apply the splits and rolls before the open of ``bar`` and of earlier bars."""
        while self.coming and self.coming[-1][0] <= bar:
            at, n, ratio, shift = self.coming.pop()
            if n in self.running:
                self._see(n, at)
                self.running[n].restate(ratio, shift)

    def close(self, n: int, bar: int, reason: str) -> Trade:
        """Return the trade of an instrument that became flat in ``bar``."""
        self._see(n, bar + 1)
        trade = self.running.pop(n)
        return trade.finish(self.instruments[n], self.ts_T, bar, reason, self.carry.of(n, trade.entry_bar, bar))

    def mark(self, n: int, price: float) -> Trade:
        """Return the open trade of an instrument, marked at ``price``."""
        last = len(self.ts_T) - 1
        self._see(n, last + 1)
        trade = self.running[n]
        paid = self.carry.of(n, trade.entry_bar, last)
        return trade.finish(self.instruments[n], self.ts_T, None, "open", paid, price=price)

    def _see(self, n: int, stop: int) -> None:
        """Let a trade see the bars before ``stop`` that it has not seen."""
        trade = self.running[n]
        low, high = self.quotes.low[trade.seen : stop, n], self.quotes.high[trade.seen : stop, n]
        if not self.is_gapless:
            exists = self.quotes.tradable[trade.seen : stop, n]
            low, high = low[exists], high[exists]
        if len(low):
            trade.see(float(low.min()), float(high.max()))
        trade.seen = max(trade.seen, stop)


def _restatements(quotes: Quotes) -> list[Restatement]:
    """Return splits and rolls by bar; a split comes before a roll of the same bar."""
    found: list[Restatement] = []
    if quotes.split is not None:
        found += [(int(t), int(n), float(quotes.split[t, n]), 0.0) for t, n in np.argwhere(quotes.split != 1)]
    if quotes.roll_from is not None and quotes.roll_to is not None:
        shift_TN = quotes.roll_to - quotes.roll_from
        found += [(int(t), int(n), 1.0, float(shift_TN[t, n])) for t, n in np.argwhere(~np.isnan(shift_TN))]
    return sorted(found, key=lambda item: item[0])
