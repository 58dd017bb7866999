"""What the scalar loop does to one account's book outside the open phase: carry, actions, stops, mark, end.

The rules of ``step.py`` and ``stops.py`` over Python floats, operation by operation, so both forms agree bit for bit.
Plain functions over floats, lists and named tuples only, so that a compiler for numeric Python can take them as is.
Legend: n instrument; lists are indexed ``[n]``. ``unit`` is money per share or contract.
"""

from math import trunc
from typing import NamedTuple

from tradewright.market.form import LOT_TOLERANCE
from tradewright.market.rules import Terms

ORDER, SCALED_BUYING_POWER, SCALED_LEVERAGE, NO_BAR, BELOW_LOT, NO_BUYING_POWER = 1, 2, 3, 4, 5, 6
SHORT_NOT_ALLOWED, WAITING_AFTER_STOP, MARGIN_CALL, BANKRUPT = 7, 8, 9, 10
STOP_LOSS, TAKE_PROFIT, TRAILING_STOP, ACCOUNT_ENDED = 11, 12, 13, 14
BELOW_MIN_NOTIONAL, SCALED_CAPACITY, NOT_REACHED, ROLL, LIMIT_ENTRY, STOP_ENTRY = 15, 16, 17, 18, 19, 20

OPEN, STOP, CLOSE = 0, 1, 2
"""Phases of a bar in which something can be filled."""

Record = tuple[int, int, int, int, float, float, float, float, float]
"""A fill or rejection: bar, phase, instrument, reason, quantity, shares after it, price, fee, slippage."""


class Book(NamedTuple):
    """An account's positions and the scratch lists of a bar, all ``[n]``."""

    shares: list[float]
    mark: list[float]
    entry: list[float]
    anchor: list[float]
    stop_loss: list[float]
    take_profit: list[float]
    trailing: list[float]
    blocked: list[float]
    reference: list[float]
    unit: list[float]
    decided: list[float]
    is_sized: list[bool]
    is_accepted: list[bool]
    is_capped: list[bool]
    is_below_lot: list[bool]
    target: list[float]
    kept: list[float]
    opened: list[float]
    scale: list[float]
    multiplier: list[float]
    lot: list[float]


def empty_book(marks: list[float], multiplier: list[float], lot: list[float], distances: list[float]) -> Book:
    """Return a flat book; ``distances`` are the default stop loss, take profit and trailing (NaN: none)."""
    num = len(marks)

    def zeros() -> list[float]:
        return [0.0] * num

    return Book(
        shares=zeros(),
        mark=marks,
        entry=zeros(),
        anchor=zeros(),
        stop_loss=[distances[0]] * num,
        take_profit=[distances[1]] * num,
        trailing=[distances[2]] * num,
        blocked=zeros(),
        reference=zeros(),
        unit=zeros(),
        decided=zeros(),
        is_sized=[True] * num,
        is_accepted=[False] * num,
        is_capped=[False] * num,
        is_below_lot=[False] * num,
        target=zeros(),
        kept=zeros(),
        opened=zeros(),
        scale=zeros(),
        multiplier=multiplier,
        lot=lot,
    )


def whole_lots(quantity: float, lot: float) -> float:
    """Return a quantity truncated toward zero to lots of size ``lot`` (0: fractional)."""
    if lot <= 0:
        return quantity
    lots = quantity / lot
    sign = 1.0 if lots > 0 else -1.0 if lots < 0 else 0.0
    return float(trunc(lots + sign * LOT_TOLERANCE)) * lot


def unless_zero(shares: float, lot: float) -> float:
    """Return 0 for a remainder that is rounding noise of whole lots."""
    return 0.0 if abs(shares) < LOT_TOLERANCE * lot else shares


def cost_over_reference(terms: Terms, notional: float, quantity: float, is_paid: bool) -> float:
    """Return slippage and fees of a fill at the reference price, money; ``is_paid``: its fixed fee is paid already."""
    cost = abs(notional) * terms.rate
    if terms.skew:
        cost = cost + notional * terms.skew
    if terms.per_share_fee:
        cost = cost + abs(quantity) * terms.per_share_fee
    if terms.fixed_fee and quantity != 0 and not is_paid:
        cost = cost + terms.fixed_fee
    return cost


def size_decisions(book: Book, weights: list[float], cash: float, cash_buffer: float) -> None:
    """Fix target shares with the equity and prices of the decision's close."""
    total = 0.0
    for n in range(len(weights)):
        total += book.shares[n] * (book.mark[n] * book.multiplier[n])
    invested = (cash + total) * (1.0 - cash_buffer)
    for n in range(len(weights)):
        book.is_sized[n] = book.mark[n] > 0
        unit = book.mark[n] * book.multiplier[n] if book.is_sized[n] else 1.0
        book.decided[n] = weights[n] * invested / unit


def borrowed(book: Book) -> float:
    """Return the notional of the shorts at the last mark."""
    total = 0.0
    for n in range(len(book.shares)):
        total += max(-book.shares[n], 0.0) * (book.mark[n] * book.multiplier[n])
    return total


def dividends(book: Book, dividend: list[float]) -> float:
    """Return the money that holders receive and shorts pay."""
    total = 0.0
    for n in range(len(dividend)):
        total += book.shares[n] * (dividend[n] * book.multiplier[n])
    return total


def split_shares(book: Book, ratio: list[float]) -> None:
    """Apply splits: more shares at lower prices, the money unchanged."""
    for n in range(len(ratio)):
        book.shares[n] *= ratio[n]
        book.mark[n] /= ratio[n]
        book.entry[n] /= ratio[n]
        book.anchor[n] /= ratio[n]
        book.decided[n] *= ratio[n]


def open_equity(book: Book, opens: list[list[float]], tradable: list[bool], i: int, cash: float) -> float:
    """Set reference prices (the open, or the last mark where there is no bar); return equity there."""
    total = 0.0
    for n in range(len(tradable)):
        reference = opens[n][i] if tradable[n] else book.mark[n]
        unit = reference * book.multiplier[n]
        book.reference[n] = reference
        book.unit[n] = unit
        total += book.shares[n] * unit
    return cash + total


def accept(
    book: Book,
    weights: list[float],
    tradable: list[bool],
    is_forced: bool,
    given: tuple[list[float] | None, list[float] | None, list[float] | None],
    defaults: list[float],
) -> None:
    """Lift blocks after stops, note which orders are accepted, let these replace the distances."""
    stop_loss, take_profit, trailing = given
    for n in range(len(weights)):
        weight = weights[n]
        is_decided = weight == weight
        if is_decided and book.blocked[n] != 0 and not weight * book.blocked[n] > 0:
            book.blocked[n] = 0.0
        accepted = is_decided and tradable[n] and book.is_sized[n] and not is_forced and book.blocked[n] == 0
        book.is_accepted[n] = accepted
        if accepted:
            book.stop_loss[n] = _distance(stop_loss, n, defaults[0])
            book.take_profit[n] = _distance(take_profit, n, defaults[1])
            book.trailing[n] = _distance(trailing, n, defaults[2])


def _distance(given: list[float] | None, n: int, default: float) -> float:
    if given is None or given[n] != given[n]:
        return default
    return given[n]


def run_stops(
    terms: Terms,
    book: Book,
    prices: tuple[list[list[float]], list[list[float]], list[list[float]]],
    tradable: list[bool],
    i: int,
    records: list[Record],
    t: int,
) -> float:
    """Close positions whose stop or target was hit, raise the anchors of the others; return the cash spent.

    ``prices`` are opens, highs and lows, ``[n][i]``.
    """
    outlay = 0.0
    for n in range(len(tradable)):
        shares = book.shares[n]
        if shares == 0 or not tradable[n]:
            continue
        side = 1.0 if shares > 0 else -1.0
        open_, high, low = side * prices[0][n][i], side * prices[1][n][i], side * prices[2][n][i]
        entry_stop = side * (book.entry[n] * (1.0 - side * book.stop_loss[n]))
        trail_stop = side * (book.anchor[n] * (1.0 - side * book.trailing[n]))
        is_trail = trail_stop == trail_stop and not entry_stop >= trail_stop
        stop = trail_stop if is_trail else entry_stop
        target = side * (book.entry[n] * (1.0 + side * book.take_profit[n]))
        if min(low, high) <= stop:
            reference = side * min(open_, stop)
            price = reference * (1.0 - side * terms.slippage)
            reason = TRAILING_STOP if is_trail else STOP_LOSS
        elif max(low, high) >= target:
            reference = price = side * max(open_, target)
            reason = TAKE_PROFIT
        else:
            book.anchor[n] = side * max(side * book.anchor[n], max(low, high))
            continue
        notional = -shares * (price * book.multiplier[n])
        fee = abs(notional) * terms.fee + abs(shares) * terms.per_share_fee + terms.fixed_fee
        slippage = abs(shares * ((reference - price) * book.multiplier[n]))
        records.append((t, STOP, n, reason, -shares, 0.0, price, fee, slippage))
        outlay += notional + fee
        flatten(book, n)
        book.blocked[n] = side
    return outlay


def mark_book(book: Book, closes: list[list[float]], tradable: list[bool], i: int, cash: float) -> tuple[float, float]:
    """Mark at the close (the last mark where there is no bar); return equity and gross exposure."""
    total = gross = 0.0
    for n in range(len(tradable)):
        if tradable[n]:
            book.mark[n] = closes[n][i]
        value = book.shares[n] * (book.mark[n] * book.multiplier[n])
        total += value
        gross += abs(value)
    return cash + total, gross


def end_at_close(terms: Terms, book: Book, tradable: list[bool], records: list[Record], t: int) -> float:
    """Liquidate a bankrupt account at the close with normal costs; return the cash spent."""
    outlay = 0.0
    for n in range(len(tradable)):
        shares = book.shares[n]
        if shares == 0 or not tradable[n]:
            continue
        notional = -shares * (book.mark[n] * book.multiplier[n])
        cost = cost_over_reference(terms, notional, -shares, False)
        slippage = abs(notional) * terms.slippage
        price = book.mark[n] * (1.0 + (-1.0 if shares > 0 else 1.0) * terms.slippage)
        records.append((t, CLOSE, n, BANKRUPT, -shares, 0.0, price, cost - slippage, slippage))
        outlay += notional + cost
        flatten(book, n)
    return outlay


def flatten(book: Book, n: int) -> None:
    """Forget a closed position."""
    book.shares[n] = 0.0
    book.entry[n] = 0.0
    book.anchor[n] = 0.0
