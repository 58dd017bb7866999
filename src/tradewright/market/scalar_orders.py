"""The orders of one phase in the scalar loop: the rules of ``orders.py`` over Python floats, operation by operation.

Every sum runs over instruments in order and every product associates as in the step, so both forms agree bit for bit.
Plain functions, as in ``scalar_book.py``. Legend: n instrument, i bar of the chunk. ``unit`` is money per share at the
reference price: the open, or the entry price of a touched entry.
"""

from tradewright.market.form import DUST, TINY
from tradewright.market.rules import Terms
from tradewright.market.scalar_book import (
    ENTRY,
    OPEN,
    Bars,
    Book,
    Policy,
    Record,
    cost_over_reference,
    excess_of,
    fill_price,
    impact_of,
    note_fill,
    sign,
    unless_zero,
    whole_lots,
)
from tradewright.market.scalar_reasons import reason_of


def accept(policy: Policy, bars: Bars, i: int, book: Book, is_forced: bool) -> bool:
    """Lift blocks after stops, note accepted orders and let these replace the distances; return whether any waits."""
    uses, any_waits = bars.uses, False
    for n in range(len(book.shares)):
        weight = bars.weights[n][i]
        is_decided = weight == weight
        if is_decided and book.blocked[n] != 0 and not weight * book.blocked[n] > 0:
            book.blocked[n] = 0.0
        is_accepted = is_decided and bars.tradable[n][i] and book.is_sized[n] and not is_forced
        is_accepted = is_accepted and book.blocked[n] == 0
        if uses.entries:
            book.is_waiting[n] = is_accepted and (
                (uses.limit and bars.limit[n][i] == bars.limit[n][i])
                or (uses.stop and bars.stop[n][i] == bars.stop[n][i])
            )
            is_accepted = is_accepted and not book.is_waiting[n]
            any_waits = any_waits or book.is_waiting[n]
        book.is_accepted[n] = is_accepted
        if is_accepted:
            replace_distances(policy, bars, i, book, n)
    return any_waits


def replace_distances(policy: Policy, bars: Bars, i: int, book: Book, n: int) -> None:
    """Let an accepted order replace the distances of its instrument; NaN gives the rules' default."""
    uses = bars.uses
    given = bars.stop_loss[n][i] if uses.stop_loss else policy.stop_loss
    book.stop_loss[n] = given if given == given else policy.stop_loss
    given = bars.take_profit[n][i] if uses.take_profit else policy.take_profit
    book.take_profit[n] = given if given == given else policy.take_profit
    given = bars.trailing[n][i] if uses.trailing else policy.trailing
    book.trailing[n] = given if given == given else policy.trailing


def fill_orders(
    policy: Policy, bars: Bars, i: int, book: Book, records: list[Record], phase: int, is_forced: bool, is_ended: bool,
    size: float, equity: float,
) -> float:  # fmt: skip
    """Execute the orders and forced liquidations of one phase; return the cash spent.

    ``size`` is the equity at the open, which weights are fractions of; ``equity`` that at the reference prices.
    """
    _set_targets(policy, bars, i, book, phase, size)
    equity, gross = _keep_and_reduce(policy, bars, i, book, phase, is_forced, size, equity)
    is_priced = policy.is_priced or phase == ENTRY
    if policy.allow_short and len(book.shares) > 1:
        equity, gross = _scale_openings(policy.terms, book, phase, -1.0, equity, gross, is_priced)
        _scale_openings(policy.terms, book, phase, 1.0, equity, gross, is_priced)
    else:
        _scale_openings(policy.terms, book, phase, 0.0, equity, gross, is_priced)
    return _book_orders(policy, bars, i, book, records, phase, is_forced, is_ended)


def _set_targets(policy: Policy, bars: Bars, i: int, book: Book, phase: int, size: float) -> None:
    """Write targets of accepted orders before capacity and lots, scaled to the leverage cap at the open."""
    num, leverage = len(book.shares), policy.terms.leverage
    is_clipped = num == 1 and not policy.is_decision and phase == OPEN
    low = -leverage if policy.allow_short else 0.0
    ordered = held = 0.0
    for n in range(num):
        weight = bars.weights[n][i]
        book.is_capped[n] = False
        if not book.is_accepted[n]:
            held += abs(book.shares[n] * book.unit[n])
            continue
        if is_clipped:
            clipped = min(max(weight, low), leverage)
            book.is_capped[n] = clipped != 0 and abs(weight) > leverage * (1.0 + DUST)
            book.target[n] = clipped * (size / book.unit[n])
            continue
        target = book.decided[n] if policy.is_decision else weight * (size / book.unit[n])
        target = target if policy.allow_short or target > 0 else 0.0
        if phase == ENTRY and not (target - book.shares[n]) * book.side[n] > 0:
            target = book.shares[n]
        book.target[n] = target
        ordered += abs(target * book.unit[n])
    limit = leverage * size
    if is_clipped or phase == ENTRY or not ordered + held > limit * (1.0 + DUST):
        return
    scale = max(limit - held, 0.0) / max(ordered, TINY)
    for n in range(num):
        if book.is_accepted[n]:
            book.is_capped[n] = book.target[n] != 0
            book.target[n] = book.target[n] * scale


def _keep_and_reduce(
    policy: Policy, bars: Bars, i: int, book: Book, phase: int, is_forced: bool, size: float, equity: float
) -> tuple[float, float]:
    """Cut orders to their size, force liquidations, split off what is kept; return equity and gross exposure then."""
    terms, cost, gross = policy.terms, 0.0, 0.0
    is_priced = policy.is_priced or phase == ENTRY
    for n in range(len(book.shares)):
        shares, unit = book.shares[n], book.unit[n]
        book.is_over[n] = book.is_below_lot[n] = book.is_small[n] = False
        target = _sized(terms, bars, i, book, n, size) if book.is_accepted[n] else shares
        if is_forced and bars.tradable[n][i]:
            target = 0.0
        book.target[n] = target
        kept = min(max(target, min(shares, 0.0)), max(shares, 0.0))
        book.kept[n], book.opened[n], book.scale[n] = kept, 0.0, 1.0
        if is_priced:
            is_limit = phase == ENTRY and book.is_limit[n]
            reference, impact = book.reference[n], impact_of(bars, n, i)
            price = fill_price(terms, reference, target - shares, impact, book.tick[n], is_limit)
            book.excess[n] = excess_of(terms, reference, price, book.multiplier[n])
        value = kept * unit
        cost += cost_over_reference(terms, value - shares * unit, kept - shares, book.excess[n], is_priced, False)
        # Inside the bar it is unknown which came first: a reduction frees no buying power for others.
        gross += abs(shares * unit) if phase == ENTRY and target == kept else abs(value)
    return equity - cost, gross


def _sized(terms: Terms, bars: Bars, i: int, book: Book, n: int, size: float) -> float:
    """Return the target of an order cut to capacity and lots; the shares held if it is dust or worth too little."""
    shares, target, unit, lot = book.shares[n], book.target[n], book.unit[n], book.lot[n]
    change = target - shares
    if abs(change) < DUST * (size / unit):
        return shares
    if bars.uses.capacity and abs(change) > bars.capacity[n][i]:
        book.is_over[n] = True
        change = sign(change) * bars.capacity[n][i]
        target = shares + change
    if lot > 0 and target != 0:
        whole = whole_lots(change, lot)
        book.is_below_lot[n] = whole == 0 and change != 0
        target = target if whole == change else unless_zero(shares + whole, lot)
        change = whole
    if abs(change) * unit < terms.least_notional and target != 0 and change != 0:
        book.is_small[n] = True
        return shares
    return target


def _scale_openings(
    terms: Terms, book: Book, phase: int, side: float, equity: float, gross: float, is_priced: bool
) -> tuple[float, float]:
    """Scale the openings of one side (-1, 1; 0: both) to the buying power; return equity and gross after them."""
    need = fixed = 0.0
    for n in range(len(book.shares)):
        wanted = book.target[n] - book.kept[n]
        if wanted * side < 0 or wanted == 0:
            continue
        if is_priced:
            part = abs(wanted) * (book.unit[n] + book.excess[n] * terms.leverage)
        else:
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
    if scale < DUST and (phase == ENTRY or len(book.shares) > 1):
        scale = 0.0
    cost = added = 0.0
    for n in range(len(book.shares)):
        wanted = book.target[n] - book.kept[n]
        if wanted * side < 0 or wanted == 0:
            continue
        opened, reduced = wanted * scale, book.kept[n] - book.shares[n]
        if scale < 1:
            opened = whole_lots(opened, book.lot[n])
            if opened != 0 and abs(opened + reduced) * book.unit[n] < terms.least_notional:
                book.is_small[n] = True
                opened = 0.0
        book.opened[n], book.scale[n] = opened, scale
        notional = opened * book.unit[n]
        cost += cost_over_reference(terms, notional, opened, book.excess[n], is_priced, reduced != 0)
        added += abs(notional)
    return equity - cost, gross + added


def _book_orders(
    policy: Policy, bars: Bars, i: int, book: Book, records: list[Record], phase: int, is_forced: bool, is_ended: bool
) -> float:
    """Move shares to kept + opened, track entries and anchors, record fills and rejections; return the cash spent."""
    terms, outlay = policy.terms, 0.0
    is_priced = policy.is_priced or phase == ENTRY
    for n in range(len(book.shares)):
        shares, kept, unit, reference = book.shares[n], book.kept[n], book.unit[n], book.reference[n]
        new = kept + book.opened[n]
        quantity = new - shares
        is_limit = phase == ENTRY and book.is_limit[n]
        price = fill_price(terms, reference, quantity, impact_of(bars, n, i), book.tick[n], is_limit)
        excess = excess_of(terms, reference, price, book.multiplier[n]) if is_priced else 0.0
        notional = quantity * unit
        outlay += notional + cost_over_reference(terms, notional, quantity, excess, is_priced, False)
        reason = reason_of(policy, bars, i, book, n, phase, quantity, is_forced, is_ended)
        if reason:
            note_fill(terms, book, records, (bars.start + i, phase, n, reason), quantity, new, reference, price)
        if bars.uses.entries:
            book.is_more[n] = phase == ENTRY and book.opened[n] != 0
            book.is_new[n] = book.is_more[n] and kept == 0
        if quantity != 0:
            base = book.entry[n] if kept != 0 else 0.0
            book.entry[n] = base + (price - base) * (abs(book.opened[n]) / max(abs(new), TINY))
            book.anchor[n] = 0.0 if new == 0 else price if kept == 0 else book.anchor[n]
            book.shares[n] = new
    return outlay
