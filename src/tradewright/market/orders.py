"""The orders of one phase of the bar step: turn target weights into fills at the open, or at entry prices after it.

Order: forced liquidations and reductions in full; then openings of shorts (an opening short is a sale), then
openings of longs, each group scaled pro rata to the buying power that is left:
``k = (leverage * (equity - fixed fees) - gross) / (notional + leverage * costs)``, clipped to [0, 1]. Costs are those
of the whole order wanted; what is executed moves the market no more than that, so cash never falls short.
Legend: B accounts, N instruments; ``B1`` is per account. Quantities are shares; ``unit`` is money per share.
"""

from typing import NamedTuple

from tradewright.market.account import Array, Fills
from tradewright.market.form import DUST, Form
from tradewright.market.pricing import (
    book_fills,
    cost_over_reference,
    excess_of,
    fill_price,
    refuse_empty_pool,
    refuse_no_price,
)
from tradewright.market.rules import Reason, is_term
from tradewright.market.targets import Orders, Target, find_targets


class Filled(NamedTuple):
    """What a phase leaves: cash, shares (of the old position kept + newly opened), the fill, and its journal.

    ``price_BN`` is None where slippage is the same fraction for all.
    """

    cash_B1: Array
    shares_BN: Array
    kept_BN: Array
    opened_BN: Array
    quantity_BN: Array
    accepted_BN: Array | None
    fills: Fills | None
    price_BN: Array | None


class Opening(NamedTuple):
    """The part of the orders that adds exposure.

    Args:
        wanted_BN: As wanted.
        shares_BN: As executed.
        scale_BN: The buying-power scale between them.
        is_small_BN: Scaled below the least notional; None without one.
    """

    wanted_BN: Array
    shares_BN: Array
    scale_BN: Array
    is_small_BN: Array | None


def fill_orders(form: Form, orders: Orders) -> Filled:
    """Execute the orders and forced liquidations of one phase."""
    xp = form.xp
    target = find_targets(form, orders)
    shares_BN, unit_BN = orders.shares_BN, orders.unit_BN
    if form.has_shorts:
        zero = form.zero
        kept_BN = xp.maximum(xp.minimum(target.shares_BN, xp.maximum(shares_BN, zero)), xp.minimum(shares_BN, zero))
    else:
        kept_BN = xp.minimum(target.shares_BN, shares_BN)
    is_priced = form.is_priced or orders.side_BN is not None
    price_BN = excess_BN = fills = None
    if is_priced:
        wanted_BN = target.shares_BN - shares_BN
        price_BN, excess_BN = _price(form, orders, wanted_BN)
        refuse_empty_pool(form, price_BN, wanted_BN)
    opening = _openings(form, orders, kept_BN, target.shares_BN - kept_BN, excess_BN)
    new_BN = kept_BN + opening.shares_BN
    quantity_BN = new_BN - shares_BN
    notional_BN = quantity_BN * unit_BN
    if is_priced:
        price_BN, excess_BN = _price(form, orders, quantity_BN)
        refuse_no_price(form, price_BN, quantity_BN)
    cash_B1 = orders.cash_B1 - form.total(notional_BN + cost_over_reference(form, notional_BN, quantity_BN, excess_BN))
    if form.has_detail:
        paid_BN = fill_price(form, orders.reference_BN, quantity_BN) if price_BN is None else price_BN
        reason_BN = _reasons(form, orders, target, opening, quantity_BN)
        fills = book_fills(form, orders.reference_BN, quantity_BN, new_BN, paid_BN, reason_BN)
    return Filled(cash_B1, new_BN, kept_BN, opening.shares_BN, quantity_BN, target.accepted_BN, fills, price_BN)


def _price(form: Form, orders: Orders, quantity_BN: Array) -> tuple[Array, Array]:
    """Return the fill prices of quantities and their costs per share."""
    price_BN = fill_price(form, orders.reference_BN, quantity_BN, orders.is_limit_BN)
    return price_BN, excess_of(form, orders.reference_BN, price_BN)


def _openings(form: Form, orders: Orders, kept_BN: Array, wanted_BN: Array, excess_BN: Array | None) -> Opening:
    """Return the openings that buying power allows, after the reductions."""
    xp, unit_BN = form.xp, orders.unit_BN
    kept_value_BN = kept_BN * unit_BN
    needs_quantity = form.terms.needs_quantity or form.terms.least_notional > 0 or excess_BN is not None
    reduced_BN = kept_BN - orders.shares_BN if needs_quantity else kept_BN
    cost_BN = cost_over_reference(form, kept_value_BN - orders.value_BN, reduced_BN, excess_BN)
    equity_B1 = orders.equity_B1 - form.total(cost_BN)
    used_BN = abs(kept_value_BN)
    if orders.side_BN is not None:  # which came first is unknown: a reduction frees no buying power for others
        used_BN = xp.where(wanted_BN != 0, used_BN, abs(orders.value_BN))
    gross_B1 = form.total(used_BN)
    if form.is_single or not form.has_shorts:
        return _scaled(form, orders, wanted_BN, reduced_BN, excess_BN, equity_B1, gross_B1)
    wanted_short_BN = xp.minimum(wanted_BN, form.zero)
    shorts = _scaled(form, orders, wanted_short_BN, reduced_BN, excess_BN, equity_B1, gross_B1)
    notional_BN = shorts.shares_BN * unit_BN
    cost_BN = cost_over_reference(form, notional_BN, shorts.shares_BN, excess_BN, is_paid_BN=reduced_BN != 0)
    equity_B1 = equity_B1 - form.total(cost_BN)
    gross_B1 = gross_B1 + form.total(abs(notional_BN))
    wanted_long_BN = xp.maximum(wanted_BN, form.zero)
    longs = _scaled(form, orders, wanted_long_BN, reduced_BN, excess_BN, equity_B1, gross_B1)
    scale_BN, is_small_BN = longs.scale_BN, longs.is_small_BN
    if form.has_detail:
        scale_BN = xp.where(wanted_BN < 0, shorts.scale_BN, scale_BN)
        is_small_BN = None if is_small_BN is None else is_small_BN | shorts.is_small_BN
    return Opening(wanted_BN, shorts.shares_BN + longs.shares_BN, scale_BN, is_small_BN)


def _scaled(
    form: Form,
    orders: Orders,
    wanted_BN: Array,
    reduced_BN: Array,
    excess_BN: Array | None,
    equity_B1: Array,
    gross_B1: Array,
) -> Opening:
    """Scale one group of openings pro rata to the buying power left, of which rounding noise opens nothing.

    Args:
        form, orders: As above.
        wanted_BN: The openings wanted.
        reduced_BN: The reductions that share their fill.
        excess_BN: Costs per share; None: slippage is the same fraction for all.
        equity_B1, gross_B1: Equity and gross exposure before the group.
    """
    xp, terms, unit_BN = form.xp, form.terms, orders.unit_BN
    if excess_BN is None:
        notional_BN = wanted_BN * unit_BN
        need_BN = abs(notional_BN) * terms.need_rate
        if is_term(terms.need_skew):
            need_BN = need_BN + notional_BN * terms.need_skew
        if is_term(terms.per_share_fee):
            need_BN = need_BN + abs(wanted_BN) * terms.need_per_share
    else:
        need_BN = abs(wanted_BN) * (unit_BN + excess_BN * terms.leverage)
    need_B1 = form.total(need_BN)
    if is_term(terms.fixed_fee):
        is_new_fill_BN = (wanted_BN != 0) & (reduced_BN == 0)
        equity_B1 = equity_B1 - form.total(xp.where(is_new_fill_BN, terms.fixed_fee, form.zero))
    room_B1 = (equity_B1 if terms.leverage == 1 else equity_B1 * terms.leverage) - gross_B1
    scale_B1 = xp.clip(room_B1 / xp.maximum(need_B1, form.tiny), 0.0, 1.0)
    if not form.is_single or orders.side_BN is not None:  # else the leverage cap left nothing to scale away
        scale_B1 = xp.where(scale_B1 < DUST, form.zero, scale_B1)
    opened_BN = wanted_BN * scale_B1
    if form.lot_N is not None:
        opened_BN = xp.where(scale_B1 < 1, form.whole_lots(opened_BN), opened_BN)
    if not terms.least_notional:
        return Opening(wanted_BN, opened_BN, scale_B1, None)
    is_less_BN = abs(opened_BN + reduced_BN) * unit_BN < terms.least_notional
    is_small_BN = (scale_B1 < 1) & (opened_BN != 0) & is_less_BN
    return Opening(wanted_BN, xp.where(is_small_BN, form.zero, opened_BN), scale_B1, is_small_BN)


def _reasons(form: Form, orders: Orders, target: Target, opening: Opening, quantity_BN: Array) -> Array:
    """Return a ``Reason`` per order; later lines outrank earlier ones. A zero target of a flat account is no order."""
    xp = form.xp
    is_decided_BN = ~xp.isnan(orders.weights_BN) & ((orders.weights_BN != 0) | (orders.shares_BN != 0))
    is_fill_BN = quantity_BN != 0
    reason_BN = xp.zeros_like(quantity_BN, dtype=xp.int64)

    def mark(where_BN: Array | None, reason: Reason) -> None:
        nonlocal reason_BN
        if where_BN is not None:
            reason_BN = xp.where(where_BN, int(reason), reason_BN)

    mark(is_fill_BN, Reason.ORDER)
    if orders.is_limit_BN is not None:
        mark(is_fill_BN, Reason.STOP_ENTRY)
        mark(is_fill_BN & orders.is_limit_BN, Reason.LIMIT_ENTRY)
    mark(target.is_over_BN, Reason.SCALED_CAPACITY)
    is_scaled_BN = (opening.wanted_BN != 0) & (opening.scale_BN < 1.0 - DUST)
    mark(is_scaled_BN & is_fill_BN, Reason.SCALED_BUYING_POWER)
    mark(is_scaled_BN & ~is_fill_BN, Reason.BELOW_LOT)
    mark(is_scaled_BN & ~is_fill_BN & (opening.scale_BN == 0), Reason.NO_BUYING_POWER)
    if target.is_capped_BN is not None:
        mark(target.is_capped_BN & is_fill_BN, Reason.SCALED_LEVERAGE)
        mark(target.is_capped_BN & ~is_fill_BN & (orders.shares_BN == 0), Reason.NO_BUYING_POWER)
    if opening.is_small_BN is not None:
        mark(opening.is_small_BN & ~is_fill_BN, Reason.BELOW_MIN_NOTIONAL)
    if target.is_over_BN is not None:
        mark(target.is_over_BN & ~is_fill_BN & (opening.wanted_BN == 0), Reason.SCALED_CAPACITY)
    mark(target.is_below_lot_BN, Reason.BELOW_LOT)
    mark(target.is_small_BN, Reason.BELOW_MIN_NOTIONAL)
    mark(target.is_cut_BN, Reason.SHORT_NOT_ALLOWED)
    for allowed_BN in (orders.tradable_BN, orders.is_sized_BN):
        if allowed_BN is not None:
            mark(is_decided_BN & ~allowed_BN, Reason.NO_BAR)
    mark(orders.waiting_BN, Reason.WAITING_AFTER_STOP)  # never a zero target: that lifts the block
    if orders.forced_B1 is not None and orders.ended_B1 is not None:
        mark((is_decided_BN | is_fill_BN) & orders.forced_B1, Reason.MARGIN_CALL)
        mark(is_decided_BN & orders.ended_B1, Reason.ACCOUNT_ENDED)
        mark(is_fill_BN & orders.ended_B1, Reason.BANKRUPT)
    return reason_BN
