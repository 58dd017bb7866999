"""From arrays to what the scalar loop reads: which columns are given, the rules, the book, and bars in chunks.

Legend: T bars, N instruments, n instrument, i bar of the chunk. ``give`` turns an array into what the loop indexes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.market.ledger import Decided, Float, Quotes
from tradewright.market.rules import AccountRules
from tradewright.market.scalar_book import NAN, Bars, Book, Policy, Position, Uses

Give = Callable[[npt.NDArray[Any]], Any]
"""Turns an array into lists, or into a fresh array for a compiled loop."""


DECISIONS = ("stop_loss", "take_profit", "trailing", "limit", "stop")
EVENTS = ("split", "dividend", "borrow", "funding", "roll_from", "roll_to", "impact", "capacity", "pool")


def uses_of(quotes: Quotes, decided: Decided, rules: AccountRules) -> Uses:
    """Return what the account needs and where its optional columns stand."""
    given = [name for name in DECISIONS if getattr(decided, name) is not None]
    given += [name for name in EVENTS if getattr(quotes, name) is not None]
    has_carry = quotes.funding is not None or quotes.dividend is not None
    pays_borrow = rules.allow_short and (quotes.borrow is not None or rules.costs.borrow_rate > 0)
    return Uses(
        stops=rules.has_stops or not set(DECISIONS[:3]).isdisjoint(given),
        entries=not set(DECISIONS[3:]).isdisjoint(given),
        carry=has_carry or pays_borrow,
        finer=quotes.finer_low is not None,
        **{name: given.index(name) if name in given else -1 for name in (*DECISIONS, *EVENTS)},
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
        can_break=rules.can_break or uses.funding >= 0 or uses.roll_from >= 0,
        is_priced=is_priced,
        stop_loss=stop_loss,
        take_profit=take_profit,
        trailing=trailing,
    )


def flat_book(policy: Policy, marks: Float, multiplier: list[float], lot: list[float], tick: list[float]) -> Book:
    """Return a book without positions."""
    return [
        Position(
            mark=mark,
            stop_loss=policy.stop_loss,
            take_profit=policy.take_profit,
            trailing=policy.trailing,
            multiplier=float(multiplier[n]),
            lot=float(lot[n]),
            tick=float(tick[n]),
        )
        for n, mark in enumerate(marks.tolist())
    ]


def cut_bars(quotes: Quotes, decided: Decided, uses: Uses, start: int, stop: int, *, give: Give) -> Bars:
    """Cut bars ``start <= t < stop`` with the decisions of the bars before them; nothing is copied that is not used."""
    rows, before = slice(start, stop), slice(start - 1, stop - 1)
    num = quotes.close.shape[1]
    nothing = give(np.zeros((0, 0)))

    def column(array: npt.NDArray[Any]) -> Any:
        return give(np.ascontiguousarray(array.T))

    def inside(pick: Callable[[Float, Float], Float]) -> Any:
        return column(pick(quotes.low[rows], quotes.high[rows])) if uses.stops or uses.entries else nothing

    def finer(array: Float | None) -> Any:
        return np.zeros((0, 0, 0)) if array is None else np.ascontiguousarray(array)

    decisions = [getattr(decided, name) for name in DECISIONS]
    events = [getattr(quotes, name) for name in EVENTS]
    optional = [array[before].T for array in decisions if array is not None]
    optional += [array[rows].T for array in events if array is not None]
    has_order = np.any(~np.isnan(decided.weights[before]), axis=1)
    return Bars(
        start=start,
        num_bars=stop - start,
        uses=uses,
        open=column(quotes.open[rows]),
        upper=inside(np.maximum),
        lower=inside(np.minimum),
        close=column(quotes.close[rows]),
        years=give(quotes.years[rows]),
        has_order=give(has_order),
        next_loud=give(_next_loud(quotes, has_order, rows)),
        tradable=column(quotes.tradable[rows]),
        weights=column(decided.weights[before]),
        given=give(np.stack(optional) if optional else np.zeros((0, num, 0))),
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
