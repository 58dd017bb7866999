"""What happens to accounts before the open: interest, borrow, funding and dividends; then splits; then rolls.

All of it is for the time since the previous bar, at the previous mark. An ended account earns and pays no rates.
Legend: B accounts, N instruments; ``B1`` is per account, kept as a column so that it broadcasts.
"""

from typing import NamedTuple

from tradewright.market.account import Array, Bar, Fills, State
from tradewright.market.form import Form
from tradewright.market.pricing import (
    book_fills,
    cost_over_reference,
    excess_of,
    fill_price,
    reasons_where,
    refuse_no_price,
)
from tradewright.market.rules import Reason


class Carried(NamedTuple):
    """Cash after the carry and what it was made of; fields as in ``Outcome``."""

    cash_B1: Array
    interest_B: Array | float = 0.0
    borrow_B: Array | float = 0.0
    dividend_B: Array | float = 0.0
    funding_B: Array | float = 0.0
    carry_BN: Array | None = None


def carry_accounts(form: Form, state: State, bar: Bar) -> Carried:
    """Pay interest on cash, borrow on shorts, funding on positions and dividends, in this order."""
    costs = form.rules.costs
    cash_B1 = start_B1 = state.cash_B[:, None]
    interest: Array | float = 0.0
    borrow: Array | float = 0.0
    dividend: Array | float = 0.0
    funding: Array | float = 0.0
    years: Array = bar.years_B
    if getattr(years, "ndim", 0):
        years = years[:, None]
    carry_BN: Array | None = None
    if costs.cash_rate:
        interest_B1 = _unless_ended(form, state, start_B1 * (costs.cash_rate * years))
        cash_B1, interest = cash_B1 + interest_B1, interest_B1.squeeze(1)
    rate = costs.borrow_rate if bar.borrow_BN is None else bar.borrow_BN
    if form.has_shorts and (bar.borrow_BN is not None or costs.borrow_rate):
        short_BN = form.xp.maximum(-state.shares_BN, form.zero) * form.money(state.mark_BN)
        carry_BN = _unless_ended(form, state, short_BN * (rate * years))
        borrow_B1 = form.total(carry_BN)
        cash_B1, borrow = cash_B1 - borrow_B1, borrow_B1.squeeze(1)
    if bar.funding_BN is not None:
        funding_BN = _unless_ended(form, state, state.shares_BN * form.money(state.mark_BN) * bar.funding_BN)
        funding_B1 = form.total(funding_BN)
        cash_B1, funding = cash_B1 - funding_B1, funding_B1.squeeze(1)
        carry_BN = funding_BN if carry_BN is None else carry_BN + funding_BN
    if bar.dividend_BN is not None:
        dividend_BN = state.shares_BN * form.money(bar.dividend_BN)
        dividend_B1 = form.total(dividend_BN)
        cash_B1, dividend = cash_B1 + dividend_B1, dividend_B1.squeeze(1)
        carry_BN = -dividend_BN if carry_BN is None else carry_BN - dividend_BN
    return Carried(cash_B1, interest, borrow, dividend, funding, carry_BN if form.has_detail else None)


def _unless_ended(form: Form, state: State, money_BN: Array) -> Array:
    return form.xp.where(state.ended_B[:, None], form.zero, money_BN) if form.can_break else money_BN


def split_shares(state: State, decided_BN: Array | None, ratio_BN: Array) -> tuple[State, Array | None]:
    """Apply splits: more shares at lower prices, the money unchanged."""
    state = state._replace(
        shares_BN=state.shares_BN * ratio_BN,
        mark_BN=state.mark_BN / ratio_BN,
        entry_BN=None if state.entry_BN is None else state.entry_BN / ratio_BN,
        anchor_BN=None if state.anchor_BN is None else state.anchor_BN / ratio_BN,
    )
    return state, None if decided_BN is None else decided_BN * ratio_BN


class Rolled(NamedTuple):
    """What the rolls leave; fills are None unless details were asked for and something rolled."""

    cash_B1: Array
    state: State
    leave: Fills | None = None
    join: Fills | None = None


def roll_contracts(form: Form, cash_B1: Array, state: State, bar: Bar) -> Rolled:
    """Move positions from the leaving to the coming contract: two fills, the shares kept, prices shifted.

    Marks, entries and anchors shift by the difference of the two prices, so equity changes by the costs alone.
    """
    xp, shares_BN, from_BN, to_BN = form.xp, state.shares_BN, bar.roll_from_BN, bar.roll_to_BN
    assert to_BN is not None
    is_roll_BN = ~xp.isnan(from_BN)
    if not bool(is_roll_BN.any()):
        return Rolled(cash_B1, state)
    is_held_BN = is_roll_BN & (shares_BN != 0)
    quantity_BN = xp.where(is_held_BN, shares_BN, form.zero)
    outlay_BN = form.zero
    legs = []
    for leg_BN, contract_BN, after_BN in (
        (-quantity_BN, from_BN, shares_BN - quantity_BN),
        (quantity_BN, to_BN, shares_BN),
    ):
        reference_BN = xp.where(is_roll_BN, contract_BN, form.zero)
        price_BN = fill_price(form, reference_BN, leg_BN)
        refuse_no_price(form, price_BN, leg_BN)
        notional_BN = leg_BN * form.money(reference_BN)
        cost_BN = cost_over_reference(form, notional_BN, leg_BN, excess_of(form, reference_BN, price_BN))
        outlay_BN = outlay_BN + (notional_BN + cost_BN)
        if form.has_detail:
            reason_BN = reasons_where(form, is_held_BN, Reason.ROLL)
            legs.append(book_fills(form, reference_BN, leg_BN, after_BN, price_BN, reason_BN))
    shift_BN = xp.where(is_roll_BN, to_BN - from_BN, form.zero)

    def shifted(price_BN: Array | None) -> Array | None:
        return None if price_BN is None else xp.where(shares_BN != 0, price_BN + shift_BN, price_BN)

    state = state._replace(
        mark_BN=xp.where(state.mark_BN > 0, state.mark_BN + shift_BN, state.mark_BN),
        entry_BN=shifted(state.entry_BN),
        anchor_BN=shifted(state.anchor_BN),
    )
    return Rolled(cash_B1 - form.total(outlay_BN), state, *legs)
