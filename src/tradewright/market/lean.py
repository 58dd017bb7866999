"""The bar step with everything left out that a plain account does not use: one instrument, proportional costs.

Neither stops, entries, lots, ticks, events nor missing bars; sizing at the fill; no account that has ended or was
called. Numbers equal those of ``step`` (tests compare them with ``==``), operation for operation: masks are floats and
choices are ``lerp`` with weight 0 or 1, which torch runs four times faster than booleans and ``where``; sums grow in
place where no gradient needs what they were. Gradients flow through it as through ``step``.

Trouble (equity or margin at or below its line) is not handled here: where ``margin_B`` is not above zero, the caller
throws the result away and runs ``step`` on the state that it still has.
Legend: B accounts. Torch only; ``xp`` is the module.
"""

from typing import Any, NamedTuple

from tradewright.market.account import Array
from tradewright.market.form import DUST, TINY
from tradewright.market.rules import AccountRules, Terms, is_term


class Held(NamedTuple):
    """Plain accounts at a close; float64 ``[B]``, fields as in ``State``."""

    cash_B: Array
    shares_B: Array
    mark_B: Array
    entry_B: Array


class Stepped(NamedTuple):
    """Plain accounts a bar later.

    Args:
        held: The accounts.
        value_B: Signed value of the position at the close.
        equity_B: Equity at the close.
        margin_B: Least of equity at the open and equity above the margin line at the close: > 0 where the account is
            in no trouble. None where no account can be.
    """

    held: Held
    value_B: Array
    equity_B: Array
    margin_B: Array | None


def is_plain(rules: AccountRules) -> bool:
    """Return whether these rules leave out all that ``step_plainly`` does."""
    costs = rules.costs
    is_proportional = costs.fixed_fee == costs.per_share_fee == costs.slippage_ticks == costs.impact == 0
    return is_proportional and not rules.has_stops and rules.sizing == "fill" and rules.min_notional == 0


def step_plainly(
    xp: Any,
    rules: AccountRules,
    terms: Terms,
    held: Held,
    weight_B: Array,
    open_B: Array,
    close_B: Array,
    years_B: Array,
    multiplier_B: Array | None = None,
) -> Stepped:
    """Carry plain accounts through one bar, as ``step`` does.

    Args:
        xp: The module ``torch``.
        rules: Rules that are plain.
        terms: Their costs; numbers, or ``[B]`` where accounts pay different ones.
        held: The accounts at the previous close.
        weight_B: Target fractions of equity; NaN: no order.
        open_B, close_B: Prices of the bar.
        years_B: Years since the previous bar; None where neither cash nor shorts carry a rate.
        multiplier_B: Money per price unit; None: 1.
    """
    shares_B, entry_B = held.shares_B, held.entry_B
    unit_B = open_B if multiplier_B is None else open_B * multiplier_B
    cash_B = _carried(xp, rules, held, years_B, multiplier_B)
    value_B = shares_B * unit_B
    equity_B = cash_B + value_B
    target_B = _target(xp, rules, terms, shares_B, equity_B / unit_B, weight_B)
    if rules.allow_short:
        kept_B = xp.clamp(target_B, shares_B.clamp_max(0.0), shares_B.clamp_min(0.0))
    else:
        kept_B = xp.minimum(target_B, shares_B)
    opened_B = _opened(xp, terms, target_B - kept_B, kept_B * unit_B, value_B, equity_B, unit_B)
    new_B = kept_B + opened_B
    quantity_B = new_B - shares_B
    notional_B = quantity_B * unit_B
    cash_B = cash_B - (notional_B + _cost(terms, notional_B))
    entry_B = _average_entry(xp, terms, entry_B, kept_B, opened_B, new_B, open_B, quantity_B)
    value_B = new_B * (close_B if multiplier_B is None else close_B * multiplier_B)
    after_B = cash_B + value_B
    margin_B = None
    if rules.can_break:
        margin_B = xp.minimum(equity_B, after_B - value_B.abs() * rules.maintenance_margin)
    return Stepped(Held(cash_B, new_B, close_B, entry_B), value_B, after_B, margin_B)


def _carried(xp: Any, rules: AccountRules, held: Held, years_B: Array, multiplier_B: Array | None) -> Array:
    """Return cash after interest and the rent of borrowed shares."""
    costs, cash_B = rules.costs, held.cash_B
    if costs.cash_rate:
        cash_B = cash_B + cash_B * (costs.cash_rate * years_B)
    if costs.borrow_rate and rules.allow_short:
        unit_B = held.mark_B if multiplier_B is None else held.mark_B * multiplier_B
        cash_B = cash_B - (-held.shares_B).clamp_min(0.0) * unit_B * (costs.borrow_rate * years_B)
    return cash_B


def _target(xp: Any, rules: AccountRules, terms: Terms, shares_B: Array, size_B: Array, weight_B: Array) -> Array:
    """Return target shares; the current ones where there is no order, or only rounding noise of one."""
    lowest = -terms.leverage if rules.allow_short else 0.0
    target_B = xp.clip(weight_B, lowest, terms.leverage) * size_B
    change_B = (target_B.detach() - shares_B.detach()).abs_()  # NaN where there is no order: compares as False
    is_order_B = xp.ge(change_B, DUST * size_B.detach(), out=change_B)
    if target_B.requires_grad:  # a NaN on the way would be one in the gradient, although it is not chosen
        target_B = xp.clip(xp.nan_to_num(weight_B), lowest, terms.leverage) * size_B
    return xp.lerp(shares_B, xp.nan_to_num(target_B), is_order_B)


def _cost(terms: Terms, notional_B: Array) -> Array:
    cost_B = notional_B.abs().mul_(terms.rate)
    return cost_B.add_(notional_B * terms.skew) if is_term(terms.skew) else cost_B


def _opened(
    xp: Any,
    terms: Terms,
    wanted_B: Array,
    kept_value_B: Array,
    value_B: Array,
    equity_B: Array,
    unit_B: Array,
) -> Array:
    """Return the openings that buying power allows, after the reductions."""
    equity_B = equity_B - _cost(terms, kept_value_B - value_B)
    notional_B = wanted_B * unit_B
    need_B = notional_B.abs().mul_(terms.need_rate)
    if is_term(terms.need_skew):
        need_B.add_(notional_B * terms.need_skew)
    room_B = (equity_B if terms.leverage == 1 else equity_B * terms.leverage) - kept_value_B.abs()
    return wanted_B * (room_B / need_B.clamp_min_(TINY)).clamp_(0.0, 1.0)


def _average_entry(
    xp: Any,
    terms: Terms,
    entry_B: Array,
    kept_B: Array,
    opened_B: Array,
    new_B: Array,
    open_B: Array,
    quantity_B: Array,
) -> Array:
    """Return average entry prices, 0 when flat; a reduction keeps the average."""
    price_B = open_B
    if is_term(terms.slippage):
        price_B = xp.sign(quantity_B).mul_(terms.slippage).add_(1.0) * open_B
    base_B = xp.ne(kept_B.detach(), 0.0, out=xp.empty_like(kept_B)) * entry_B
    part_B = opened_B.abs() / new_B.abs().clamp_min_(TINY)
    return (price_B - base_B).mul_(part_B).add_(base_B)
