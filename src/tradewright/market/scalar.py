"""The scalar loop: the rules of the bar step for a single account, over Python floats; fastest for few instruments.

Same order of events, same operations in the same order, so one account agrees bit for bit with ``step.py``. Bars
without an order cost a mark and nothing else. Rows are converted in chunks, so memory stays flat over millions of bars.
Legend: T bars, N instruments; lists are indexed ``[n]`` or ``[n][t]``. Row t of the weights is decided at close t.
"""

from typing import NamedTuple

import numpy as np

from tradewright.market.check import check_supported
from tradewright.market.ledger import Decided, Float, Ledger, Quotes, last_marks
from tradewright.market.rules import AccountRules
from tradewright.market.scalar_book import (
    Book,
    Record,
    accept,
    borrowed,
    dividends,
    empty_book,
    end_at_close,
    mark_book,
    open_equity,
    run_stops,
    size_decisions,
    split_shares,
)
from tradewright.market.scalar_orders import fill_orders

CHUNK_BARS = 16_384
NAN = float("nan")


def run_account(
    quotes: Quotes,
    decided: Decided,
    rules: AccountRules,
    *,
    multiplier: list[float] | None = None,
    lot: list[float] | None = None,
) -> Ledger:
    """Carry one account through T bars; it starts flat at the close of bar 0 and never trades in that bar.

    Args:
        quotes: Bars; the prices of bar 0 matter only as marks.
        decided: Decisions; the last row never fills.
        rules: Account rules.
        multiplier: Money per price unit, per instrument; None: 1.
        lot: Lot sizes, 0 for fractional; None: all fractional.
    """
    check_supported(quotes, decided, rules)
    num_bars, num = quotes.close.shape
    marks = last_marks(quotes)
    defaults = [NAN if d is None else d for d in (rules.stop_loss, rules.take_profit, rules.trailing)]
    book = empty_book(marks[0].tolist(), multiplier or [1.0] * num, lot or [0.0] * num, defaults)
    has_stops = rules.has_stops or any(distance is not None for distance in decided[1:4])
    history = _History(num_bars, num, rules.initial_cash)
    account = _Account(rules.initial_cash, False, False)
    for start in range(1, num_bars, CHUNK_BARS):
        chunk = _cut(quotes, decided, start, min(start + CHUNK_BARS, num_bars), has_stops)
        account = _run_chunk(chunk, account, book, rules, defaults, history)
    return history.ledger(marks)


class _Account(NamedTuple):
    cash: float
    is_call: bool
    is_ended: bool


class _Chunk(NamedTuple):
    """Some rows as lists: ``[n][t]`` for prices, ``[t][n]`` for what one bar needs together."""

    start: int
    num_bars: int
    has_stops: bool
    open: list[list[float]]
    high: list[list[float]]
    low: list[list[float]]
    close: list[list[float]]
    years: list[float]
    has_order: list[bool]
    tradable: list[list[bool]]
    weights: list[list[float]]
    stop_loss: list[list[float]] | None
    take_profit: list[list[float]] | None
    trailing: list[list[float]] | None
    split: list[list[float]] | None
    dividend: list[list[float]] | None


def _cut(quotes: Quotes, decided: Decided, start: int, stop: int, has_stops: bool) -> _Chunk:
    """Cut bars ``start <= t < stop`` with the decisions of the bars before them; lists only where they are read."""
    rows, before = slice(start, stop), slice(start - 1, stop - 1)
    num = quotes.close.shape[1]

    def prices(array: Float) -> list[list[float]]:
        return array[rows].T.tolist()

    def lists(array: Float | None, cut: slice) -> list[list[float]] | None:
        return None if array is None else array[cut].tolist()

    has_order_t = np.any(~np.isnan(decided.weights[before]), axis=1)
    weights = [[NAN] * num] * (stop - start)
    for i in np.flatnonzero(has_order_t):
        weights[i] = decided.weights[start - 1 + i].tolist()
    is_tradable = quotes.tradable[rows]
    return _Chunk(
        start=start,
        num_bars=stop - start,
        has_stops=has_stops,
        open=prices(quotes.open),
        high=prices(quotes.high) if has_stops else [],
        low=prices(quotes.low) if has_stops else [],
        close=prices(quotes.close),
        years=quotes.years[rows].tolist(),
        has_order=has_order_t.tolist(),
        tradable=[[True] * num] * (stop - start) if is_tradable.all() else is_tradable.tolist(),
        weights=weights,
        stop_loss=lists(decided.stop_loss, before),
        take_profit=lists(decided.take_profit, before),
        trailing=lists(decided.trailing, before),
        split=lists(quotes.split, rows),
        dividend=lists(quotes.dividend, rows),
    )


class _History:
    """Collects what the loop produces, chunk by chunk."""

    def __init__(self, num_bars: int, num: int, cash: float) -> None:
        self.equity, self.cash = np.full(num_bars, cash), np.full(num_bars, cash)
        self.shares = np.zeros((num_bars, num))
        self.records: list[Record] = []
        self.interest = self.borrow = self.dividend = 0.0
        self.ended_at: int | None = None

    def store(self, start: int, equities: list[float], cashes: list[float], shares: list[float]) -> None:
        rows = slice(start, start + len(equities))
        self.equity[rows], self.cash[rows] = equities, cashes
        self.shares[rows] = np.array(shares).reshape(len(equities), -1)

    def ledger(self, marks: Float) -> Ledger:
        return Ledger(
            self.equity, self.cash, self.shares, marks,
            self.interest, self.borrow, self.dividend, self.records, self.ended_at,
        )  # fmt: skip


def _run_chunk(
    bars: _Chunk,
    account: _Account,
    book: Book,
    rules: AccountRules,
    defaults: list[float],
    history: _History,
) -> _Account:
    cash, is_call, is_ended = account
    terms, can_break = rules.terms, rules.can_break
    prices = (bars.open, bars.high, bars.low)
    has_early = _has_early(rules, bars)
    equities: list[float] = []
    cashes: list[float] = []
    held: list[float] = []
    for i in range(bars.num_bars):
        t, tradable, has_order = bars.start + i, bars.tradable[i], bars.has_order[i]
        if has_early:
            cash = _before_open(bars, i, cash, book, rules, is_ended, history)
        if has_order or can_break:
            equity = open_equity(book, bars.open, tradable, i, cash)
            is_ended = is_ended or (can_break and equity <= 0)
            if has_order or is_ended or is_call:
                cash -= _open(bars, i, equity, book, rules, defaults, (is_ended or is_call, is_ended), history)
        if bars.has_stops:
            cash -= run_stops(terms, book, prices, tradable, i, history.records, t)
        equity, gross = mark_book(book, bars.close, tradable, i, cash)
        if can_break:
            line = gross * rules.maintenance_margin
            is_call = equity > 0 and not is_ended and (equity < line or (is_call and gross > 0))
            if equity <= 0 and not is_ended:
                is_ended = True
                cash -= end_at_close(terms, book, tradable, history.records, t)
                equity, gross = mark_book(book, bars.close, tradable, i, cash)
            if is_ended and history.ended_at is None:
                history.ended_at = t
        equities.append(equity)
        cashes.append(cash)
        held.extend(book.shares)
    history.store(bars.start, equities, cashes, held)
    return _Account(cash, is_call, is_ended)


def _has_early(rules: AccountRules, bars: _Chunk) -> bool:
    """Return whether anything happens to an account before the open."""
    costs = rules.costs
    has_carry = bool(costs.cash_rate) or (bool(costs.borrow_rate) and rules.allow_short)
    return rules.sizing == "decision" or has_carry or bars.split is not None or bars.dividend is not None


def _before_open(
    bars: _Chunk, i: int, cash: float, book: Book, rules: AccountRules, is_ended: bool, history: _History
) -> float:
    """Fix decided sizes, then carry, dividends and splits; return the cash."""
    costs = rules.costs
    if rules.sizing == "decision" and bars.has_order[i]:
        size_decisions(book, bars.weights[i], cash, rules.cash_buffer)
    start = cash
    if costs.cash_rate and not is_ended:
        interest = start * (costs.cash_rate * bars.years[i])
        cash += interest
        history.interest += interest
    if costs.borrow_rate and rules.allow_short and not is_ended:
        borrow = borrowed(book) * (costs.borrow_rate * bars.years[i])
        cash -= borrow
        history.borrow += borrow
    if bars.dividend is not None:
        dividend = dividends(book, bars.dividend[i])
        cash += dividend
        history.dividend += dividend
    if bars.split is not None:
        split_shares(book, bars.split[i])
    return cash


def _open(
    bars: _Chunk,
    i: int,
    equity: float,
    book: Book,
    rules: AccountRules,
    defaults: list[float],
    state: tuple[bool, bool],
    history: _History,
) -> float:
    """Accept and fill the orders of one open; return the cash spent."""
    weights, tradable = bars.weights[i], bars.tradable[i]
    given = (
        None if bars.stop_loss is None else bars.stop_loss[i],
        None if bars.take_profit is None else bars.take_profit[i],
        None if bars.trailing is None else bars.trailing[i],
    )
    accept(book, weights, tradable, state[0], given, defaults)
    is_decision = rules.sizing == "decision"
    return fill_orders(
        rules.terms, rules.allow_short, is_decision, book, weights, state, tradable, history.records,
        bars.start + i, equity,
    )  # fmt: skip
