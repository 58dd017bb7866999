"""Costs and account rules: the constants of the accounting, shared by the bar step and the scalar loop."""

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

ROUNDING = 1e-9
"""Fraction by which a figure may miss a limit and still count as meeting it."""


class Reason(IntEnum):
    """Why an order was filled, scaled, rejected or forced; the journal's reason code."""

    NONE = 0
    ORDER = 1  # filled as decided
    SCALED_BUYING_POWER = 2  # filled in part: cash or margin ran out
    SCALED_LEVERAGE = 3  # filled, target cut to the leverage cap
    NO_BAR = 4  # rejected: the instrument has no bar
    BELOW_LOT = 5  # rejected: less than one lot
    NO_BUYING_POWER = 6  # rejected: nothing can be bought
    SHORT_NOT_ALLOWED = 7  # rejected in part or whole: the target was cut to flat
    WAITING_AFTER_STOP = 8  # rejected: stopped out, target has neither changed sign nor passed zero
    MARGIN_CALL = 9  # forced at the open after a maintenance breach at the close
    BANKRUPT = 10  # forced: equity at or below zero; the account ends
    STOP_LOSS = 11
    TAKE_PROFIT = 12
    TRAILING_STOP = 13
    ACCOUNT_ENDED = 14  # rejected: the account has ended
    BELOW_MIN_NOTIONAL = 15  # rejected: the order is worth less than the least notional
    SCALED_CAPACITY = 16  # cut to the capacity of the bar (volume participation)
    NOT_REACHED = 17  # rejected: the bar never touched the limit or stop price
    ROLL = 18  # forced: the position moved to the coming contract
    LIMIT_ENTRY = 19  # filled at the limit price or better
    STOP_ENTRY = 20  # filled at the stop price or worse


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What trading and holding costs.

    Args:
        fee_bps: Commission, basis points of the notional at the fill price.
        fixed_fee: Money per fill.
        per_share_fee: Money per share or contract.
        slippage_bps: Adverse move of the fill price at the open and at stops, basis points; targets (limit orders) pay
            none.
        slippage_ticks: Adverse ticks per fill at the open and at stops, beside ``slippage_bps``; needs an instrument
            with a tick.
        impact: Y of the square-root law: an order of q shares slips by the fraction ``Y * sigma * sqrt(q / V)`` more,
            with the daily volatility sigma and volume V known at the decision.
        borrow_rate: Annual fraction of the short notional, charged for the calendar time since the previous bar.
        cash_rate: Annual fraction earned on positive cash and paid on negative cash, for the same time.

    Raises:
        ValueError: A cost other than ``cash_rate`` is negative.
    """

    fee_bps: float = 0.0
    fixed_fee: float = 0.0
    per_share_fee: float = 0.0
    slippage_bps: float = 0.0
    slippage_ticks: float = 0.0
    impact: float = 0.0
    borrow_rate: float = 0.0
    cash_rate: float = 0.0

    def __post_init__(self) -> None:
        names = ("fee_bps", "fixed_fee", "per_share_fee", "slippage_bps", "slippage_ticks", "impact", "borrow_rate")
        for name in names:
            value = getattr(self, name)
            if not value >= 0:
                raise ValueError(f"{name} must be >= 0, was {value}")
        if self.slippage_bps >= 10_000:
            raise ValueError(f"slippage_bps must be < 10000, was {self.slippage_bps}")


Term = Any
"""A float, or a NumPy array or torch tensor of one per account (``[B, 1]``; ``[B]`` in ``lean``)."""


def is_term(term: Term) -> bool:
    """Return whether a term is in force: a number other than zero, or one per account."""
    return not isinstance(term, float) or term != 0.0


class Terms(NamedTuple):
    """Costs as the fractions that both forms of the accounting multiply with, so that their bits agree.

    An order of notional v at the open (signed, at the reference price) pays ``v * (1 + skew) + |v| * rate`` money
    besides its fees per share and per fill: slippage ``|v| * slippage`` and fee ``(|v| + v * slippage) * fee``.
    ``need_rate`` and ``need_skew`` turn an opening's notional into the buying power that it uses. With ticks or market
    impact the slippage differs by order; then costs per share take the place of these (``pricing.py``).
    All are floats, or those of costs one per account, where accounts pay different ones.
    """

    leverage: float
    fee: Term
    slippage: Term
    slippage_ticks: Term
    least_notional: float
    rate: Term
    skew: Term
    fixed_fee: Term
    per_share_fee: Term
    need_rate: Term
    need_skew: Term
    need_per_share: Term

    @property
    def needs_quantity(self) -> bool:
        """Whether a fee depends on the quantity or its being there, not on money alone."""
        return is_term(self.fixed_fee) or is_term(self.per_share_fee)


@dataclass(frozen=True, kw_only=True)
class AccountRules:
    """How an account may trade.

    Args:
        initial_cash: Money at the start, > 0.
        leverage: Cap of gross exposure as a multiple of equity, checked at the fill, > 0.
        allow_short: Whether negative targets are executed; if not they are cut to flat, with a reason.
        maintenance_margin: Least equity as a fraction of gross exposure on the mark at close, in [0, 1).
        stop_loss, take_profit, trailing: Default distances (fractions) for positions that carry none; None: none.
        sizing: ``fill`` sizes an order with equity and price at the fill; ``decision`` with those at the decision's
            close.
        cash_buffer: Fraction of equity never invested under ``sizing: decision``, in [0, 1).
        min_notional: Least money an order must be worth, >= 0; less is rejected. Full closings are exempt.
        costs: What trading and holding costs.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    initial_cash: float = 100_000.0
    leverage: float = 1.0
    allow_short: bool = True
    maintenance_margin: float = 0.25
    stop_loss: float | None = None
    take_profit: float | None = None
    trailing: float | None = None
    sizing: str = "fill"
    cash_buffer: float = 0.0
    min_notional: float = 0.0
    costs: Costs = field(default_factory=Costs)

    def __post_init__(self) -> None:
        for name in ("initial_cash", "leverage"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, was {getattr(self, name)}")
        for name in ("maintenance_margin", "cash_buffer"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), was {getattr(self, name)}")
        if not self.min_notional >= 0:
            raise ValueError(f"min_notional must be >= 0, was {self.min_notional}")
        for name in ("stop_loss", "take_profit", "trailing"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be > 0 or null, was {value}")
        if self.sizing not in ("fill", "decision"):
            raise ValueError(f"sizing must be 'fill' or 'decision', was {self.sizing!r}")

    @cached_property
    def terms(self) -> Terms:
        """The costs and the leverage cap as plain fractions."""
        return Terms(*(float(term) for term in self.scaled_terms(1.0)))

    def scaled_terms(self, factor: Term) -> Terms:
        """Return the terms with fees and slippage times ``factor``; what is free stays the number 0.

        Args:
            factor: A float, or one per account, >= 0. Market impact comes with the bar and is the caller's to scale.
        """
        costs, leverage = self.costs, float(self.leverage)

        def scaled(cost: float) -> Term:
            return cost * factor if cost else 0.0

        fee, slippage = scaled(costs.fee_bps / 1e4), scaled(costs.slippage_bps / 1e4)
        rate, skew, per_share_fee = slippage + fee, fee * slippage, scaled(costs.per_share_fee)
        return Terms(
            leverage=leverage,
            fee=fee,
            slippage=slippage,
            slippage_ticks=scaled(costs.slippage_ticks),
            least_notional=float(self.min_notional * (1.0 - ROUNDING)),
            rate=rate,
            skew=skew,
            fixed_fee=scaled(costs.fixed_fee),
            per_share_fee=per_share_fee,
            need_rate=1.0 + leverage * rate,
            need_skew=leverage * skew,
            need_per_share=leverage * per_share_fee,
        )

    @cached_property
    def can_break(self) -> bool:
        """Whether equity can reach zero or the margin line: not for a long-only, unlevered account with modest costs.

        There cash never falls below zero, because openings are limited to the cash and a sale always brings money.
        """
        costs = self.costs
        takes_money_on_sale = costs.fixed_fee > 0 or costs.per_share_fee > 0 or self.terms.rate >= 1
        return self.allow_short or self.leverage > 1 or costs.cash_rate < 0 or takes_money_on_sale

    @cached_property
    def has_stops(self) -> bool:
        """Whether positions have a stop or a target even where none is given with the order."""
        return not (self.stop_loss is None and self.take_profit is None and self.trailing is None)
