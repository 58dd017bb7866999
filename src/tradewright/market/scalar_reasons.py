"""Why the scalar loop filled, scaled or rejected an order: the precedence of ``orders.py``.

Plain functions, as in ``scalar_book.py``. Legend: n instrument, i bar of the chunk.
"""

from tradewright.market.form import DUST
from tradewright.market.scalar_book import (
    ACCOUNT_ENDED,
    BANKRUPT,
    BELOW_LOT,
    BELOW_MIN_NOTIONAL,
    ENTRY,
    LIMIT_ENTRY,
    MARGIN_CALL,
    NO_BAR,
    NO_BUYING_POWER,
    NOT_REACHED,
    OPEN,
    ORDER,
    SCALED_BUYING_POWER,
    SCALED_CAPACITY,
    SCALED_LEVERAGE,
    SHORT_NOT_ALLOWED,
    STOP_ENTRY,
    WAITING_AFTER_STOP,
    Bars,
    Policy,
    Position,
)


def reason_of(
    policy: Policy,
    bars: Bars,
    i: int,
    position: Position,
    n: int,
    phase: int,
    quantity: float,
    is_forced: bool,
    is_ended: bool,
) -> int:
    """Return the reason code of an order; 0: nothing to tell. It is asked before the position moves."""
    is_fill, weight = quantity != 0, bars.weights[n][i]
    is_waiting = bars.uses.entries and position.is_waiting
    if phase == OPEN:
        is_decided = weight == weight and not is_waiting and (weight != 0 or position.shares != 0)
        if is_forced and (is_decided or is_fill):
            if is_ended:
                return BANKRUPT if is_fill else ACCOUNT_ENDED
            return MARGIN_CALL
        if not is_decided:
            return 0
        if position.blocked != 0:
            return WAITING_AFTER_STOP
        if not bars.tradable[n][i] or not position.is_sized:
            return NO_BAR
    elif not is_waiting:
        return 0
    elif position.is_missed:
        return NOT_REACHED
    elif not position.is_accepted and not (weight < 0 and not policy.allow_short):
        return 0
    if weight < 0 and not policy.allow_short:
        return SHORT_NOT_ALLOWED
    return _sizing_reason(position, phase, is_fill)


def _sizing_reason(position: Position, phase: int, is_fill: bool) -> int:
    """Return how the size of an order changed on its way to the fill."""
    has_opening = position.target != position.kept
    is_scaled = has_opening and position.scale < 1.0 - DUST
    if position.is_small and not is_fill:
        return BELOW_MIN_NOTIONAL
    if position.is_below_lot:
        return BELOW_LOT
    if position.is_over and not is_fill and not has_opening:
        return SCALED_CAPACITY
    if position.is_capped and (is_fill or position.shares == 0):
        return SCALED_LEVERAGE if is_fill else NO_BUYING_POWER
    if is_scaled:
        if is_fill:
            return SCALED_BUYING_POWER
        return NO_BUYING_POWER if position.scale == 0 else BELOW_LOT
    if position.is_over:
        return SCALED_CAPACITY
    if phase == ENTRY and is_fill:
        return LIMIT_ENTRY if position.is_limit else STOP_ENTRY
    return ORDER if is_fill else 0
