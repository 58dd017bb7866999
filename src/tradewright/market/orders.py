"""The orders of one phase of the bar step: turn target weights into fills at the open, or at entry prices after it.

Order: forced liquidations and reductions in full; then openings of shorts (an opening short is a sale), then
openings of longs, each group scaled pro rata to the buying power that is left:
``k = (leverage * (equity - fixed fees) - gross) / (notional + leverage * costs)``, clipped to [0, 1]. Costs are those
of the whole order wanted; what is executed moves the market no more than that, so cash never falls short.
Legend: B accounts, N instruments; ``B1`` is per account. Quantities are shares; ``unit`` is money per share.
"""

from typing import NamedTuple

from tradewright.market.account import Array, Fills
from tradewright.market.form import DUST, LOT_TOLERANCE, Form
from tradewright.market.pricing import book_fills, cost_over_reference, excess_of, fill_price, refuse_no_price
from tradewright.market.rules import Reason


class Orders(NamedTuple):
    """What a phase starts from.

    Args:
        cash_B1, shares_BN: The accounts.
        reference_BN: The price before costs: the open, or the last mark where there is no bar; the entry price of a
            touched entry.
        unit_BN: Money per share at the reference.
        value_BN: Signed value of the positions at the reference.
        equity_B1: Equity at the reference.
        size_B1: Equity at the open, which weights are fractions of.
        tradable_BN: bool, or None when all are.
        forced_B1: bool, accounts to be liquidated; None when none can be.
        ended_B1: bool, accounts that have ended (included in forced); None when none can.
        weights_BN: Decided targets; NaN: no order.
        decided_BN: Decided target in shares under ``sizing: decision``, else None.
        is_sized_BN: bool, where such a target could be computed (a price was known), else None.
        waiting_BN: bool, targets refused after a stop; None without stops.
        side_BN: Side of each entry order (-1, 1; 0: none), which its fill must keep; None at the open.
        is_limit_BN: bool, entries at a limit price, which pay no slippage; None at the open.
    """

    cash_B1: Array
    shares_BN: Array
    reference_BN: Array
    unit_BN: Array
    value_BN: Array
    equity_B1: Array
    size_B1: Array
    tradable_BN: Array | None
    forced_B1: Array | None
    ended_B1: Array | None
    weights_BN: Array
    decided_BN: Array | None
    is_sized_BN: Array | None
    waiting_BN: Array | None
    side_BN: Array | None = None
    is_limit_BN: Array | None = None


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


class Target(NamedTuple):
    """Target shares, and masks; None: not computed.

    Args:
        shares_BN: Target shares.
        accepted_BN: An order was accepted.
        is_cut_BN: Cut to flat, because shorts are not allowed.
        is_capped_BN: Cut to the leverage cap.
        is_over_BN: Cut to the capacity of the bar.
        is_below_lot_BN: Less than a lot.
        is_small_BN: Worth less than the least notional.
    """

    shares_BN: Array
    accepted_BN: Array | None
    is_cut_BN: Array | None
    is_capped_BN: Array | None
    is_over_BN: Array | None
    is_below_lot_BN: Array | None
    is_small_BN: Array | None


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
    target = _targets(form, orders)
    shares_BN, unit_BN = orders.shares_BN, orders.unit_BN
    if form.has_shorts:
        zero = form.zero
        kept_BN = xp.maximum(xp.minimum(target.shares_BN, xp.maximum(shares_BN, zero)), xp.minimum(shares_BN, zero))
    else:
        kept_BN = xp.minimum(target.shares_BN, shares_BN)
    is_priced = form.is_priced or orders.side_BN is not None
    price_BN = excess_BN = fills = None
    if is_priced:
        excess_BN = _price(form, orders, target.shares_BN - shares_BN)[1]
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


def _targets(form: Form, orders: Orders) -> Target:
    """Return target shares: current ones without an accepted order, zero where liquidation is forced."""
    xp, shares_BN = form.xp, orders.shares_BN
    unit_BN = orders.unit_BN if orders.tradable_BN is None else xp.maximum(orders.unit_BN, form.tiny)
    size_BN = orders.size_B1 / unit_BN
    is_clipped = form.is_single and orders.decided_BN is None and orders.side_BN is None
    leverage = form.terms.leverage
    accepted_BN = is_cut_BN = is_capped_BN = None
    if form.has_detail or not is_clipped or orders.tradable_BN is not None or orders.waiting_BN is not None:
        accepted_BN = accepted_orders(form, orders)
    if is_clipped:
        weights_BN = xp.clip(orders.weights_BN, -leverage if form.rules.allow_short else 0.0, leverage)
        target_BN = weights_BN * size_BN
        if form.has_detail:
            is_capped_BN = accepted_BN & (weights_BN != 0) & (abs(orders.weights_BN) > leverage * (1.0 + DUST))
    else:
        target_BN = orders.weights_BN * size_BN if orders.decided_BN is None else orders.decided_BN
        if not form.rules.allow_short:
            target_BN = xp.maximum(target_BN, form.zero)
        if orders.side_BN is None:
            target_BN, is_capped_BN = _capped(form, orders, target_BN, accepted_BN)
        else:
            target_BN = xp.where((target_BN - shares_BN) * orders.side_BN > 0, target_BN, shares_BN)
    if form.has_detail and not form.rules.allow_short:
        is_cut_BN = accepted_BN & (orders.weights_BN < 0)
    change_BN = target_BN - shares_BN
    is_order_BN = abs(change_BN) >= DUST * size_BN
    if accepted_BN is not None:
        is_order_BN = is_order_BN & accepted_BN
    is_over_BN = is_below_lot_BN = is_small_BN = None
    if form.has_sizes:
        size = _sized(form, orders, target_BN, change_BN, is_order_BN)
        target_BN, is_order_BN, is_over_BN, is_below_lot_BN, is_small_BN = size
    target_BN = xp.where(is_order_BN, target_BN, shares_BN)
    if orders.forced_B1 is not None:
        is_forced_BN = orders.forced_B1 if orders.tradable_BN is None else orders.forced_B1 & orders.tradable_BN
        target_BN = xp.where(is_forced_BN, form.zero, target_BN)
    return Target(target_BN, accepted_BN, is_cut_BN, is_capped_BN, is_over_BN, is_below_lot_BN, is_small_BN)


class _Size(NamedTuple):
    """Targets, where they are orders, and masks as in ``Target``."""

    target_BN: Array
    is_order_BN: Array
    is_over_BN: Array | None
    is_below_lot_BN: Array | None
    is_small_BN: Array | None


def _sized(form: Form, orders: Orders, target_BN: Array, change_BN: Array, is_order_BN: Array) -> _Size:
    """Cut orders to the capacity of the bar and to whole lots; drop those below the least notional."""
    xp, shares_BN = form.xp, orders.shares_BN
    is_over_BN = is_below_lot_BN = is_small_BN = None
    if form.capacity_BN is not None:
        is_over_BN = is_order_BN & (abs(change_BN) > form.capacity_BN)
        change_BN = xp.where(is_over_BN, xp.clip(change_BN, -form.capacity_BN, form.capacity_BN), change_BN)
        target_BN = xp.where(is_over_BN, shares_BN + change_BN, target_BN)
    if form.lot_N is not None:
        whole_BN = xp.where(target_BN == 0, change_BN, form.whole_lots(change_BN))
        is_below_lot_BN = is_order_BN & (whole_BN == 0) & (change_BN != 0)
        whole_target_BN = shares_BN + whole_BN
        whole_target_BN = xp.where(abs(whole_target_BN) < LOT_TOLERANCE * form.lot_N, form.zero, whole_target_BN)
        target_BN = xp.where(whole_BN == change_BN, target_BN, whole_target_BN)
        change_BN = whole_BN
    if form.terms.least_notional:
        is_less_BN = abs(change_BN) * orders.unit_BN < form.terms.least_notional
        is_small_BN = is_order_BN & is_less_BN & (target_BN != 0) & (change_BN != 0)
        is_order_BN = is_order_BN & ~is_small_BN
    return _Size(target_BN, is_order_BN, is_over_BN, is_below_lot_BN, is_small_BN)


def accepted_orders(form: Form, orders: Orders) -> Array:
    """Return where an order was decided and nothing forbids it."""
    accepted_BN = ~form.xp.isnan(orders.weights_BN)
    for allowed in (orders.tradable_BN, orders.is_sized_BN):
        if allowed is not None:
            accepted_BN = accepted_BN & allowed
    for refused in (orders.forced_B1, orders.waiting_BN):
        if refused is not None:
            accepted_BN = accepted_BN & ~refused
    return accepted_BN


def _capped(form: Form, orders: Orders, target_BN: Array, accepted_BN: Array) -> tuple[Array, Array]:
    """Scale the ordered targets pro rata so that gross exposure stays below the leverage cap."""
    xp, unit_BN = form.xp, orders.unit_BN
    target_BN = xp.where(accepted_BN, target_BN, form.zero)
    ordered_B1 = form.total(abs(target_BN * unit_BN))
    held_B1 = form.total(xp.where(accepted_BN, form.zero, abs(orders.value_BN)))
    limit_B1 = form.terms.leverage * orders.equity_B1
    is_over_B1 = ordered_B1 + held_B1 > limit_B1 * (1.0 + DUST)
    room_B1 = xp.maximum(limit_B1 - held_B1, form.zero)
    scale_B1 = xp.where(is_over_B1, room_B1 / xp.maximum(ordered_B1, form.tiny), 1.0)
    return target_BN * scale_B1, accepted_BN & is_over_B1 & (target_BN != 0)


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
        if terms.need_skew:
            need_BN = need_BN + notional_BN * terms.need_skew
        if terms.per_share_fee:
            need_BN = need_BN + abs(wanted_BN) * terms.need_per_share
    else:
        need_BN = abs(wanted_BN) * (unit_BN + excess_BN * terms.leverage)
    need_B1 = form.total(need_BN)
    if terms.fixed_fee:
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
