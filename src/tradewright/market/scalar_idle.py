"""Bars in which nothing happens to an account with one instrument, carried in one go: the fast road of the scalar loop.

A quiet bar has no order, no action and no funding. Whether a stop, a margin call or the end is near is checked with the
figures of the full road, and the bar is left to it if so: this module only ever marks, pays rates and raises anchors.
Plain functions, as in ``scalar_book.py``. Legend: i bar of the chunk. Prices of shorts are mirrored by ``side``.
"""

from tradewright.market.scalar_book import Bars, Book, Output, Policy, Position
from tradewright.market.scalar_stops import find_levels


def skip_quiet(
    policy: Policy, bars: Bars, i: int, cash: float, book: Book, is_ended: bool, out: Output
) -> tuple[int, float]:
    """Carry the account from bar i on; return the first bar that the full road must take, and the cash before it."""
    position = book[0]
    if position.shares == 0:
        return _skip_flat(policy, bars, i, cash, position, is_ended, out)
    if is_ended or (position.shares < 0 and bars.uses.borrow >= 0):
        return i, cash
    return _skip_held(policy, bars, i, cash, position, out)


def _skip_flat(
    policy: Policy, bars: Bars, i: int, cash: float, position: Position, is_ended: bool, out: Output
) -> tuple[int, float]:
    last, equities, cashes = bars.next_loud[i], out.equity, out.cash
    if policy.can_break and cash <= 0 and not is_ended:
        return i, cash
    k = i
    while k < last:
        if policy.cash_rate and not is_ended:
            interest = cash * (policy.cash_rate * bars.years[k])
            if policy.can_break and cash + interest <= 0:
                break
            cash += interest
            out.totals[0] += interest
        equities[k] = cashes[k] = cash
        k += 1
    if k > i:
        position.mark = bars.close[0][k - 1]
    return k, cash


def _skip_held(policy: Policy, bars: Bars, i: int, cash: float, position: Position, out: Output) -> tuple[int, float]:
    last, years, totals = bars.next_loud[i], bars.years, out.totals
    equities, cashes, held, carry = out.equity, out.cash, out.shares[0], out.carry
    opens, closes = bars.open[0], bars.close[0]
    shares, mark, multiplier = position.shares, position.mark, position.multiplier
    cash_rate, can_break, margin = policy.cash_rate, policy.can_break, policy.maintenance_margin
    has_stops = bars.uses.stops
    uppers, lowers = (bars.upper[0], bars.lower[0]) if has_stops else (opens, opens)
    borrow_rate = policy.borrow_rate if policy.allow_short else 0.0
    side = 1.0 if shares > 0 else -1.0
    anchor, trailing = side * position.anchor, position.trailing
    is_trailing = has_stops and trailing == trailing
    stop, target, _ = find_levels(position, side)
    entry_stop = side * (position.entry * (1.0 - side * position.stop_loss))
    short = max(-shares, 0.0)
    k = i
    while k < last:
        after, interest, borrow = cash, 0.0, 0.0
        if cash_rate:
            interest = cash * (cash_rate * years[k])
            after = cash + interest
        if borrow_rate:
            borrow = short * (mark * multiplier) * (borrow_rate * years[k])
            after = after - borrow
        if can_break and after + shares * (opens[k] * multiplier) <= 0:
            break
        if has_stops:
            if side > 0:
                worst, best = lowers[k], uppers[k]
            else:
                worst, best = -uppers[k], -lowers[k]
            if worst <= stop or best >= target:
                break
        value = shares * (closes[k] * multiplier)
        equity = after + value
        if can_break and (equity <= 0 or equity < abs(value) * margin):
            break
        cash, mark = after, closes[k]
        totals[0] += interest
        if borrow_rate:
            totals[1] += borrow
            carry[0][k] = borrow
        if is_trailing and best > anchor:
            anchor = best
            trail_stop = side * ((side * anchor) * (1.0 - side * trailing))
            stop = trail_stop if not entry_stop >= trail_stop else entry_stop
        elif has_stops and best > anchor:
            anchor = best
        equities[k], cashes[k], held[k] = equity, cash, shares
        k += 1
    position.mark, position.anchor = mark, side * anchor
    return k, cash
