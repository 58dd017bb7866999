"""What fills cost: fill prices with slippage, ticks and market impact, and the money lost over the reference price.

The reference is the price before costs: the open, the stop or limit price, the contract price of a roll. Where the
fraction of slippage is the same for every order, costs follow from the notional alone; where prices have ticks or
orders move the market or a pool, they follow from the fill price of each order (``is_priced``).
Legend: B accounts, N instruments.
"""

from tradewright.errors import MarketError
from tradewright.market.account import Array, Fills
from tradewright.market.form import Form
from tradewright.market.rules import Reason, is_term

TICK_TOLERANCE = 1e-6
"""A price this close to a tick, in ticks, counts as on it."""


def fill_price(form: Form, reference_BN: Array, quantity_BN: Array, is_limit_BN: Array | None = None) -> Array:
    """Return fill prices ``reference * (1 ± (slippage + impact * sqrt(|q|))) / left ± ticks``, on the worse tick.

    ``left`` is the share of a pool's reserve that the order leaves (``pool_left``), 1 where there is no pool.

    Args:
        form: The form.
        reference_BN: Reference prices.
        quantity_BN: Signed quantities; where 0 the price has no meaning.
        is_limit_BN: bool, limit orders, which pay no slippage; None: none is.
    """
    xp, terms = form.xp, form.terms
    side_BN = xp.sign(quantity_BN)
    slippage: Array = terms.slippage
    if form.impact_BN is not None:
        slippage = form.impact_BN * xp.sqrt(abs(quantity_BN)) + slippage
    price_BN = reference_BN * (1.0 + side_BN * slippage)
    if form.pool_BN is not None:
        price_BN = price_BN / pool_left(form, reference_BN, quantity_BN)
    if form.tick_N is None:
        return price_BN if is_limit_BN is None else xp.where(is_limit_BN, reference_BN, price_BN)
    price_BN = price_BN + side_BN * (form.tick_N * terms.slippage_ticks)
    if is_limit_BN is not None:
        price_BN = xp.where(is_limit_BN, reference_BN, price_BN)
    return round_to_tick(form, price_BN, side_BN)


def pool_left(form: Form, reference_BN: Array, quantity_BN: Array) -> Array:
    """Return the share of a constant-product pool's reserve that orders leave; -1 where they want more than it holds.

    A pool with the liquidity L holds x = L / sqrt(p) shares at the price p and y = L * sqrt(p) money, and keeps
    x * y = L^2. An order of q shares costs y q / (x - q) money, ``p / (1 - q / x)`` a share. Concentrated liquidity
    is such a pool between two ticks.

    Source: Adams et al., Uniswap v3 Core (2021), eq. 2.1 and 6.13: the change of sqrt(p) is the change of y over L.
    """
    left_BN = 1.0 - quantity_BN * (form.xp.sqrt(reference_BN) * form.pool_BN)
    return form.xp.where(left_BN > 0, left_BN, -1.0)


def refuse_empty_pool(form: Form, price_BN: Array, quantity_BN: Array) -> None:
    """Refuse buys of more than a pool holds, before they are scaled to the buying power.

    Raises:
        MarketError: There is such an order.
    """
    if form.pool_BN is not None and bool(((price_BN <= 0) & (quantity_BN > 0)).any()):
        raise MarketError("an order wants more than the pool holds; cap the size of orders")


def refuse_no_price(form: Form, price_BN: Array, quantity_BN: Array) -> None:
    """Refuse fills at prices of zero or less.

    Raises:
        MarketError: Ticks or impact were larger than the price of an order.
    """
    if form.is_priced and bool(((price_BN <= 0) & (quantity_BN != 0)).any()):
        raise MarketError(
            "slippage of an order was larger than its price; lower costs.slippage_ticks or costs.impact,"
            " or cap the size of orders"
        )


def round_to_tick(form: Form, price_BN: Array, side_BN: Array) -> Array:
    """Return prices on the tick that is worse for the side: up for buys (1), down for sells (-1); 0 keeps them."""
    xp, tick_N = form.xp, form.tick_N
    if tick_N is None:
        return price_BN
    ticks_BN = price_BN / xp.where(tick_N > 0, tick_N, 1.0)
    whole_BN = side_BN * xp.ceil(side_BN * ticks_BN - TICK_TOLERANCE)
    return xp.where((tick_N > 0) & (side_BN != 0), whole_BN * tick_N, price_BN)


def excess_of(form: Form, reference_BN: Array, price_BN: Array) -> Array:
    """Return slippage and fees per share, money, of fills at a price; without the fixed fee."""
    slippage_BN = form.money(abs(price_BN - reference_BN))
    return slippage_BN + form.money(price_BN) * form.terms.fee + form.terms.per_share_fee


def cost_over_reference(
    form: Form,
    notional_BN: Array,
    quantity_BN: Array,
    excess_BN: Array | None,
    *,
    is_paid_BN: Array | None = None,
) -> Array:
    """Return slippage and fees of fills, money, ``[B, N]``.

    Args:
        form: The form.
        notional_BN: Signed quantity times money per share at the reference price.
        quantity_BN: Signed quantity.
        excess_BN: Costs per share from ``excess_of``; None: slippage is the same fraction for all.
        is_paid_BN: bool, fills whose fixed fee is paid already.
    """
    xp, terms = form.xp, form.terms
    if excess_BN is None:
        cost_BN = abs(notional_BN) * terms.rate
        if is_term(terms.skew):
            cost_BN = cost_BN + notional_BN * terms.skew
        if is_term(terms.per_share_fee):
            cost_BN = cost_BN + abs(quantity_BN) * terms.per_share_fee
    else:
        cost_BN = abs(quantity_BN) * excess_BN
    if is_term(terms.fixed_fee):
        is_fill_BN = quantity_BN != 0 if is_paid_BN is None else (quantity_BN != 0) & ~is_paid_BN
        cost_BN = cost_BN + xp.where(is_fill_BN, terms.fixed_fee, form.zero)
    return cost_BN


def book_fills(
    form: Form, reference_BN: Array, quantity_BN: Array, shares_BN: Array, price_BN: Array, reason_BN: Array
) -> Fills:
    """Return fills at given prices with what each cost.

    Args:
        form: The form.
        reference_BN, price_BN: Prices before and after costs.
        quantity_BN: Signed quantities.
        shares_BN: Positions after them.
        reason_BN: int64, a ``Reason`` each.
    """
    terms, size_BN = form.terms, abs(quantity_BN)
    fee_BN = size_BN * (form.money(price_BN) * terms.fee + terms.per_share_fee)
    fee_BN = fee_BN + form.xp.where(quantity_BN != 0, terms.fixed_fee, form.zero)
    slippage_BN = size_BN * form.money(abs(price_BN - reference_BN))
    return Fills(quantity_BN, shares_BN, price_BN, fee_BN, slippage_BN, reason_BN)


def reasons_where(form: Form, is_BN: Array, reason: Reason) -> Array:
    """Return one reason where a mask holds, ``Reason.NONE`` elsewhere."""
    return form.xp.where(is_BN, int(reason), form.xp.zeros_like(is_BN, dtype=form.xp.int64))
