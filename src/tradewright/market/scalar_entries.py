"""Limit and stop entries in the scalar loop: the rules of ``entries.py``, operation by operation.

Plain functions, as in ``scalar_book.py``. Legend: n instrument, i bar of the chunk.
"""

from tradewright.market.form import DUST, TINY
from tradewright.market.scalar_book import ENTRY, NAN, Bars, Book, Output, Policy, Position
from tradewright.market.scalar_fills import optional, sign
from tradewright.market.scalar_orders import fill_orders, replace_distances
from tradewright.market.scalar_stops import find_levels


def run_entries(policy: Policy, bars: Bars, i: int, book: Book, out: Output, cash: float, size: float) -> float:
    """Fill the waiting orders that the bar touches; return the cash spent.

    ``cash`` is what the open phase left, ``size`` the equity at the open.
    """
    total = 0.0
    for n in range(len(book)):
        position = book[n]
        position.is_accepted = position.is_missed = False
        position.side = 0.0
        if position.is_waiting:
            _touch(policy, bars, i, position, n, size)
            if position.is_accepted:
                replace_distances(policy, bars, i, position, n)
        total += position.shares * position.unit
    return fill_orders(policy, bars, i, book, out.records, ENTRY, False, False, size, cash + total)


def _touch(policy: Policy, bars: Bars, i: int, position: Position, n: int, size: float) -> None:
    """Note the side of an order, and whether and at which price the bar touches it."""
    limit = optional(bars, bars.uses.limit, n, i, NAN)
    is_limit = limit == limit
    level = limit if is_limit else optional(bars, bars.uses.stop, n, i, NAN)
    shares, weight = position.shares, bars.weights[n][i]
    fraction = size / max(level * position.multiplier, TINY)
    target = position.decided if policy.is_decision else weight * fraction
    if not policy.allow_short and target < 0:
        target = 0.0
    change = target - shares
    if abs(change) < DUST * fraction:
        return
    side = sign(change)
    open_, upper, lower = side * bars.open[n][i], side * bars.upper[n][i], side * bars.lower[n][i]
    mirrored = side * level
    if is_limit:
        is_reached = min(lower, upper) <= mirrored
        price = side * min(open_, mirrored)
    else:
        is_reached = max(lower, upper) >= mirrored
        price = side * max(open_, mirrored)
    if bars.uses.stops and is_limit and side * shares < 0 and is_reached:
        held = sign(shares)
        stop, target, _ = find_levels(position, held)
        worst = min(held * bars.lower[n][i], held * bars.upper[n][i])
        is_reached = not (worst <= stop or -mirrored > target)
    position.side = side
    position.is_missed = not is_reached
    position.is_accepted = is_reached
    position.is_limit = is_limit
    if is_reached:
        position.reference = price
        position.unit = price * position.multiplier
