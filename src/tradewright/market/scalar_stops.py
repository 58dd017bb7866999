"""Stops and targets in the scalar loop: the rules of ``stops.py``, operation by operation.

Plain functions, as in ``scalar_book.py``. Legend: n instrument, i bar of the chunk, k finer bar inside it.
"""

from tradewright.market.scalar_book import (
    STOP,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING_STOP,
    Bars,
    Book,
    Policy,
    Record,
    fill_price,
    flatten,
    impact_of,
    note_fill,
    round_to_tick,
)


def find_levels(book: Book, n: int, side: float) -> tuple[float, float, bool]:
    """Return stop and target, mirrored for shorts (NaN: none), and whether the stop trails."""
    entry_stop = side * (book.entry[n] * (1.0 - side * book.stop_loss[n]))
    trail_stop = side * (book.anchor[n] * (1.0 - side * book.trailing[n]))
    is_trail = trail_stop == trail_stop and not entry_stop >= trail_stop
    target = side * (book.entry[n] * (1.0 + side * book.take_profit[n]))
    return (trail_stop if is_trail else entry_stop), target, is_trail


def run_stops(policy: Policy, bars: Bars, i: int, book: Book, records: list[Record]) -> float:
    """Close positions whose stop or target was hit, raise the anchors of the others; return the cash spent."""
    terms, uses, outlay = policy.terms, bars.uses, 0.0
    for n in range(len(book.shares)):
        shares = book.shares[n]
        if shares == 0 or not bars.tradable[n][i]:
            continue
        side = 1.0 if shares > 0 else -1.0
        is_new, is_more = uses.entries and book.is_new[n], uses.entries and book.is_more[n]
        open_ = side * (book.reference[n] if is_new else bars.open[n][i])
        best = side * (bars.upper[n][i] if side > 0 else bars.lower[n][i])
        worst = side * (bars.lower[n][i] if side > 0 else bars.upper[n][i])
        stop, target, is_trail = find_levels(book, n, side)
        is_stop = worst <= stop
        if not is_stop and (is_more or not best >= target):
            if not is_new:
                book.anchor[n] = side * max(side * book.anchor[n], best)
            continue
        if uses.finer and not is_more:
            is_stop, open_ = _look_closer(bars, i, n, side, stop, target, is_stop, open_)
        if is_stop:
            reference = side * min(open_, stop)
            price = fill_price(terms, reference, -shares, impact_of(bars, n, i), book.tick[n], False)
            reason = TRAILING_STOP if is_trail else STOP_LOSS
        else:
            reference = side * max(open_, target)
            price = round_to_tick(reference, -side, book.tick[n])
            reason = TAKE_PROFIT
        notional = -shares * (price * book.multiplier[n])
        outlay += notional + (abs(notional) * terms.fee + abs(shares) * terms.per_share_fee + terms.fixed_fee)
        note_fill(terms, book, records, (bars.start + i, STOP, n, reason), -shares, 0.0, reference, price)
        flatten(book, n)
        book.blocked[n] = side
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
