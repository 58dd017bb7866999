"""The open phase of the scalar loop: the rules of ``orders.py`` over Python floats, operation by operation.

Every sum runs over instruments in order and every product associates as in the step, so both forms agree bit for bit.
Plain functions over floats, lists and named tuples only, so that a compiler for numeric Python can take them as is.
Legend: n instrument, t bar; lists are indexed ``[n]``. ``unit`` is money per share at the reference price.
"""

from tradewright.market.form import DUST, TINY
from tradewright.market.rules import Terms
from tradewright.market.scalar_book import (
    ACCOUNT_ENDED,
    BANKRUPT,
    BELOW_LOT,
    MARGIN_CALL,
    NO_BAR,
    NO_BUYING_POWER,
    OPEN,
    ORDER,
    SCALED_BUYING_POWER,
    SCALED_LEVERAGE,
    SHORT_NOT_ALLOWED,
    WAITING_AFTER_STOP,
    Book,
    Record,
    cost_over_reference,
    unless_zero,
    whole_lots,
)


def fill_orders(
    terms: Terms,
    allow_short: bool,
    is_decision: bool,
    book: Book,
    weights: list[float],
    state: tuple[bool, bool],
    tradable: list[bool],
    records: list[Record],
    t: int,
    equity: float,
) -> float:
    """Execute the orders and forced liquidations of one open; return the cash spent.

    ``state`` says whether liquidation is forced, and whether because the account has ended.
    """
    set_targets(terms, allow_short, is_decision, book, weights, equity)
    equity, gross = keep_and_reduce(terms, book, state[0], tradable, equity)
    if allow_short and len(weights) > 1:
        equity, gross = scale_openings(terms, book, -1.0, equity, gross)
        scale_openings(terms, book, 1.0, equity, gross)
    else:
        scale_openings(terms, book, 0.0, equity, gross)
    return book_fills(terms, allow_short, book, weights, state, tradable, records, t)


def set_targets(
    terms: Terms, allow_short: bool, is_decision: bool, book: Book, weights: list[float], equity: float
) -> None:
    """Write ``book.target`` for accepted orders (before lots), scaled to the leverage cap; others keep their shares."""
    num = len(weights)
    is_clipped = num == 1 and not is_decision
    low = -terms.leverage if allow_short else 0.0
    ordered = held = 0.0
    for n in range(num):
        book.is_capped[n] = False
        if not book.is_accepted[n]:
            held += abs(book.shares[n] * book.unit[n])
            continue
        if is_clipped:
            weight = min(max(weights[n], low), terms.leverage)
            book.is_capped[n] = weight != 0 and abs(weights[n]) > terms.leverage * (1.0 + DUST)
            book.target[n] = weight * (equity / book.unit[n])
            continue
        target = book.decided[n] if is_decision else weights[n] * (equity / book.unit[n])
        book.target[n] = target if allow_short or target > 0 else 0.0
        ordered += abs(book.target[n] * book.unit[n])
    limit = terms.leverage * equity
    if is_clipped or not ordered + held > limit * (1.0 + DUST):
        return
    scale = max(limit - held, 0.0) / max(ordered, TINY)
    for n in range(num):
        if book.is_accepted[n]:
            book.is_capped[n] = book.target[n] != 0
            book.target[n] = book.target[n] * scale


def keep_and_reduce(
    terms: Terms, book: Book, is_forced: bool, tradable: list[bool], equity: float
) -> tuple[float, float]:
    """Cut targets to lots, drop dust, force liquidations, split off what is kept; return equity and gross then."""
    cost = gross = 0.0
    for n in range(len(tradable)):
        shares, unit = book.shares[n], book.unit[n]
        target = shares
        book.is_below_lot[n] = False
        if book.is_accepted[n]:
            change = book.target[n] - shares
            if abs(change) >= DUST * (equity / unit):
                whole = change if book.target[n] == 0 else whole_lots(change, book.lot[n])
                book.is_below_lot[n] = whole == 0
                target = book.target[n] if whole == change else unless_zero(shares + whole, book.lot[n])
        if is_forced and tradable[n]:
            target = 0.0
        book.target[n] = target
        kept = min(max(target, min(shares, 0.0)), max(shares, 0.0))
        book.kept[n], book.opened[n], book.scale[n] = kept, 0.0, 1.0
        value = kept * unit
        cost += cost_over_reference(terms, value - shares * unit, kept - shares, False)
        gross += abs(value)
    return equity - cost, gross


def scale_openings(terms: Terms, book: Book, side: float, equity: float, gross: float) -> tuple[float, float]:
    """Scale the openings of one side (-1, 1; 0: both) to the buying power; return equity and gross after them."""
    num = len(book.shares)
    need = fixed = 0.0
    for n in range(num):
        wanted = book.target[n] - book.kept[n]
        if wanted * side < 0 or wanted == 0:
            continue
        notional = wanted * book.unit[n]
        part = abs(notional) * terms.need_rate
        if terms.need_skew:
            part = part + notional * terms.need_skew
        if terms.per_share_fee:
            part = part + abs(wanted) * terms.need_per_share
        need += part
        if terms.fixed_fee and book.kept[n] - book.shares[n] == 0:
            fixed += terms.fixed_fee
    room = (equity - fixed) * terms.leverage - gross
    scale = min(max(room / max(need, TINY), 0.0), 1.0)
    cost = added = 0.0
    for n in range(num):
        wanted = book.target[n] - book.kept[n]
        if wanted * side < 0 or wanted == 0:
            continue
        opened = wanted * scale
        if scale < 1:
            opened = whole_lots(opened, book.lot[n])
        book.opened[n], book.scale[n] = opened, scale
        notional = opened * book.unit[n]
        cost += cost_over_reference(terms, notional, opened, book.kept[n] - book.shares[n] != 0)
        added += abs(notional)
    return equity - cost, gross + added


def book_fills(
    terms: Terms,
    allow_short: bool,
    book: Book,
    weights: list[float],
    state: tuple[bool, bool],
    tradable: list[bool],
    records: list[Record],
    t: int,
) -> float:
    """Move shares to kept + opened, track entries and anchors, record fills and rejections; return the cash spent."""
    is_forced, is_ended = state
    outlay = 0.0
    for n in range(len(weights)):
        shares, kept, unit, reference = book.shares[n], book.kept[n], book.unit[n], book.reference[n]
        new = kept + book.opened[n]
        quantity = new - shares
        notional = quantity * unit
        outlay += notional + cost_over_reference(terms, notional, quantity, False)
        reason = _reason(allow_short, book, weights[n], n, quantity, is_forced, is_ended, tradable[n])
        sign = 1.0 if quantity > 0 else -1.0 if quantity < 0 else 0.0
        price = reference * (1.0 + sign * terms.slippage)
        if reason:
            fee = (abs(notional) + notional * terms.slippage) * terms.fee + abs(quantity) * terms.per_share_fee
            fee = fee + (terms.fixed_fee if quantity != 0 else 0.0)
            records.append((t, OPEN, n, reason, quantity, new, price, fee, abs(notional) * terms.slippage))
        if quantity != 0:
            base = book.entry[n] if kept != 0 else 0.0
            book.entry[n] = base + (price - base) * (abs(book.opened[n]) / max(abs(new), TINY))
            book.anchor[n] = 0.0 if new == 0 else price if kept == 0 else book.anchor[n]
            book.shares[n] = new
    return outlay


def _reason(
    allow_short: bool,
    book: Book,
    weight: float,
    n: int,
    quantity: float,
    is_forced: bool,
    is_ended: bool,
    tradable: bool,
) -> int:
    """Return the reason code of an order, in the precedence of ``orders.py``."""
    is_fill = quantity != 0
    is_decided = weight == weight and (weight != 0 or book.shares[n] != 0)
    if is_forced and (is_decided or is_fill):
        if is_ended:
            return BANKRUPT if is_fill else ACCOUNT_ENDED
        return MARGIN_CALL
    if not is_decided:
        return 0
    if book.blocked[n] != 0:
        return WAITING_AFTER_STOP
    if not tradable or not book.is_sized[n]:
        return NO_BAR
    if weight < 0 and not allow_short:
        return SHORT_NOT_ALLOWED
    if book.is_below_lot[n]:
        return BELOW_LOT
    if book.is_capped[n] and (is_fill or book.shares[n] == 0):
        return SCALED_LEVERAGE if is_fill else NO_BUYING_POWER
    if book.target[n] != book.kept[n] and book.scale[n] < 1.0 - DUST:
        if is_fill:
            return SCALED_BUYING_POWER
        return NO_BUYING_POWER if book.scale[n] == 0 else BELOW_LOT
    return ORDER if is_fill else 0
