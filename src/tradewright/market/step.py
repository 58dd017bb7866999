"""The bar step: one bar of B accounts × N instruments, one source for NumPy and torch; the only form for batches.

Order of events: carry (interest, borrow, funding, dividends) for the time since the previous bar; splits and rolls;
orders decided at the previous close fill at this open; limit and stop entries; stops and targets, also of positions
opened in this bar; mark at the close and margin check. Deciding is the caller's. The scalar loop (``scalar.py``) gives
the same bits for one account.
Legend: B accounts, N instruments; ``B1`` is per account, kept as a column so that it broadcasts.
"""

from typing import Any, NamedTuple

from tradewright.market.account import Array, Bar, Fills, Outcome, State, choose, initial_state, unrealised
from tradewright.market.carry import carry_accounts, roll_contracts, split_shares
from tradewright.market.entries import Distances, Waiting, has_price, run_entries, settle
from tradewright.market.form import Form, choose_form
from tradewright.market.orders import fill_orders
from tradewright.market.pricing import (
    book_fills,
    cost_over_reference,
    excess_of,
    fill_price,
    reasons_where,
    refuse_no_price,
)
from tradewright.market.rules import AccountRules, Reason, Terms
from tradewright.market.stops import refuse_reentry, run_stops
from tradewright.market.targets import Orders, accepted_orders

__all__ = ["Array", "Bar", "Fills", "Outcome", "State", "choose", "initial_state", "step", "unrealised"]


class Decision(NamedTuple):
    """What was decided at the previous close, all ``[B, N]``.

    Args:
        weights_BN: Target fractions of equity; NaN: no order.
        shares_BN: Target shares under ``sizing: decision``, else None.
        is_sized_BN: bool, where these could be computed (a price was known), else None.
        limit_BN, stop_BN: Entry prices; NaN: at the open; None: none.
        distances: Stop loss, take profit, trailing; None: the defaults.
    """

    weights_BN: Array
    shares_BN: Array | None
    is_sized_BN: Array | None
    limit_BN: Array | None
    stop_BN: Array | None
    distances: Distances


def step(
    xp: Any,
    state: State,
    weights_BN: Array,
    bar: Bar,
    rules: AccountRules,
    *,
    multiplier_N: Array | None = None,
    lot_N: Array | None = None,
    tick_N: Array | None = None,
    stop_loss_BN: Array | None = None,
    take_profit_BN: Array | None = None,
    trailing_BN: Array | None = None,
    limit_BN: Array | None = None,
    stop_BN: Array | None = None,
    detail: bool = True,
    specialise: bool = True,
    terms: Terms | None = None,
) -> tuple[State, Outcome]:
    """Carry B accounts through one bar; return them after it, and what happened in it.

    Args:
        xp: The module ``numpy`` or ``torch``; all arrays are its own.
        state: Accounts after the previous bar, from ``initial_state`` or this function.
        weights_BN: Target fractions of equity decided at the previous close; NaN: no order. Never infinite.
        bar: The bar.
        rules: Account rules.
        multiplier_N: Money per price unit, ``[N]`` or ``[B, N]``; None: 1.
        lot_N: Lot sizes, ``[N]`` or ``[B, N]``, 0: fractional; None: all fractional.
        tick_N: Price steps, ``[N]`` or ``[B, N]``, 0: continuous; None: all continuous. Fills round to the worse tick.
        stop_loss_BN, take_profit_BN, trailing_BN: Distances that come with the orders; they need a state with stops.
            None or NaN: the rules' default.
        limit_BN, stop_BN: Entry prices of the orders, good for this bar, at most one of them; NaN or None: the open.
        detail: Return fills, costs and reasons; who needs only equity saves their time.
        specialise: Leave out what the rules do not use; False runs the full form (tests compare the two).
        terms: Costs that differ by account, from ``rules.scaled_terms``; ``rules`` must then be those of the largest.
            None: those of ``rules``.
    """
    form = choose_form(
        xp, rules, state.shares_BN, bar,
        multiplier_N=multiplier_N, lot_N=lot_N, tick_N=tick_N, detail=detail, specialise=specialise, terms=terms,
    )  # fmt: skip
    shares_BN, is_sized_BN = _decided_shares(form, state, weights_BN)
    carried = carry_accounts(form, state, bar)
    cash_B1 = carried.cash_B1
    if bar.split_BN is not None:
        state, shares_BN = split_shares(state, shares_BN, bar.split_BN)
    leave = join = stop_fills = entry_fills = entered = None
    if bar.roll_from_BN is not None:
        cash_B1, state, leave, join = roll_contracts(form, cash_B1, state, bar)
    distances = (stop_loss_BN, take_profit_BN, trailing_BN)
    decision = Decision(weights_BN, shares_BN, is_sized_BN, limit_BN, stop_BN, distances)
    cash_B1, state, fills, waiting = _open(form, cash_B1, state, bar, decision)
    if waiting is not None:
        cash_B1, state, entry_fills, entered = run_entries(form, cash_B1, state, bar, waiting, distances)
    if state.blocked_BN is not None:
        cash_B1, state, stop_fills = run_stops(form, cash_B1, state, bar, entered)
    state, equity_B, close_fills = _mark(form, cash_B1, state, bar)
    outcome = Outcome(
        equity_B, carried.interest_B, carried.borrow_B, carried.dividend_B, fills, stop_fills, close_fills,
        carried.funding_B, carried.carry_BN, leave, join, entry_fills,
    )  # fmt: skip
    return state, outcome


def _decided_shares(form: Form, state: State, weights_BN: Array) -> tuple[Array | None, Array | None]:
    """Return the target shares fixed at the decision, and where a price for them was known, or None."""
    if form.rules.sizing != "decision":
        return None, None
    unit_BN = form.money(state.mark_BN)
    is_sized_BN = state.mark_BN > 0
    equity_B1 = state.cash_B[:, None] + form.total(state.shares_BN * unit_BN)
    invested_B1 = equity_B1 * (1.0 - form.rules.cash_buffer)
    return weights_BN * invested_B1 / form.xp.where(is_sized_BN, unit_BN, 1.0), is_sized_BN


class _Opened(NamedTuple):
    """What the open phase leaves; ``waiting`` are the orders that wait for a price, None without any."""

    cash_B1: Array
    state: State
    fills: Fills | None
    waiting: Waiting | None


def _open(form: Form, cash_B1: Array, state: State, bar: Bar, decision: Decision) -> _Opened:
    """Run the open phase; leave the orders that wait for a price."""
    xp = form.xp
    reference_BN = bar.open_BN
    if bar.tradable_BN is not None:
        reference_BN = xp.where(bar.tradable_BN, reference_BN, state.mark_BN)
    unit_BN = form.money(reference_BN)
    value_BN = state.shares_BN * unit_BN
    equity_B1 = cash_B1 + form.total(value_BN)
    forced_B1 = ended_B1 = refused_BN = waiting = None
    if form.can_break:
        ended_B1 = state.ended_B[:, None] | (equity_B1 <= form.zero)
        forced_B1 = ended_B1 | state.margin_call_B[:, None]
        state = state._replace(ended_B=ended_B1.squeeze(1))
    if state.blocked_BN is not None:
        blocked_BN, refused_BN = refuse_reentry(form, state.blocked_BN, decision.weights_BN)
        state = state._replace(blocked_BN=blocked_BN)
    orders = Orders(
        cash_B1, state.shares_BN, reference_BN, unit_BN, value_BN, equity_B1, equity_B1, bar.tradable_BN, forced_B1,
        ended_B1, decision.weights_BN, decision.shares_BN, decision.is_sized_BN, refused_BN,
    )  # fmt: skip
    if decision.limit_BN is not None or decision.stop_BN is not None:
        limit_BN, stop_BN, weights_BN = decision.limit_BN, decision.stop_BN, decision.weights_BN
        is_entry_BN = accepted_orders(form, orders) & has_price(form, limit_BN, stop_BN)
        orders = orders._replace(weights_BN=xp.where(is_entry_BN, float("nan"), weights_BN))
        weights_BN = xp.where(is_entry_BN, weights_BN, float("nan"))
        waiting = Waiting(weights_BN, decision.shares_BN, limit_BN, stop_BN, equity_B1, reference_BN)
    filled = fill_orders(form, orders)
    state = settle(form, state, filled, reference_BN, decision.distances)
    return _Opened(filled.cash_B1, state, filled.fills, waiting)


def _mark(form: Form, cash_B1: Array, state: State, bar: Bar) -> tuple[State, Array, Fills | None]:
    """Mark at the close; flag margin calls; end accounts without equity."""
    xp = form.xp
    mark_BN = bar.close_BN
    if bar.tradable_BN is not None:
        mark_BN = xp.where(bar.tradable_BN, mark_BN, state.mark_BN)
    elif mark_BN.shape != state.shares_BN.shape:
        mark_BN = xp.broadcast_to(mark_BN, state.shares_BN.shape)
    unit_BN = form.money(mark_BN)
    value_BN = state.shares_BN * unit_BN
    equity_B1 = cash_B1 + form.total(value_BN)
    cash_B = cash_B1.squeeze(1)
    if not form.can_break:
        return state._replace(cash_B=cash_B, mark_BN=mark_BN), equity_B1.squeeze(1), None
    gross_B1 = form.total(abs(value_BN))
    line_B1 = gross_B1 * form.rules.maintenance_margin
    is_low_B1 = equity_B1 <= line_B1
    if bar.tradable_BN is None and not bool(is_low_B1.any()):
        state = state._replace(cash_B=cash_B, mark_BN=mark_BN, margin_call_B=is_low_B1.squeeze(1))
        return state, equity_B1.squeeze(1), None
    is_call_B1 = (equity_B1 < line_B1) | (state.margin_call_B[:, None] & (gross_B1 > form.zero))
    is_broke_B1 = (equity_B1 <= form.zero) & ~state.ended_B[:, None]
    ended_B1 = state.ended_B[:, None] | is_broke_B1
    margin_call_B = (is_call_B1 & ~ended_B1).squeeze(1)
    state = state._replace(cash_B=cash_B, mark_BN=mark_BN, ended_B=ended_B1.squeeze(1), margin_call_B=margin_call_B)
    if not bool(is_broke_B1.any()):
        return state, equity_B1.squeeze(1), None
    is_out_BN = is_broke_B1 & (state.shares_BN != form.zero)
    if bar.tradable_BN is not None:
        is_out_BN = is_out_BN & bar.tradable_BN
    return _end_at_close(form, cash_B1, state, is_out_BN, unit_BN)


def _end_at_close(
    form: Form, cash_B1: Array, state: State, is_out_BN: Array, unit_BN: Array
) -> tuple[State, Array, Fills | None]:
    """Liquidate bankrupt accounts at the close with normal costs; the result is booked as it is."""
    xp = form.xp
    quantity_BN = xp.where(is_out_BN, -state.shares_BN, form.zero)
    notional_BN = quantity_BN * unit_BN
    price_BN = fill_price(form, state.mark_BN, quantity_BN)
    refuse_no_price(form, price_BN, quantity_BN)
    excess_BN = excess_of(form, state.mark_BN, price_BN) if form.is_priced else None
    cost_BN = cost_over_reference(form, notional_BN, quantity_BN, excess_BN)
    cash_B1 = cash_B1 - form.total(notional_BN + cost_BN)
    shares_BN = xp.where(is_out_BN, form.zero, state.shares_BN)
    fills = None
    if form.has_detail:
        reason_BN = reasons_where(form, is_out_BN, Reason.BANKRUPT)
        fills = book_fills(form, state.mark_BN, quantity_BN, shares_BN, price_BN, reason_BN)
    state = state._replace(
        cash_B=cash_B1.squeeze(1),
        shares_BN=shares_BN,
        entry_BN=None if state.entry_BN is None else xp.where(is_out_BN, form.zero, state.entry_BN),
        anchor_BN=None if state.anchor_BN is None else xp.where(is_out_BN, form.zero, state.anchor_BN),
    )
    return state, (cash_B1 + form.total(shares_BN * unit_BN)).squeeze(1), fills
