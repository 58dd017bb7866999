"""Stops and targets in the scalar loop: the rules of ``stops.py``, operation by operation.

Plain functions, as in ``scalar_book.py``. Legend: n instrument, i bar of the chunk, k finer bar inside it.
"""

from tradewright.market.scalar_book import (
    BANKRUPT,
    CLOSE,
    STOP,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING_STOP,
    Bars,
    Book,
    Policy,
    Position,
    Record,
    flatten,
)
from tradewright.market.scalar_fills import (
    cost_over_reference,
    depth_of,
    excess_of,
    fill_price,
    note_fill,
    round_to_tick,
)


def find_levels(position: Position, side: float) -> tuple[float, float, bool]:
    """Return stop and target, mirrored for shorts (NaN: none), and whether the stop trails."""
    entry_stop = side * (position.entry * (1.0 - side * position.stop_loss))
    trail_stop = side * (position.anchor * (1.0 - side * position.trailing))
    is_trail = trail_stop == trail_stop and not entry_stop >= trail_stop
    target = side * (position.entry * (1.0 + side * position.take_profit))
    return (trail_stop if is_trail else entry_stop), target, is_trail


def run_stops(policy: Policy, bars: Bars, i: int, book: Book, records: list[Record]) -> float:
    """Close positions whose stop or target was hit, raise the anchors of the others; return the cash spent."""
    terms, uses, outlay = policy.terms, bars.uses, 0.0
    for n in range(len(book)):
        position = book[n]
        shares = position.shares
        if shares == 0 or not bars.tradable[n][i]:
            continue
        side = 1.0 if shares > 0 else -1.0
        is_new, is_more = uses.entries and position.is_new, uses.entries and position.is_more
        if side > 0:
            best, worst = bars.upper[n][i], bars.lower[n][i]
        else:
            best, worst = -bars.lower[n][i], -bars.upper[n][i]
        stop, target, is_trail = find_levels(position, side)
        is_stop = worst <= stop
        if not is_stop and (is_more or not best >= target):
            if not is_new:
                position.anchor = side * max(side * position.anchor, best)
            continue
        open_ = side * (position.reference if is_new else bars.open[n][i])
        if uses.finer and not is_more:
            is_stop, open_ = _look_closer(bars, i, n, side, stop, target, is_stop, open_)
        if is_stop:
            reference = side * min(open_, stop)
            price = fill_price(terms, reference, -shares, depth_of(bars, n, i), position.tick, False)
            reason = TRAILING_STOP if is_trail else STOP_LOSS
        else:
            reference = side * max(open_, target)
            price = round_to_tick(reference, -side, position.tick)
            reason = TAKE_PROFIT
        notional = -shares * (price * position.multiplier)
        outlay += notional + (abs(notional) * terms.fee + abs(shares) * terms.per_share_fee + terms.fixed_fee)
        note_fill(
            terms, position.multiplier, records, (bars.start + i, STOP, n, reason), -shares, 0.0, reference, price
        )
        flatten(position)
        position.blocked = side
    return outlay


def _look_closer(
    bars: Bars, i: int, n: int, side: float, stop: float, target: float, is_stop: bool, open_: float
) -> tuple[bool, float]:
    """Return whether the first finer bar that touches a level touches the stop, and its mirrored open.

    Where none does, the bar's own verdict stands.
    """
    opens, uppers, lowers = bars.finer_open, bars.finer_upper, bars.finer_lower
    t = bars.start + i
    for k in range(len(opens[t])):
        upper, lower = side * float(uppers[t][k][n]), side * float(lowers[t][k][n])
        if min(lower, upper) <= stop:
            return True, side * float(opens[t][k][n])
        if max(lower, upper) >= target:
            return False, side * float(opens[t][k][n])
    return is_stop, open_


def end_at_close(policy: Policy, book: Book, bars: Bars, i: int, records: list[Record]) -> float:
    """Liquidate a bankrupt account at the close with normal costs; return the cash spent."""
    terms, outlay = policy.terms, 0.0
    for n in range(len(book)):
        position = book[n]
        shares, reference = position.shares, position.mark
        if shares == 0 or not bars.tradable[n][i]:
            continue
        notional = -shares * (reference * position.multiplier)
        price = fill_price(terms, reference, -shares, depth_of(bars, n, i), position.tick, False)
        excess = excess_of(terms, reference, price, position.multiplier)
        outlay += notional + cost_over_reference(terms, notional, -shares, excess, policy.is_priced, False)
        note_fill(
            terms, position.multiplier, records, (bars.start + i, CLOSE, n, BANKRUPT), -shares, 0.0, reference, price
        )
        flatten(position)
    return outlay
