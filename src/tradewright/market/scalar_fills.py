"""Prices, costs and records of fills in the scalar loop: the rules of ``pricing.py``, operation by operation.

Plain functions, as in ``scalar_book.py``. Legend: n instrument, i bar of the chunk.
"""

from math import ceil, sqrt

from tradewright.market.form import LOT_TOLERANCE
from tradewright.market.pricing import TICK_TOLERANCE
from tradewright.market.rules import Terms
from tradewright.market.scalar_book import Bars, NoPriceError, Record


def sign(x: float) -> float:
    """Return -1, 0 or 1."""
    return 1.0 if x > 0 else -1.0 if x < 0 else 0.0


def whole_lots(quantity: float, lot: float) -> float:
    """Return a quantity truncated toward zero to lots of size ``lot`` (0: fractional)."""
    if lot <= 0:
        return quantity
    lots = abs(quantity / lot) + LOT_TOLERANCE
    return sign(quantity) * (lots - lots % 1.0) * lot


def unless_zero(shares: float, lot: float) -> float:
    """Return 0 for a remainder that is rounding noise of whole lots."""
    return 0.0 if abs(shares) < LOT_TOLERANCE * lot else shares


def optional(bars: Bars, place: int, n: int, i: int, default: float) -> float:
    """Return the value of an optional column, or a default where it is not given."""
    return bars.given[place][n][i] if place >= 0 else default


def depth_of(bars: Bars, n: int, i: int) -> tuple[float, float]:
    """Return how orders move the market: the slippage per square root of a share, and a pool's inverse liquidity."""
    impact = bars.given[bars.uses.impact][n][i] if bars.uses.impact >= 0 else 0.0
    return impact, bars.given[bars.uses.pool][n][i] if bars.uses.pool >= 0 else 0.0


def fill_price(
    terms: Terms, reference: float, quantity: float, depth: tuple[float, float], tick: float, is_limit: bool
) -> float:
    """Return the fill price of a quantity, as ``pricing.fill_price``; ``depth`` as of ``depth_of``."""
    if quantity == 0:
        return reference
    side, price = 1.0 if quantity > 0 else -1.0, reference
    impact, pool = depth
    if not is_limit:
        slippage = impact * sqrt(abs(quantity)) + terms.slippage if impact else terms.slippage
        price = reference * (1.0 + side * slippage)
        if pool:
            left = 1.0 - quantity * (sqrt(reference) * pool)
            price = price / (left if left > 0 else -1.0)
        price = price + side * (tick * terms.slippage_ticks)
    return round_to_tick(price, side, tick) if tick > 0 else price


def round_to_tick(price: float, side: float, tick: float) -> float:
    """Return the price on the tick that is worse for the side, as ``pricing.round_to_tick``."""
    if tick <= 0 or side == 0:
        return price
    return side * float(ceil(side * (price / tick) - TICK_TOLERANCE)) * tick


def excess_of(terms: Terms, reference: float, price: float, multiplier: float) -> float:
    """Return slippage and fees per share, money, of fills at a price; without the fixed fee."""
    return abs(price - reference) * multiplier + (price * multiplier) * terms.fee + terms.per_share_fee


def cost_over_reference(
    terms: Terms, notional: float, quantity: float, excess: float, is_priced: bool, is_paid: bool
) -> float:
    """Return slippage and fees of a fill, money; ``is_paid``: its fixed fee is paid already."""
    if is_priced:
        cost = abs(quantity) * excess
    else:
        cost = abs(notional) * terms.rate
        if terms.skew:
            cost = cost + notional * terms.skew
        if terms.per_share_fee:
            cost = cost + abs(quantity) * terms.per_share_fee
    if terms.fixed_fee and quantity != 0 and not is_paid:
        cost = cost + terms.fixed_fee
    return cost


def note_fill(
    terms: Terms, multiplier: float, records: list[Record], at: tuple[int, int, int, int], quantity: float,
    after: float, reference: float, price: float,
) -> None:  # fmt: skip
    """Record a fill or rejection; ``at`` is bar, phase, instrument, reason.

    Raises:
        NoPriceError: Slippage was larger than the price; the record tells which order.
    """
    size = abs(quantity)
    fee = size * ((price * multiplier) * terms.fee + terms.per_share_fee)
    fee = fee + (terms.fixed_fee if quantity != 0 else 0.0)
    slippage = size * (abs(price - reference) * multiplier)
    records.append((at[0], at[1], at[2], at[3], quantity, after, price, fee, slippage))
    if quantity != 0 and price <= 0:
        raise NoPriceError
