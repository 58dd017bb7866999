"""Limit and stop entries of the bar step: orders that wait inside one bar for a price.

A limit order fills at the better of open and limit price, without slippage; a stop order at the worse of open and stop
price, with slippage; both are good for one bar. They are sized with the equity at the open and the entry price, and
share the buying power that the open fills left. What happened first inside the bar is unknown, so what helps the
account is not assumed: a reduction frees no buying power for other entries, and a limit order that would reduce a
position gives way to the position's stop, or to its target where that is nearer.
Legend: B accounts, N instruments; ``B1`` is per account. Prices are mirrored by ``side``, so that buys have one case.
"""

from typing import NamedTuple

from tradewright.market.account import Array, Bar, Fills, State
from tradewright.market.form import DUST, Form
from tradewright.market.orders import Filled, fill_orders
from tradewright.market.rules import Reason
from tradewright.market.stops import Entered, average_entry, find_levels, replace_distances
from tradewright.market.targets import Orders

Distances = tuple[Array | None, Array | None, Array | None]


class Waiting(NamedTuple):
    """Orders that wait for a price.

    Args:
        weights_BN: Their targets; NaN: no such order.
        decided_BN: Decided target in shares under ``sizing: decision``, else None.
        limit_BN, stop_BN: Prices; NaN or None: none.
        size_B1: Equity at the open.
        reference_BN: Open, or the last mark where there is no bar.
    """

    weights_BN: Array
    decided_BN: Array | None
    limit_BN: Array | None
    stop_BN: Array | None
    size_B1: Array
    reference_BN: Array


class Touched(NamedTuple):
    """What becomes of the waiting orders.

    Args:
        is_order_BN: bool, orders that would change something.
        is_active_BN: bool, those that fill.
        is_limit_BN: bool, orders at a limit price.
        side_BN: Side of the change, 0: none.
        price_BN: Entry price.
    """

    is_order_BN: Array
    is_active_BN: Array
    is_limit_BN: Array
    side_BN: Array
    price_BN: Array


def has_price(form: Form, limit_BN: Array | None, stop_BN: Array | None) -> Array:
    """Return where an entry price was decided."""
    given = [~form.xp.isnan(price_BN) for price_BN in (limit_BN, stop_BN) if price_BN is not None]
    return given[0] if len(given) == 1 else given[0] | given[1]


def run_entries(
    form: Form, cash_B1: Array, state: State, bar: Bar, waiting: Waiting, distances: Distances
) -> tuple[Array, State, Fills | None, Entered]:
    """Fill the waiting orders that the bar touches; return cash, state, fills and what was entered.

    Args:
        form: The form.
        cash_B1: Cash after the open phase.
        state: The accounts after the open phase.
        bar: The bar with high and low.
        waiting: The orders.
        distances: Stop loss, take profit and trailing that come with the orders.
    """
    xp, shares_BN = form.xp, state.shares_BN
    touched = _touch(form, state, bar, waiting)
    reference_BN = xp.where(touched.is_active_BN, touched.price_BN, waiting.reference_BN)
    unit_BN = form.money(reference_BN)
    value_BN = shares_BN * unit_BN
    orders = Orders(
        cash_B1=cash_B1,
        shares_BN=shares_BN,
        reference_BN=reference_BN,
        unit_BN=unit_BN,
        value_BN=value_BN,
        equity_B1=cash_B1 + form.total(value_BN),
        size_B1=waiting.size_B1,
        tradable_BN=bar.tradable_BN,
        forced_B1=None,
        ended_B1=None,
        weights_BN=xp.where(touched.is_active_BN, waiting.weights_BN, float("nan")),
        decided_BN=waiting.decided_BN,
        is_sized_BN=None,
        waiting_BN=None,
        side_BN=touched.side_BN,
        is_limit_BN=touched.is_limit_BN,
    )
    filled = fill_orders(form, orders)
    fills = filled.fills
    if fills is not None:
        is_missed_BN = touched.is_order_BN & ~touched.is_active_BN
        reason_BN = xp.where(is_missed_BN, int(Reason.NOT_REACHED), fills.reason_BN)
        if not form.rules.allow_short:
            is_refused_BN = (waiting.weights_BN < 0) & ~touched.is_order_BN
            reason_BN = xp.where(is_refused_BN, int(Reason.SHORT_NOT_ALLOWED), reason_BN)
        fills = fills._replace(reason_BN=reason_BN)
    is_more_BN = filled.opened_BN != 0
    entered = Entered(touched.price_BN, is_more_BN, is_more_BN & (filled.kept_BN == 0))
    return filled.cash_B1, settle(form, state, filled, reference_BN, distances), fills, entered


def _touch(form: Form, state: State, bar: Bar, waiting: Waiting) -> Touched:
    """Return which orders the bar touches; an order's side is that of its change at its own price."""
    xp, zero, shares_BN = form.xp, form.zero, state.shares_BN
    level_BN, is_limit_BN = _prices(form, waiting)
    is_waiting_BN = ~xp.isnan(waiting.weights_BN)
    level_BN = xp.where(is_waiting_BN, level_BN, zero)
    size_BN = waiting.size_B1 / xp.maximum(form.money(level_BN), form.tiny)
    target_BN = waiting.weights_BN * size_BN if waiting.decided_BN is None else waiting.decided_BN
    if not form.rules.allow_short:
        target_BN = xp.maximum(target_BN, form.zero)
    change_BN = xp.where(is_waiting_BN, target_BN - shares_BN, zero)
    is_order_BN = is_waiting_BN & (abs(change_BN) >= DUST * size_BN)
    side_BN = xp.sign(change_BN)
    open_BN, high_BN, low_BN, level_BN = (
        side_BN * xp.where(is_waiting_BN, price_BN, zero)
        for price_BN in (bar.open_BN, bar.high_BN, bar.low_BN, level_BN)
    )
    lowest_BN, highest_BN = xp.minimum(low_BN, high_BN), xp.maximum(low_BN, high_BN)
    is_reached_BN = xp.where(is_limit_BN, lowest_BN <= level_BN, highest_BN >= level_BN)
    price_BN = side_BN * xp.where(is_limit_BN, xp.minimum(open_BN, level_BN), xp.maximum(open_BN, level_BN))
    is_active_BN = is_order_BN & is_reached_BN
    if state.anchor_BN is not None:
        held_BN = xp.sign(shares_BN)
        levels = find_levels(form, state, held_BN)
        worst_BN = xp.minimum(held_BN * bar.low_BN, held_BN * bar.high_BN)
        is_exit_first_BN = (worst_BN <= levels.stop_BN) | (-level_BN > levels.target_BN)
        is_active_BN = is_active_BN & ~(is_limit_BN & (side_BN * held_BN < 0) & is_exit_first_BN)
    return Touched(is_order_BN, is_active_BN, is_limit_BN, side_BN, price_BN)


def _prices(form: Form, waiting: Waiting) -> tuple[Array, Array]:
    """Return the price each order waits for, and whether it is a limit price."""
    xp, limit_BN, stop_BN = form.xp, waiting.limit_BN, waiting.stop_BN
    if limit_BN is None:
        return stop_BN, xp.zeros_like(stop_BN, dtype=xp.bool)
    is_limit_BN = ~xp.isnan(limit_BN)
    return (limit_BN if stop_BN is None else xp.where(is_limit_BN, limit_BN, stop_BN)), is_limit_BN


def settle(form: Form, state: State, filled: Filled, reference_BN: Array, distances: Distances) -> State:
    """Return the accounts with the shares, average entries, anchors and distances that fills leave."""
    xp, zero = form.xp, form.zero
    entry_BN = state.entry_BN
    if entry_BN is not None:
        entry_BN, price_BN = average_entry(form, entry_BN, filled, reference_BN)
    settled = state._replace(shares_BN=filled.shares_BN, entry_BN=entry_BN)
    if state.anchor_BN is None:
        return settled
    anchor_BN = xp.where(filled.kept_BN != zero, state.anchor_BN, price_BN)
    settled = settled._replace(anchor_BN=xp.where(filled.shares_BN != zero, anchor_BN, zero))
    return replace_distances(form, settled, filled.accepted_BN, distances)
