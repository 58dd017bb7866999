"""The scalar loop: the rules of the bar step for a single account, over Python floats; fastest for few instruments.

Same order of events, same operations in the same order, so one account agrees bit for bit with ``step.py``. Bars
without an order cost a mark and nothing else. Rows are converted in chunks, so memory stays flat over millions of bars.
Legend: T bars, N instruments; columns are lists ``[n][i]``. Row t of the weights is decided at close t.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.market.check import check_given, no_price
from tradewright.market.ledger import Decided, Float, Ledger, Quotes, last_marks
from tradewright.market.rules import AccountRules
from tradewright.market.scalar_book import Bars, Book, NoPriceError, Output, Policy, Record, Uses
from tradewright.market.scalar_loop import Account, run_bars

CHUNK_BARS = 16_384
NAN = float("nan")

Give = Callable[[npt.NDArray[Any]], Any]
"""Turns an array into what the loop indexes: a list of lists, or an array for a compiled loop."""


def run_account(
    quotes: Quotes,
    decided: Decided,
    rules: AccountRules,
    *,
    multiplier: list[float] | None = None,
    lot: list[float] | None = None,
    tick: list[float] | None = None,
) -> Ledger:
    """Carry one account through T bars; it starts flat at the close of bar 0 and never trades in that bar.

    Args:
        quotes: Bars; the prices of bar 0 matter only as marks.
        decided: Decisions; the last row never fills.
        rules: Account rules.
        multiplier: Money per price unit, per instrument; None: 1.
        lot: Lot sizes, 0 for fractional; None: all fractional.
        tick: Price steps, 0 for continuous; None: all continuous.

    Raises:
        MarketError: Given columns contradict each other or the rules, or an order moved its price to zero or below.
    """
    num_bars, num = quotes.close.shape
    tick = tick or [0.0] * num
    check_given(quotes, decided, rules, tick)
    marks = last_marks(quotes)
    uses = uses_of(quotes, decided, rules)
    policy = policy_of(rules, uses, is_priced=uses.impact or max(tick) > 0)
    book = flat_book(policy, marks[0], multiplier or [1.0] * num, lot or [0.0] * num, tick, give=_as_lists)
    account = Account(rules.initial_cash, False, False, -1)
    history = History(num_bars, num, rules.initial_cash, uses.carry)
    for start in range(1, num_bars, CHUNK_BARS):
        bars = cut_bars(quotes, decided, uses, start, min(start + CHUNK_BARS, num_bars), give=_as_lists)
        out = _empty_output(bars.num_bars, num, uses.carry, history)
        try:
            account = run_bars(policy, bars, account, book, out)
        except NoPriceError:
            raise no_price(history.records[-1]) from None
        history.store(start, out)
    return history.ledger(marks, account)


def _as_lists(array: npt.NDArray[Any]) -> Any:
    return array.tolist()


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
        NAN if d is None else d for d in (rules.stop_loss, rules.take_profit, rules.trailing)
    )
    return Policy(
        terms=rules.terms,
        allow_short=rules.allow_short,
        is_decision=rules.sizing == "decision",
        cash_buffer=rules.cash_buffer,
        maintenance_margin=rules.maintenance_margin,
        cash_rate=rules.costs.cash_rate,
        borrow_rate=rules.costs.borrow_rate,
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
        return np.zeros((0, 0, 0)) if array is None else array

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


def _empty_output(num_bars: int, num: int, has_carry: bool, history: "History") -> Output:
    shares = [[0.0] * num_bars for _ in range(num)]
    carry = [[0.0] * num_bars for _ in range(num if has_carry else 0)]
    return Output([0.0] * num_bars, [0.0] * num_bars, shares, carry, history.totals, history.records)


class History:
    """Collects what the loop produces, chunk by chunk."""

    def __init__(self, num_bars: int, num: int, cash: float, has_carry: bool) -> None:
        self.equity, self.cash = np.full(num_bars, cash), np.full(num_bars, cash)
        self.shares = np.zeros((num_bars, num))
        self.carry = np.zeros((num_bars, num)) if has_carry else None
        self.totals = [0.0] * 4
        self.records: list[Record] = []

    def store(self, start: int, out: Output) -> None:
        """Keep the bars of a chunk."""
        rows = slice(start, start + len(out.equity))
        self.equity[rows], self.cash[rows], self.shares[rows] = out.equity, out.cash, np.transpose(out.shares)
        if self.carry is not None:
            self.carry[rows] = np.transpose(out.carry)

    def ledger(self, marks: Float, account: Account) -> Ledger:
        """Return the account's history."""
        interest, borrow, dividend, funding = self.totals
        ended_at = None if account.ended_at < 0 else account.ended_at
        return Ledger(
            self.equity, self.cash, self.shares, marks, interest, borrow, dividend, self.records, ended_at, funding,
            self.carry,
        )  # fmt: skip
