"""From arrays to what the scalar loop reads: which columns are given, the rules, the book, and bars in chunks.

Legend: T bars, N instruments, n instrument, i bar of the chunk. ``give`` turns an array into what the loop indexes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.market.ledger import Decided, Float, Quotes
from tradewright.market.rules import AccountRules
from tradewright.market.scalar_book import NAN, Bars, Book, Policy, Uses

Give = Callable[[npt.NDArray[Any]], Any]
"""Turns an array into lists, or into a fresh array for a compiled loop."""


def uses_of(quotes: Quotes, decided: Decided, rules: AccountRules) -> Uses:
    """Return which optional columns are given."""
    has_distances = any(distance is not None for distance in decided[1:4])
    has_carry = quotes.funding is not None or quotes.dividend is not None
    pays_borrow = rules.allow_short and (quotes.borrow is not None or rules.costs.borrow_rate > 0)
    return Uses(
        stops=rules.has_stops or has_distances,
        stop_loss=decided.stop_loss is not None,
        take_profit=decided.take_profit is not None,
        trailing=decided.trailing is not None,
        split=quotes.split is not None,
        dividend=quotes.dividend is not None,
        borrow=quotes.borrow is not None,
        funding=quotes.funding is not None,
        roll=quotes.roll_from is not None,
        impact=quotes.impact is not None,
        capacity=quotes.capacity is not None,
        finer=quotes.finer_low is not None,
        limit=decided.limit is not None,
        stop=decided.stop is not None,
        entries=decided.limit is not None or decided.stop is not None,
        carry=has_carry or pays_borrow,
    )


def policy_of(rules: AccountRules, uses: Uses, *, is_priced: bool) -> Policy:
    """Return the account rules as the loop reads them."""
    stop_loss, take_profit, trailing = (
        NAN if d is None else float(d) for d in (rules.stop_loss, rules.take_profit, rules.trailing)
    )
    return Policy(
        terms=rules.terms,
        allow_short=rules.allow_short,
        is_decision=rules.sizing == "decision",
        cash_buffer=float(rules.cash_buffer),
        maintenance_margin=float(rules.maintenance_margin),
        cash_rate=float(rules.costs.cash_rate),
        borrow_rate=float(rules.costs.borrow_rate),
        can_break=rules.can_break or uses.funding or uses.roll,
        is_priced=is_priced,
        stop_loss=stop_loss,
        take_profit=take_profit,
        trailing=trailing,
    )


def flat_book(
    policy: Policy, marks: Float, multiplier: list[float], lot: list[float], tick: list[float], *, give: Give
) -> Book:
    """Return a book without positions."""
    num = len(marks)

    def full(value: float | bool) -> Any:
        return give(np.full(num, value))

    columns = {name: full(name == "is_sized" if name.startswith("is_") else 0.0) for name in Book._fields}
    columns |= {name: full(getattr(policy, name)) for name in ("stop_loss", "take_profit", "trailing")}
    contract = (("mark", marks), ("multiplier", multiplier), ("lot", lot), ("tick", tick))
    columns |= {name: give(np.array(values, dtype=np.float64)) for name, values in contract}
    return Book(**columns)


def cut_bars(quotes: Quotes, decided: Decided, uses: Uses, start: int, stop: int, *, give: Give) -> Bars:
    """Cut bars ``start <= t < stop`` with the decisions of the bars before them; nothing is copied that is not used."""
    rows, before = slice(start, stop), slice(start - 1, stop - 1)
    nothing = give(np.zeros((0, 0)))

    def column(array: npt.NDArray[Any] | None, cut: slice = rows) -> Any:
        return nothing if array is None else give(np.ascontiguousarray(array[cut].T))

    def inside(pick: Callable[[Float, Float], Float]) -> Any:
        return column(pick(quotes.low[rows], quotes.high[rows]), slice(None)) if uses.stops or uses.entries else nothing

    def finer(array: Float | None) -> Any:
        return np.zeros((0, 0, 0)) if array is None else np.ascontiguousarray(array)

    has_order = np.any(~np.isnan(decided.weights[before]), axis=1)
    return Bars(
        start=start,
        num_bars=stop - start,
        uses=uses,
        open=column(quotes.open),
        upper=inside(np.maximum),
        lower=inside(np.minimum),
        close=column(quotes.close),
        years=give(quotes.years[rows]),
        has_order=give(has_order),
        next_loud=give(_next_loud(quotes, has_order, rows)),
        tradable=column(quotes.tradable),
        weights=column(decided.weights, before),
        stop_loss=column(decided.stop_loss, before),
        take_profit=column(decided.take_profit, before),
        trailing=column(decided.trailing, before),
        limit=column(decided.limit, before),
        stop=column(decided.stop, before),
        split=column(quotes.split),
        dividend=column(quotes.dividend),
        borrow=column(quotes.borrow),
        funding=column(quotes.funding),
        roll_from=column(quotes.roll_from),
        roll_to=column(quotes.roll_to),
        impact=column(quotes.impact),
        capacity=column(quotes.capacity),
        finer_open=finer(quotes.finer_open),
        finer_upper=finer(quotes.finer_high),
        finer_lower=finer(quotes.finer_low),
    )


def _next_loud(quotes: Quotes, has_order: npt.NDArray[np.bool_], rows: slice) -> npt.NDArray[np.int64]:
    """Return for every bar the first one from it on with an order, an action or a missing bar; their number: none."""
    is_loud = has_order | ~quotes.tradable[rows].all(axis=1)
    for array, neutral in ((quotes.split, 1.0), (quotes.dividend, 0.0), (quotes.funding, 0.0)):
        if array is not None:
            is_loud |= (array[rows] != neutral).any(axis=1)
    if quotes.roll_from is not None:
        is_loud |= ~np.isnan(quotes.roll_from[rows]).all(axis=1)
    number = np.where(is_loud, np.arange(len(is_loud)), len(is_loud))
    return np.minimum.accumulate(number[::-1])[::-1]
