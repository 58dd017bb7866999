"""The book of one account in the scalar loop: its fields, prices and costs of fills, marks and the end.

The rules of the bar step over Python floats, operation by operation, so both forms agree bit for bit. Plain functions
over floats, named tuples and lists that are only indexed, so that a compiler for numeric Python can take them as they
are, with arrays in place of lists (``compiled.py``).
Legend: n instrument, i bar of the chunk; columns are indexed ``[n][i]``. ``unit`` is money per share or contract.
"""

from dataclasses import dataclass
from typing import NamedTuple

from tradewright.market.rules import Terms

ORDER, SCALED_BUYING_POWER, SCALED_LEVERAGE, NO_BAR, BELOW_LOT, NO_BUYING_POWER = 1, 2, 3, 4, 5, 6
SHORT_NOT_ALLOWED, WAITING_AFTER_STOP, MARGIN_CALL, BANKRUPT = 7, 8, 9, 10
STOP_LOSS, TAKE_PROFIT, TRAILING_STOP, ACCOUNT_ENDED = 11, 12, 13, 14
BELOW_MIN_NOTIONAL, SCALED_CAPACITY, NOT_REACHED, ROLL, LIMIT_ENTRY, STOP_ENTRY = 15, 16, 17, 18, 19, 20

OPEN, STOP, CLOSE, ENTRY, LEAVE, JOIN = 0, 1, 2, 3, 4, 5
"""Phases of a bar in which something can be filled; their order in time is LEAVE, JOIN, OPEN, ENTRY, STOP, CLOSE."""

Record = tuple[int, int, int, int, float, float, float, float, float]
"""A fill or rejection: bar, phase, instrument, reason, quantity, shares after it, price, fee, slippage.

A roll leaves two: its position is flat after LEAVE and back after JOIN."""

NAN = float("nan")

Column = list[float]
Columns = list[list[float]]


class NoPriceError(Exception):
    """A fill at a price of zero or less; the last record is that fill."""


class Policy(NamedTuple):
    """The account rules as the loop reads them; ``is_priced`` and ``can_break`` as in ``Form``."""

    terms: Terms
    allow_short: bool
    is_decision: bool
    cash_buffer: float
    maintenance_margin: float
    cash_rate: float
    borrow_rate: float
    can_break: bool
    is_priced: bool
    stop_loss: float
    take_profit: float
    trailing: float


class Uses(NamedTuple):
    """What the account needs, and the places of the optional columns in ``Bars.given``; -1: not given."""

    stops: bool
    entries: bool
    carry: bool
    finer: bool
    stop_loss: int
    take_profit: int
    trailing: int
    limit: int
    stop: int
    split: int
    dividend: int
    borrow: int
    funding: int
    roll_from: int
    roll_to: int
    impact: int
    capacity: int
    pool: int


class Bars(NamedTuple):
    """Some bars as columns ``[n][i]``, with the decisions of the bar before each; flags and years are ``[i]``.

    ``lower`` and ``upper`` are the low and high of each bar in their numeric order; ``next_loud`` is the first bar from
    i on in which more can happen than a mark and a stop; ``given`` are the optional columns. The finer bars are arrays
    ``[T, K, N]`` over all bars.
    """

    start: int
    num_bars: int
    uses: Uses
    open: Columns
    upper: Columns
    lower: Columns
    close: Columns
    years: Column
    has_order: list[bool]
    next_loud: list[int]
    tradable: list[list[bool]]
    weights: Columns
    given: list[Columns]
    finer_open: list[list[list[float]]]
    finer_upper: list[list[list[float]]]
    finer_lower: list[list[list[float]]]


@dataclass(slots=True)
class Position:
    """What the account holds of one instrument, its contract, and the notes of a bar."""

    shares: float = 0.0
    mark: float = 0.0
    entry: float = 0.0
    anchor: float = 0.0
    stop_loss: float = NAN
    take_profit: float = NAN
    trailing: float = NAN
    blocked: float = 0.0
    reference: float = 0.0
    unit: float = 0.0
    decided: float = 0.0
    target: float = 0.0
    kept: float = 0.0
    opened: float = 0.0
    scale: float = 0.0
    excess: float = 0.0
    side: float = 0.0
    multiplier: float = 1.0
    lot: float = 0.0
    tick: float = 0.0
    is_sized: bool = True
    is_accepted: bool = False
    is_waiting: bool = False
    is_limit: bool = False
    is_missed: bool = False
    is_more: bool = False
    is_new: bool = False
    is_capped: bool = False
    is_over: bool = False
    is_below_lot: bool = False
    is_small: bool = False


Book = list[Position]
"""A position per instrument; for a compiled loop a structured array with the same fields."""


class Output(NamedTuple):
    """What the loop writes: equity and cash ``[i]``, shares and carry ``[n][i]``, totals, fills.

    ``totals`` are interest, borrow, dividend and funding, money; ``carry`` is empty without such costs.
    """

    equity: Column
    cash: Column
    shares: Columns
    carry: Columns
    totals: Column
    records: list[Record]


def size_decisions(book: Book, bars: Bars, i: int, cash: float, cash_buffer: float) -> None:
    """Fix target shares with the equity and prices of the decision's close."""
    total = 0.0
    for n in range(len(book)):
        position = book[n]
        total += position.shares * (position.mark * position.multiplier)
    invested = (cash + total) * (1.0 - cash_buffer)
    for n in range(len(book)):
        position = book[n]
        position.is_sized = position.mark > 0
        unit = position.mark * position.multiplier if position.is_sized else 1.0
        position.decided = bars.weights[n][i] * invested / unit


def open_equity(book: Book, bars: Bars, i: int, cash: float) -> float:
    """Set reference prices (the open, or the last mark where there is no bar); return equity there."""
    total = 0.0
    for n in range(len(book)):
        position = book[n]
        reference = bars.open[n][i] if bars.tradable[n][i] else position.mark
        unit = reference * position.multiplier
        position.reference = reference
        position.unit = unit
        total += position.shares * unit
    return cash + total


def mark_book(book: Book, bars: Bars, i: int, cash: float, out: Output) -> tuple[float, float]:
    """Mark at the close (the last mark where there is no bar), note the shares; return equity and gross exposure."""
    total = gross = 0.0
    for n in range(len(book)):
        position = book[n]
        if bars.tradable[n][i]:
            position.mark = bars.close[n][i]
        value = position.shares * (position.mark * position.multiplier)
        total += value
        gross += abs(value)
        out.shares[n][i] = position.shares
    return cash + total, gross


def flatten(position: Position) -> None:
    """Forget a closed position."""
    position.shares = 0.0
    position.entry = 0.0
    position.anchor = 0.0
