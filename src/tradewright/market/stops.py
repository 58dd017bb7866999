"""The stop phase of the bar step: entry prices, stop losses, trailing stops and targets inside one bar.

A stop is a market order at the worse of open and stop price, with slippage; a target is a limit order at the better
of open and target price, without. Both hit in one bar: the stop. The trailing anchor takes the bar's best price only
after the check, since the order of high and low inside a bar is unknown. Prices of shorts are mirrored by ``side``.
Legend: B accounts, N instruments; ``B1`` is per account.
"""

from typing import NamedTuple

from tradewright.market.account import Array, Bar, Fills, State
from tradewright.market.form import TINY, Form
from tradewright.market.orders import Filled
from tradewright.market.rules import Reason


class Stopped(NamedTuple):
    """What the stop phase leaves; ``fills`` is None unless details were asked for."""

    cash_B1: Array
    state: State
    fills: Fills | None


def refuse_reentry(form: Form, blocked_BN: Array, weights_BN: Array) -> tuple[Array, Array]:
    """Return the sides still blocked after the decided targets, and which of these targets are refused.

    A decided target of another sign, or zero, lifts the block; NaN keeps it.
    """
    xp = form.xp
    is_decided_BN = ~xp.isnan(weights_BN)
    blocked_BN = xp.where(is_decided_BN & (xp.sign(weights_BN) != blocked_BN), form.zero, blocked_BN)
    return blocked_BN, is_decided_BN & (blocked_BN != 0)


def average_entry(form: Form, entry_BN: Array, filled: Filled, reference_BN: Array) -> tuple[Array, Array]:
    """Return average entry prices after a fill (0 when flat) and the fill prices; a reduction keeps the average."""
    xp, slippage = form.xp, form.terms.slippage
    price_BN = reference_BN
    if slippage:
        price_BN = reference_BN * (1.0 + xp.sign(filled.quantity_BN) * slippage)
    base_BN = xp.where(filled.kept_BN != form.zero, entry_BN, form.zero)
    part_BN = abs(filled.opened_BN) / xp.clip(abs(filled.shares_BN), TINY, None)
    return base_BN + (price_BN - base_BN) * part_BN, price_BN


def replace_distances(
    form: Form, state: State, accepted_BN: Array, given: tuple[Array | None, Array | None, Array | None]
) -> State:
    """Let accepted orders replace the distances of their instruments; NaN gives the rules' default."""
    xp, rules = form.xp, form.rules

    def replaced(old_BN: Array, new_BN: Array | None, default: float | None) -> Array:
        fallback = float("nan") if default is None else default
        if new_BN is None:
            return xp.where(accepted_BN, fallback, old_BN)
        return xp.where(accepted_BN, xp.where(xp.isnan(new_BN), fallback, new_BN), old_BN)

    return state._replace(
        stop_loss_BN=replaced(state.stop_loss_BN, given[0], rules.stop_loss),
        take_profit_BN=replaced(state.take_profit_BN, given[1], rules.take_profit),
        trailing_BN=replaced(state.trailing_BN, given[2], rules.trailing),
    )


class _Hits(NamedTuple):
    """Which positions are closed, at which reference and fill prices, and whether a stop was the trailing one."""

    is_stop_BN: Array
    is_target_BN: Array
    is_trail_BN: Array
    reference_BN: Array
    price_BN: Array


def run_stops(form: Form, cash_B1: Array, state: State, bar: Bar) -> Stopped:
    """Check stops, then targets, of every position; close those that were hit; raise the anchors.

    Args:
        form: The form.
        cash_B1: Cash after the open phase.
        state: Shares, entries, anchors and distances after the open phase.
        bar: The bar with high and low.
    """
    xp, terms, zero = form.xp, form.terms, form.zero
    shares_BN = state.shares_BN
    is_held_BN = shares_BN != zero
    if bar.tradable_BN is not None:
        is_held_BN = is_held_BN & bar.tradable_BN
    side_BN = xp.sign(shares_BN)
    # Prices of shorts are mirrored, so that both sides fall to their stop and rise to their target.
    open_BN, high_BN, low_BN = (
        side_BN * xp.where(is_held_BN, price_BN, zero) for price_BN in (bar.open_BN, bar.high_BN, bar.low_BN)
    )
    worst_BN, best_BN = xp.minimum(low_BN, high_BN), xp.maximum(low_BN, high_BN)
    hits = _find_hits(form, state, side_BN, is_held_BN, (open_BN, worst_BN, best_BN))
    is_out_BN = hits.is_stop_BN | hits.is_target_BN
    quantity_BN = xp.where(is_out_BN, -shares_BN, zero)
    notional_BN = quantity_BN * form.money(hits.price_BN)
    fee_BN = abs(notional_BN) * terms.fee + abs(quantity_BN) * terms.per_share_fee
    fee_BN = fee_BN + xp.where(is_out_BN, terms.fixed_fee, zero)
    fills = None
    if form.has_detail:
        slippage_BN = abs(quantity_BN * form.money(hits.reference_BN - hits.price_BN))
        after_BN = shares_BN + quantity_BN
        fills = Fills(quantity_BN, after_BN, hits.price_BN, fee_BN, slippage_BN, _reasons(form, hits))
    raised_BN = side_BN * xp.maximum(side_BN * state.anchor_BN, best_BN)
    state = state._replace(
        shares_BN=xp.where(is_out_BN, zero, shares_BN),
        entry_BN=xp.where(is_out_BN, zero, state.entry_BN),
        anchor_BN=xp.where(is_out_BN, zero, xp.where(is_held_BN, raised_BN, state.anchor_BN)),
        blocked_BN=xp.where(is_out_BN, side_BN, state.blocked_BN),
    )
    return Stopped(cash_B1 - form.total(notional_BN + fee_BN), state, fills)


def _find_hits(
    form: Form, state: State, side_BN: Array, is_held_BN: Array, mirrored: tuple[Array, Array, Array]
) -> _Hits:
    """Compare the mirrored open, worst and best price of the bar with stops and targets."""
    xp, zero = form.xp, form.zero
    open_BN, worst_BN, best_BN = mirrored
    entry_stop_BN = side_BN * (state.entry_BN * (1.0 - side_BN * state.stop_loss_BN))
    trail_stop_BN = side_BN * (state.anchor_BN * (1.0 - side_BN * state.trailing_BN))
    stop_BN = xp.fmax(entry_stop_BN, trail_stop_BN)
    target_BN = side_BN * (state.entry_BN * (1.0 + side_BN * state.take_profit_BN))
    is_stop_BN = is_held_BN & (worst_BN <= stop_BN)
    is_target_BN = is_held_BN & ~is_stop_BN & (best_BN >= target_BN)
    stop_reference_BN = side_BN * xp.minimum(open_BN, stop_BN)
    target_reference_BN = side_BN * xp.maximum(open_BN, target_BN)
    stop_price_BN = stop_reference_BN * (1.0 - side_BN * form.terms.slippage)
    return _Hits(
        is_stop_BN,
        is_target_BN,
        ~(entry_stop_BN >= trail_stop_BN) & ~xp.isnan(trail_stop_BN),
        xp.where(is_stop_BN, stop_reference_BN, xp.where(is_target_BN, target_reference_BN, zero)),
        xp.where(is_stop_BN, stop_price_BN, xp.where(is_target_BN, target_reference_BN, zero)),
    )


def _reasons(form: Form, hits: _Hits) -> Array:
    xp = form.xp
    reason_BN = xp.zeros_like(hits.is_stop_BN, dtype=xp.int64)
    reason_BN = xp.where(hits.is_stop_BN, int(Reason.STOP_LOSS), reason_BN)
    reason_BN = xp.where(hits.is_stop_BN & hits.is_trail_BN, int(Reason.TRAILING_STOP), reason_BN)
    return xp.where(hits.is_target_BN, int(Reason.TAKE_PROFIT), reason_BN)
