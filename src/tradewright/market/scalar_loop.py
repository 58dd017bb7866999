"""The bars of the scalar loop: what happens to one account, bar by bar, in the order of events of ``step.py``.

Plain functions, as in ``scalar_book.py``. Legend: n instrument, i bar of the chunk.
"""

from typing import NamedTuple

from tradewright.market.scalar_book import OPEN, Bars, Book, Output, Policy, mark_book, open_equity, size_decisions
from tradewright.market.scalar_carry import carry_account, roll_contracts, split_shares
from tradewright.market.scalar_entries import run_entries
from tradewright.market.scalar_idle import skip_quiet
from tradewright.market.scalar_orders import accept, fill_orders
from tradewright.market.scalar_stops import end_at_close, run_stops


class Account(NamedTuple):
    """An account between two bars; ``ended_at`` is the bar in which it ended, -1: it goes on."""

    cash: float
    is_call: bool
    is_ended: bool
    ended_at: int


def run_bars(policy: Policy, bars: Bars, account: Account, book: Book, out: Output) -> Account:
    """Carry the account through the bars of a chunk."""
    cash, is_call, is_ended, ended_at = account
    i = 0
    while i < bars.num_bars:
        if len(book) == 1 and bars.next_loud[i] > i and not is_call:
            i, cash = skip_quiet(policy, bars, i, cash, book, is_ended, out)
            if i == bars.num_bars:
                break
        cash = _before_open(policy, bars, i, cash, book, is_ended, out)
        if bars.uses.entries:
            for n in range(len(book)):
                position = book[n]
                position.is_more = position.is_new = False
        if bars.has_order[i] or policy.can_break:
            equity = open_equity(book, bars, i, cash)
            is_ended = is_ended or (policy.can_break and equity <= 0)
            if bars.has_order[i] or is_ended or is_call:
                cash = _trade(policy, bars, i, cash, equity, book, is_ended or is_call, is_ended, out)
        if bars.uses.stops:
            cash -= run_stops(policy, bars, i, book, out.records)
        equity, gross = mark_book(book, bars, i, cash, out)
        if policy.can_break:
            line = gross * policy.maintenance_margin
            is_call = equity > 0 and not is_ended and (equity < line or (is_call and gross > 0))
            if equity <= 0 and not is_ended:
                is_ended = True
                cash -= end_at_close(policy, book, bars, i, out.records)
                equity, gross = mark_book(book, bars, i, cash, out)
            if is_ended and ended_at < 0:
                ended_at = bars.start + i
        out.equity[i], out.cash[i] = equity, cash
        i += 1
    return Account(cash, is_call, is_ended, ended_at)


def _before_open(policy: Policy, bars: Bars, i: int, cash: float, book: Book, is_ended: bool, out: Output) -> float:
    """Fix decided sizes; then carry, splits and rolls; return the cash."""
    if policy.is_decision and bars.has_order[i]:
        size_decisions(book, bars, i, cash, policy.cash_buffer)
    if bars.uses.carry or policy.cash_rate:
        cash = carry_account(policy, bars, i, cash, book, is_ended, out)
    if bars.uses.split >= 0:
        split_shares(book, bars, i)
    if bars.uses.roll_from >= 0:
        cash -= roll_contracts(policy, bars, i, book, out)
    return cash


def _trade(
    policy: Policy,
    bars: Bars,
    i: int,
    cash: float,
    equity: float,
    book: Book,
    is_forced: bool,
    is_ended: bool,
    out: Output,
) -> float:
    """Fill the orders of the open, then those that wait for a price inside the bar; return the cash."""
    any_waits = accept(policy, bars, i, book, is_forced)
    cash -= fill_orders(policy, bars, i, book, out.records, OPEN, is_forced, is_ended, equity, equity)
    if any_waits:
        cash -= run_entries(policy, bars, i, book, out, cash, equity)
    return cash
