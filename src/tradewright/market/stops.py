"""The stop phase of the bar step: entry prices, stop losses, trailing stops and targets inside one bar.

A stop is a market order at the worse of open and stop price, with slippage; a target is a limit order at the better
of open and target price, without. Both hit in one bar: the stop, unless finer bars say which came first. The trailing
anchor takes the bar's best price only after the check, since the order of high and low inside a bar is unknown.
A position entered inside the bar may be stopped in it, but its target waits. Prices of shorts are mirrored by ``side``.
Legend: B accounts, N instruments, K finer bars; ``B1`` is per account.
"""

from typing import NamedTuple

from tradewright.market.account import Array, Bar, Fills, State
from tradewright.market.form import Form
from tradewright.market.orders import Filled
from tradewright.market.pricing import book_fills, fill_price, refuse_no_price, round_to_tick
from tradewright.market.rules import Reason, is_term


class Stopped(NamedTuple):
    """What the stop phase leaves; ``fills`` is None unless details were asked for."""

    cash_B1: Array
    state: State
    fills: Fills | None


class Entered(NamedTuple):
    """Positions entered inside the bar, at a limit or stop price.

    Args:
        price_BN: Entry price.
        is_more_BN: bool, the position was opened or increased.
        is_new_BN: bool, it was opened.
    """

    price_BN: Array
    is_more_BN: Array
    is_new_BN: Array


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
    price_BN = reference_BN if filled.price_BN is None else filled.price_BN
    if filled.price_BN is None and is_term(slippage):
        price_BN = reference_BN * (1.0 + xp.sign(filled.quantity_BN) * slippage)
    base_BN = xp.where(filled.kept_BN != form.zero, entry_BN, form.zero)
    part_BN = abs(filled.opened_BN) / xp.maximum(abs(filled.shares_BN), form.tiny)
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


class Levels(NamedTuple):
    """Prices at which positions are closed, mirrored for shorts; NaN: none. ``is_trail_BN``: the stop trails."""

    stop_BN: Array
    target_BN: Array
    is_trail_BN: Array


def find_levels(form: Form, state: State, side_BN: Array) -> Levels:
    """Return the stop (the nearer of the fixed and the trailing one) and the target of every position."""
    xp = form.xp
    entry_stop_BN = side_BN * (state.entry_BN * (1.0 - side_BN * state.stop_loss_BN))
    trail_stop_BN = side_BN * (state.anchor_BN * (1.0 - side_BN * state.trailing_BN))
    return Levels(
        stop_BN=xp.fmax(entry_stop_BN, trail_stop_BN),
        target_BN=side_BN * (state.entry_BN * (1.0 + side_BN * state.take_profit_BN)),
        is_trail_BN=~(entry_stop_BN >= trail_stop_BN) & ~xp.isnan(trail_stop_BN),
    )


class _Hits(NamedTuple):
    """Which positions are closed, and the mirrored open of the bar or finer bar in which it happens."""

    is_stop_BN: Array
    is_target_BN: Array
    open_BN: Array


def run_stops(form: Form, cash_B1: Array, state: State, bar: Bar, entered: Entered | None) -> Stopped:
    """Check stops, then targets, of every position; close those that were hit; raise the anchors.

    Args:
        form: The form.
        cash_B1: Cash after the open phase and the entries.
        state: Shares, entries, anchors and distances after them.
        bar: The bar with high and low.
        entered: What was entered inside the bar; None: nothing.
    """
    xp, terms, zero = form.xp, form.terms, form.zero
    shares_BN = state.shares_BN
    is_held_BN = shares_BN != zero
    if bar.tradable_BN is not None:
        is_held_BN = is_held_BN & bar.tradable_BN
    side_BN = xp.sign(shares_BN)
    start_BN = bar.open_BN if entered is None else xp.where(entered.is_new_BN, entered.price_BN, bar.open_BN)
    # Prices of shorts are mirrored, so that both sides fall to their stop and rise to their target.
    open_BN, high_BN, low_BN = (
        side_BN * xp.where(is_held_BN, price_BN, zero) for price_BN in (start_BN, bar.high_BN, bar.low_BN)
    )
    best_BN = xp.maximum(low_BN, high_BN)
    levels = find_levels(form, state, side_BN)
    is_stop_BN = is_held_BN & (xp.minimum(low_BN, high_BN) <= levels.stop_BN)
    is_target_BN = is_held_BN & ~is_stop_BN & (best_BN >= levels.target_BN)
    if entered is not None:
        is_target_BN = is_target_BN & ~entered.is_more_BN
    hits = _Hits(is_stop_BN, is_target_BN, open_BN)
    if bar.finer_low_BKN is not None:
        hits = _look_closer(form, hits, levels, bar, side_BN, None if entered is None else entered.is_more_BN)
    is_out_BN = hits.is_stop_BN | hits.is_target_BN
    quantity_BN = xp.where(is_out_BN, -shares_BN, zero)
    reference_BN, price_BN = _exit_prices(form, hits, levels, side_BN, quantity_BN)
    refuse_no_price(form, price_BN, quantity_BN)
    notional_BN = quantity_BN * form.money(price_BN)
    fee_BN = abs(notional_BN) * terms.fee + abs(quantity_BN) * terms.per_share_fee
    fee_BN = fee_BN + xp.where(is_out_BN, terms.fixed_fee, zero)
    fills = None
    if form.has_detail:
        reason_BN = _reasons(form, hits, levels)
        fills = book_fills(form, reference_BN, quantity_BN, shares_BN + quantity_BN, price_BN, reason_BN)
    is_raised_BN = is_held_BN if entered is None else is_held_BN & ~entered.is_new_BN
    raised_BN = side_BN * xp.maximum(side_BN * state.anchor_BN, best_BN)
    state = state._replace(
        shares_BN=xp.where(is_out_BN, zero, shares_BN),
        entry_BN=xp.where(is_out_BN, zero, state.entry_BN),
        anchor_BN=xp.where(is_out_BN, zero, xp.where(is_raised_BN, raised_BN, state.anchor_BN)),
        blocked_BN=xp.where(is_out_BN, side_BN, state.blocked_BN),
    )
    return Stopped(cash_B1 - form.total(notional_BN + fee_BN), state, fills)


def _look_closer(form: Form, hits: _Hits, levels: Levels, bar: Bar, side_BN: Array, is_more_BN: Array | None) -> _Hits:
    """Let the first finer bar that touches a level decide which one was hit, and at which open a gap fills.

    Where no finer bar touches one (they are missing), and for positions entered inside the bar, the bar itself decides.
    """
    xp, zero = form.xp, form.zero
    is_out_BN = hits.is_stop_BN | hits.is_target_BN
    if is_more_BN is not None:
        is_out_BN = is_out_BN & ~is_more_BN
    if not bool(is_out_BN.any()):
        return hits
    side_B1N, is_out_B1N = side_BN[:, None], is_out_BN[:, None]
    low_BKN, high_BKN = side_B1N * bar.finer_low_BKN, side_B1N * bar.finer_high_BKN
    is_stop_BKN = is_out_B1N & (xp.minimum(low_BKN, high_BKN) <= levels.stop_BN[:, None])
    is_target_BKN = is_out_B1N & (xp.maximum(low_BKN, high_BKN) >= levels.target_BN[:, None])
    is_touched_BKN = is_stop_BKN | is_target_BKN
    is_first_BKN = is_touched_BKN & (xp.cumsum(is_touched_BKN, 1) == 1)
    is_known_BN = xp.any(is_first_BKN, 1)
    is_stop_BN = xp.any(is_first_BKN & is_stop_BKN, 1)
    open_BN = xp.sum(xp.where(is_first_BKN, side_B1N * bar.finer_open_BKN, zero), 1)
    return _Hits(
        xp.where(is_known_BN, is_stop_BN, hits.is_stop_BN),
        xp.where(is_known_BN, ~is_stop_BN, hits.is_target_BN),
        xp.where(is_known_BN, open_BN, hits.open_BN),
    )


def _exit_prices(form: Form, hits: _Hits, levels: Levels, side_BN: Array, quantity_BN: Array) -> tuple[Array, Array]:
    """Return reference and fill prices of stops and targets, 0 where nothing was hit."""
    xp, zero = form.xp, form.zero
    stop_BN = side_BN * xp.minimum(hits.open_BN, levels.stop_BN)
    target_BN = side_BN * xp.maximum(hits.open_BN, levels.target_BN)
    stop_price_BN = fill_price(form, stop_BN, quantity_BN)
    target_price_BN = round_to_tick(form, target_BN, xp.sign(quantity_BN))
    return (
        xp.where(hits.is_stop_BN, stop_BN, xp.where(hits.is_target_BN, target_BN, zero)),
        xp.where(hits.is_stop_BN, stop_price_BN, xp.where(hits.is_target_BN, target_price_BN, zero)),
    )


def _reasons(form: Form, hits: _Hits, levels: Levels) -> Array:
    xp = form.xp
    reason_BN = xp.zeros_like(hits.is_stop_BN, dtype=xp.int64)
    reason_BN = xp.where(hits.is_stop_BN, int(Reason.STOP_LOSS), reason_BN)
    reason_BN = xp.where(hits.is_stop_BN & levels.is_trail_BN, int(Reason.TRAILING_STOP), reason_BN)
    return xp.where(hits.is_target_BN, int(Reason.TAKE_PROFIT), reason_BN)
