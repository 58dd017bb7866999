"""The scalar loop: the rules of the bar step for a single account, over Python floats; fastest for few instruments.

Same order of events, same operations in the same order, so one account agrees bit for bit with ``step.py``. Bars
without an order cost a mark and nothing else. Rows are converted in chunks, so memory stays flat over millions of bars.
The loop's source also compiles (``compiled.py``), with the same bits.
Legend: T bars, N instruments. Row t of the weights is decided at close t.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradewright.market.check import check_given, no_price
from tradewright.market.ledger import Decided, Float, Ledger, Quotes, last_marks
from tradewright.market.rules import AccountRules
from tradewright.market.scalar_book import Book, NoPriceError, Output, Record
from tradewright.market.scalar_columns import Give, cut_bars, flat_book, policy_of, uses_of
from tradewright.market.scalar_loop import Account, run_bars

CHUNK_BARS = 16_384


class Machine(NamedTuple):
    """What runs the loop.

    Args:
        run_bars: ``scalar_loop.run_bars``, or the same compiled.
        give: Turns an array into what the loop indexes.
        give_book: Turns a book into what the loop indexes.
        new_records: Returns an empty list that the loop can append fills to.
        read_records: Turns it into a Python list.
    """

    run_bars: Callable[..., Account]
    give: Give
    give_book: Callable[[Book], Any]
    new_records: Callable[[], Any]
    read_records: Callable[[Any], list[Record]]


def _as_lists(array: npt.NDArray[Any]) -> Any:
    return array.tolist()


PLAIN = Machine(run_bars, _as_lists, list, list, list)


def run_account(
    quotes: Quotes,
    decided: Decided,
    rules: AccountRules,
    *,
    multiplier: list[float] | None = None,
    lot: list[float] | None = None,
    tick: list[float] | None = None,
    compiled: bool = False,
) -> Ledger:
    """Carry one account through T bars; it starts flat at the close of bar 0 and never trades in that bar.

    Args:
        quotes: Bars; the prices of bar 0 matter only as marks.
        decided: Decisions; the last row never fills.
        rules: Account rules.
        multiplier: Money per price unit, per instrument; None: 1.
        lot: Lot sizes, 0 for fractional; None: all fractional.
        tick: Price steps, 0 for continuous; None: all continuous.
        compiled: Run the loop compiled by ``numba``: the same bits, faster over many busy bars once it is compiled.

    Raises:
        MarketError: Given columns contradict each other or the rules, or an order moved its price to zero or below.
        ConfigError: ``compiled`` without ``numba``.
    """
    machine = PLAIN
    if compiled:
        from tradewright.market.compiled import compiled_machine  # numba is optional and slow to import

        machine = compiled_machine()
    num_bars, num = quotes.close.shape
    tick = tick or [0.0] * num
    check_given(quotes, decided, rules, tick)
    marks = last_marks(quotes)
    uses = uses_of(quotes, decided, rules)
    policy = policy_of(rules, uses, is_priced=uses.impact >= 0 or uses.pool >= 0 or max(tick) > 0)
    book = machine.give_book(flat_book(policy, marks[0], multiplier or [1.0] * num, lot or [0.0] * num, tick))
    account = Account(float(rules.initial_cash), False, False, -1)
    history = _History(machine, num_bars, num, rules.initial_cash, uses.carry)
    for start in range(1, num_bars, CHUNK_BARS):
        bars = cut_bars(quotes, decided, uses, start, min(start + CHUNK_BARS, num_bars), give=machine.give)
        out = history.next_output(bars.num_bars)
        try:
            account = machine.run_bars(policy, bars, account, book, out)
        except NoPriceError:
            raise no_price(machine.read_records(out.records)[-1]) from None
        history.store(start, out)
    return history.ledger(marks, account)


class _History:
    """Collects what the loop produces, chunk by chunk."""

    def __init__(self, machine: Machine, num_bars: int, num: int, cash: float, has_carry: bool) -> None:
        self.machine = machine
        self.equity, self.cash = np.full(num_bars, cash), np.full(num_bars, cash)
        self.shares = np.zeros((num_bars, num))
        self.carry = np.zeros((num_bars, num)) if has_carry else None
        self.totals = machine.give(np.zeros(4))
        self.records = machine.new_records()

    def next_output(self, num_bars: int) -> Output:
        """Return room for the bars of a chunk."""
        give, num = self.machine.give, self.shares.shape[1]
        shares = np.zeros((num, num_bars))
        carry = shares if self.carry is not None else shares[:0]
        zeros = shares[0]
        return Output(give(zeros), give(zeros), give(shares), give(carry), self.totals, self.records)

    def store(self, start: int, out: Output) -> None:
        """Keep the bars of a chunk."""
        rows = slice(start, start + len(out.equity))
        self.equity[rows], self.cash[rows], self.shares[rows] = out.equity, out.cash, np.transpose(out.shares)
        if self.carry is not None:
            self.carry[rows] = np.transpose(out.carry)

    def ledger(self, marks: Float, account: Account) -> Ledger:
        """Return the account's history."""
        interest, borrow, dividend, funding = (float(total) for total in self.totals)
        return Ledger(
            equity=self.equity,
            cash=self.cash,
            shares=self.shares,
            mark=marks,
            interest=interest,
            borrow=borrow,
            dividend=dividend,
            records=self.machine.read_records(self.records),
            ended_at=None if account.ended_at < 0 else int(account.ended_at),
            funding=funding,
            carry_TN=self.carry,
        )
