"""The bar step: one bar of B accounts × N instruments, one source for NumPy and torch; the only form for batches.

Order of events: carry (borrow, interest, dividends) for the time since the previous bar; splits; orders decided at the
previous close fill at this open; stops and targets, also of positions opened in this bar; mark at the close and margin
check. Deciding is the caller's. The scalar loop (``scalar.py``) gives the same bits for one account.
Legend: B accounts, N instruments; ``B1`` is per account, kept as a column so that it broadcasts.
"""

from typing import Any, NamedTuple

from tradewright.market.account import Array, Bar, Fills, Outcome, State, choose, initial_state, unrealised
from tradewright.market.form import Form, choose_form, cost_over_reference
from tradewright.market.orders import Orders, fill_orders
from tradewright.market.rules import AccountRules, Reason
from tradewright.market.stops import average_entry, refuse_reentry, replace_distances, run_stops

__all__ = ["Array", "Bar", "Fills", "Outcome", "State", "choose", "initial_state", "step", "unrealised"]


def step(
    xp: Any,
    state: State,
    weights_BN: Array,
    bar: Bar,
    rules: AccountRules,
    *,
    multiplier_N: Array | None = None,
    lot_N: Array | None = None,
    stop_loss_BN: Array | None = None,
    take_profit_BN: Array | None = None,
    trailing_BN: Array | None = None,
    detail: bool = True,
    specialise: bool = True,
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
        stop_loss_BN, take_profit_BN, trailing_BN: Distances that come with the orders; they need a state with stops.
            None or NaN: the rules' default.
        detail: Return fills, costs and reasons; who needs only equity saves their time.
        specialise: Leave out what the rules do not use; False runs the full form (tests compare the two).
    """
    form = choose_form(
        xp, rules, state.shares_BN, multiplier_N=multiplier_N, lot_N=lot_N, detail=detail, specialise=specialise
    )
    decided_BN, is_sized_BN = _decided_shares(form, state, weights_BN)
    carried = _carry(form, state, bar)
    if bar.split_BN is not None:
        state, decided_BN = _split(state, decided_BN, bar.split_BN)
    decided = (weights_BN, decided_BN, is_sized_BN)
    distances = (stop_loss_BN, take_profit_BN, trailing_BN)
    cash_B1, state, fills = _open(form, carried.cash_B1, state, bar, decided, distances)
    stop_fills = None
    if state.blocked_BN is not None:
        cash_B1, state, stop_fills = run_stops(form, cash_B1, state, bar)
    state, equity_B, close_fills = _mark(form, cash_B1, state, bar)
    outcome = Outcome(
        equity_B, carried.interest_B, carried.borrow_B, carried.dividend_B, fills, stop_fills, close_fills
    )
    return state, outcome


class _Carried(NamedTuple):
    cash_B1: Array
    interest_B: Array | float
    borrow_B: Array | float
    dividend_B: Array | float


def _decided_shares(form: Form, state: State, weights_BN: Array) -> tuple[Array | None, Array | None]:
    """Return the target shares fixed at the decision, and where a price for them was known, or None."""
    if form.rules.sizing != "decision":
        return None, None
    unit_BN = form.money(state.mark_BN)
    is_sized_BN = state.mark_BN > 0
    equity_B1 = state.cash_B[:, None] + form.total(state.shares_BN * unit_BN)
    invested_B1 = equity_B1 * (1.0 - form.rules.cash_buffer)
    return weights_BN * invested_B1 / form.xp.where(is_sized_BN, unit_BN, 1.0), is_sized_BN


def _carry(form: Form, state: State, bar: Bar) -> _Carried:
    """Pay interest on cash, borrow on shorts at the previous mark, and dividends, for the time since the last bar."""
    xp, costs = form.xp, form.rules.costs
    cash_B1 = state.cash_B[:, None]
    interest: Array | float = 0.0
    borrow: Array | float = 0.0
    dividend: Array | float = 0.0
    years: Array = bar.years_B
    if getattr(years, "ndim", 0):
        years = years[:, None]

    def unless_ended(money_B1: Array) -> Array:
        return xp.where(state.ended_B[:, None], form.zero, money_B1) if form.can_break else money_B1

    start_B1 = cash_B1
    if costs.cash_rate:
        interest_B1 = unless_ended(start_B1 * (costs.cash_rate * years))
        cash_B1, interest = cash_B1 + interest_B1, interest_B1.squeeze(1)
    if costs.borrow_rate and form.has_shorts:
        short_BN = xp.clip(-state.shares_BN, 0.0, None) * form.money(state.mark_BN)
        borrow_B1 = unless_ended(form.total(short_BN) * (costs.borrow_rate * years))
        cash_B1, borrow = cash_B1 - borrow_B1, borrow_B1.squeeze(1)
    if bar.dividend_BN is not None:
        dividend_B1 = form.total(state.shares_BN * form.money(bar.dividend_BN))
        cash_B1, dividend = cash_B1 + dividend_B1, dividend_B1.squeeze(1)
    return _Carried(cash_B1, interest, borrow, dividend)


def _split(state: State, decided_BN: Array | None, ratio_BN: Array) -> tuple[State, Array | None]:
    """Apply splits: more shares at lower prices, the money unchanged."""
    state = state._replace(
        shares_BN=state.shares_BN * ratio_BN,
        mark_BN=state.mark_BN / ratio_BN,
        entry_BN=None if state.entry_BN is None else state.entry_BN / ratio_BN,
        anchor_BN=None if state.anchor_BN is None else state.anchor_BN / ratio_BN,
    )
    return state, None if decided_BN is None else decided_BN * ratio_BN


def _open(
    form: Form,
    cash_B1: Array,
    state: State,
    bar: Bar,
    decided: tuple[Array, Array | None, Array | None],
    distances: tuple[Array | None, Array | None, Array | None],
) -> tuple[Array, State, Fills | None]:
    """Run the open phase; ``decided`` holds the weights, the decided shares and where these could be sized."""
    xp = form.xp
    weights_BN, decided_BN, is_sized_BN = decided
    reference_BN = bar.open_BN
    if bar.tradable_BN is not None:
        reference_BN = xp.where(bar.tradable_BN, reference_BN, state.mark_BN)
    unit_BN = form.money(reference_BN)
    value_BN = state.shares_BN * unit_BN
    equity_B1 = cash_B1 + form.total(value_BN)
    forced_B1 = ended_B1 = waiting_BN = None
    if form.can_break:
        ended_B1 = state.ended_B[:, None] | (equity_B1 <= form.zero)
        forced_B1 = ended_B1 | state.margin_call_B[:, None]
    if state.blocked_BN is not None:
        blocked_BN, waiting_BN = refuse_reentry(form, state.blocked_BN, weights_BN)
        state = state._replace(blocked_BN=blocked_BN)
    orders = Orders(
        cash_B1, state.shares_BN, reference_BN, unit_BN, value_BN, equity_B1, bar.tradable_BN, forced_B1, ended_B1,
        weights_BN, decided_BN, is_sized_BN, waiting_BN,
    )  # fmt: skip
    filled = fill_orders(form, orders)
    entry_BN = state.entry_BN
    if entry_BN is not None:
        entry_BN, price_BN = average_entry(form, entry_BN, filled, reference_BN)
    ended_B = state.ended_B if ended_B1 is None else ended_B1.squeeze(1)
    opened = state._replace(shares_BN=filled.shares_BN, ended_B=ended_B, entry_BN=entry_BN)
    if state.anchor_BN is not None:
        anchor_BN = xp.where(filled.kept_BN != form.zero, state.anchor_BN, price_BN)
        opened = opened._replace(anchor_BN=xp.where(filled.shares_BN != form.zero, anchor_BN, form.zero))
        opened = replace_distances(form, opened, filled.accepted_BN, distances)
    return filled.cash_B1, opened, filled.fills


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
    xp, costs = form.xp, form.terms
    quantity_BN = xp.where(is_out_BN, -state.shares_BN, form.zero)
    notional_BN = quantity_BN * unit_BN
    cost_BN = cost_over_reference(form, notional_BN, quantity_BN)
    cash_B1 = cash_B1 - form.total(notional_BN + cost_BN)
    slippage_BN = abs(notional_BN) * costs.slippage
    reason_BN = xp.where(is_out_BN, int(Reason.BANKRUPT), xp.zeros_like(is_out_BN, dtype=xp.int64))
    price_BN = state.mark_BN * (1.0 + xp.sign(quantity_BN) * costs.slippage)
    shares_BN = xp.where(is_out_BN, form.zero, state.shares_BN)
    fills = None
    if form.has_detail:
        fills = Fills(quantity_BN, shares_BN, price_BN, cost_BN - slippage_BN, slippage_BN, reason_BN)
    state = state._replace(
        cash_B=cash_B1.squeeze(1),
        shares_BN=shares_BN,
        entry_BN=None if state.entry_BN is None else xp.where(is_out_BN, form.zero, state.entry_BN),
        anchor_BN=None if state.anchor_BN is None else xp.where(is_out_BN, form.zero, state.anchor_BN),
    )
    return state, (cash_B1 + form.total(shares_BN * unit_BN)).squeeze(1), fills
