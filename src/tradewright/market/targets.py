"""How many shares each order wants before buying power: weight, leverage cap, capacity, lots, least notional.

Legend: B accounts, N instruments; ``B1`` is per account. Quantities are shares; ``unit`` is money per share.
"""

from typing import NamedTuple

from tradewright.market.account import Array
from tradewright.market.form import DUST, LOT_TOLERANCE, Form


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


def find_targets(form: Form, orders: Orders) -> Target:
    """Return target shares: current ones without an accepted order, zero where liquidation is forced."""
    xp, shares_BN = form.xp, orders.shares_BN
    unit_BN = orders.unit_BN if orders.tradable_BN is None else xp.maximum(orders.unit_BN, form.tiny)
    size_BN = orders.size_B1 / unit_BN
    is_clipped = form.is_single and orders.decided_BN is None and orders.side_BN is None
    leverage = form.terms.leverage
    accepted_BN = is_cut_BN = is_capped_BN = None
    is_differentiated = getattr(orders.weights_BN, "requires_grad", False)
    is_told = form.has_detail or orders.tradable_BN is not None or orders.waiting_BN is not None
    if is_told or not is_clipped or is_differentiated:
        accepted_BN = accepted_orders(form, orders)
    if is_differentiated:  # the gradient of a branch not taken must be a number: NaN times zero is NaN
        orders = orders._replace(weights_BN=xp.where(accepted_BN, orders.weights_BN, form.zero))
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
