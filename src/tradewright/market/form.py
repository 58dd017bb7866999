"""``Form``: which parts of the bar step a configuration needs; the rest is left out by Python branches on it.

Every specialised form gives the numbers of the full one (``specialise=False``): tests prove it feature by feature.
Legend: B accounts, N instruments; per-account figures are kept as ``[B, 1]`` inside the step, so that they broadcast.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from tradewright.market.account import Array, Bar
from tradewright.market.rules import ROUNDING, AccountRules, Terms

DUST = ROUNDING
"""Orders below this fraction of equity are rounding noise and no orders; so are excesses over a limit."""

TINY = 1e-100
"""Divisor in place of zero, where the dividend is then zero or the quotient is not used."""

LOT_TOLERANCE = 1e-9
"""A quantity this close to the next lot, in lots, counts as that lot."""


class Form(NamedTuple):
    """The chosen form and the constants of one step.

    Args:
        xp: The module ``numpy`` or ``torch``.
        rules, terms: Account rules and their fractions.
        zero, tiny: 0.0 and ``TINY`` without dimensions: comparing and choosing with them is twice as fast as with
            Python numbers.
        total: Sum over instruments, ``[B, N] -> [B, 1]``, in instrument order so that every form adds alike.
        is_single: One instrument: sums vanish and the leverage cap is a clip of the weight.
        has_shorts: Short positions can exist.
        can_break: Equity can reach zero or the margin line.
        has_detail: Fills and reasons are wanted.
        has_sizes: Orders are cut to lots or to the capacity of the bar, or have a least notional.
        is_priced: Slippage differs by order, because prices have ticks or orders move the market.
        multiplier_N: Contract multipliers; None: all 1.
        lot_N: Lot sizes, 0 for fractional; None: all fractional.
        tick_N: Price steps, 0 for continuous; None: all continuous.
        impact_BN, capacity_BN, pool_BN: As in ``Bar``.
    """

    xp: Any
    rules: AccountRules
    terms: Terms
    zero: Array
    tiny: Array
    total: Callable[[Array], Array]
    is_single: bool
    has_shorts: bool
    can_break: bool
    has_detail: bool
    has_sizes: bool
    is_priced: bool
    multiplier_N: Array | None
    lot_N: Array | None
    tick_N: Array | None
    impact_BN: Array | None
    capacity_BN: Array | None
    pool_BN: Array | None

    def money(self, price_BN: Array) -> Array:
        """Return money per share or contract at a price."""
        return price_BN if self.multiplier_N is None else price_BN * self.multiplier_N

    def whole_lots(self, quantity_BN: Array) -> Array:
        """Return quantities truncated toward zero to lots; fractional instruments keep theirs."""
        xp, lot_N = self.xp, self.lot_N
        assert lot_N is not None
        lots_BN = quantity_BN / xp.where(lot_N > 0, lot_N, 1.0)
        whole_BN = xp.trunc(lots_BN + xp.sign(lots_BN) * LOT_TOLERANCE) * lot_N
        return xp.where(lot_N > 0, whole_BN, quantity_BN)


def choose_form(
    xp: Any,
    rules: AccountRules,
    shares_BN: Array,
    bar: Bar,
    *,
    multiplier_N: Array | None,
    lot_N: Array | None,
    tick_N: Array | None,
    detail: bool,
    specialise: bool,
    terms: Terms | None = None,
) -> Form:
    """Return the smallest form that these rules and this bar need, or the full one."""
    is_single = specialise and shares_BN.shape[1] == 1
    if not specialise:
        multiplier_N = xp.ones_like(shares_BN) if multiplier_N is None else multiplier_N
        lot_N = xp.zeros_like(shares_BN) if lot_N is None else lot_N

    takes_cash = bar.funding_BN is not None or bar.roll_from_BN is not None
    device = shares_BN.device
    # Positional, in the order of the fields: this runs once a bar, and keywords would take three times as long.
    return Form(
        xp,
        rules,
        rules.terms if terms is None else terms,
        _constant(xp, device, 0.0),
        _constant(xp, device, TINY),
        _itself if is_single else _ordered_sum(xp),
        is_single,
        rules.allow_short or not specialise,
        rules.can_break or takes_cash or not specialise,
        detail,
        lot_N is not None or bar.capacity_BN is not None or rules.min_notional > 0,
        tick_N is not None or bar.impact_BN is not None or bar.pool_BN is not None,
        multiplier_N,
        lot_N,
        tick_N,
        bar.impact_BN,
        bar.capacity_BN,
        bar.pool_BN,
    )


@cache
def _ordered_sum(xp: Any) -> Callable[[Array], Array]:
    return lambda x_BN: xp.cumsum(x_BN, -1)[:, -1:]


@cache
def _constant(xp: Any, device: Any, value: float) -> Array:
    if hasattr(xp, "inference_mode"):
        with xp.inference_mode(False):  # an inference tensor could not take part in a backward pass later
            return xp.full((), value, dtype=xp.float64, device=device)
    return xp.full((), value, dtype=xp.float64)


def _itself(x_B1: Array) -> Array:
    return x_B1
