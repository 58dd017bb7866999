"""The orders of one phase in the scalar loop: the rules of ``orders.py`` over Python floats, operation by operation.

Every sum runs over instruments in order and every product associates as in the step, so both forms agree bit for bit.
Plain functions, as in ``scalar_book.py``. Legend: n instrument, i bar of the chunk. ``unit`` is money per share at the
reference price: the open, or the entry price of a touched entry.
"""

from tradewright.market.form import DUST, TINY
from tradewright.market.rules import Terms
from tradewright.market.scalar_book import ENTRY, NAN, OPEN, ORDER, Bars, Book, Policy, Position, Record
from tradewright.market.scalar_fills import (
    cost_over_reference,
    depth_of,
    excess_of,
    fill_price,
    note_fill,
    optional,
    sign,
    unless_zero,
    whole_lots,
)
from tradewright.market.scalar_reasons import reason_of


def accept(policy: Policy, bars: Bars, i: int, book: Book, is_forced: bool) -> bool:
    """Lift blocks after stops, note accepted orders and let these replace the distances; return whether any waits."""
    uses, any_waits = bars.uses, False
    for n in range(len(book)):
        position = book[n]
        weight = bars.weights[n][i]
        is_decided = weight == weight
        if is_decided and position.blocked != 0 and not weight * position.blocked > 0:
            position.blocked = 0.0
        is_accepted = is_decided and bars.tradable[n][i] and position.is_sized and not is_forced
        is_accepted = is_accepted and position.blocked == 0
        if uses.entries:
            limit, stop = optional(bars, uses.limit, n, i, NAN), optional(bars, uses.stop, n, i, NAN)
            position.is_waiting = is_accepted and (limit == limit or stop == stop)
            is_accepted = is_accepted and not position.is_waiting
            any_waits = any_waits or position.is_waiting
        position.is_accepted = is_accepted
        if is_accepted:
            replace_distances(policy, bars, i, position, n)
    return any_waits


def replace_distances(policy: Policy, bars: Bars, i: int, position: Position, n: int) -> None:
    """Let an accepted order replace the distances of its instrument; NaN gives the rules' default."""
    uses = bars.uses
    given = optional(bars, uses.stop_loss, n, i, policy.stop_loss)
    position.stop_loss = given if given == given else policy.stop_loss
    given = optional(bars, uses.take_profit, n, i, policy.take_profit)
    position.take_profit = given if given == given else policy.take_profit
    given = optional(bars, uses.trailing, n, i, policy.trailing)
    position.trailing = given if given == given else policy.trailing


def fill_orders(
    policy: Policy, bars: Bars, i: int, book: Book, records: list[Record], phase: int, is_forced: bool, is_ended: bool,
    size: float, equity: float,
) -> float:  # fmt: skip
    """Execute the orders and forced liquidations of one phase; return the cash spent.

    ``size`` is the equity at the open, which weights are fractions of; ``equity`` that at the reference prices.
    """
    _set_targets(policy, bars, i, book, phase, size)
    equity, gross = _keep_and_reduce(policy, bars, i, book, records, phase, is_forced, size, equity)
    is_priced = policy.is_priced or phase == ENTRY
    if policy.allow_short and len(book) > 1:
        equity, gross = _scale_openings(policy.terms, book, phase, -1.0, equity, gross, is_priced)
        _scale_openings(policy.terms, book, phase, 1.0, equity, gross, is_priced)
    else:
        _scale_openings(policy.terms, book, phase, 0.0, equity, gross, is_priced)
    return _book_orders(policy, bars, i, book, records, phase, is_forced, is_ended)


def _set_targets(policy: Policy, bars: Bars, i: int, book: Book, phase: int, size: float) -> None:
    """Write targets of accepted orders before capacity and lots, scaled to the leverage cap at the open."""
    num, leverage = len(book), policy.terms.leverage
    is_clipped = num == 1 and not policy.is_decision and phase == OPEN
    low = -leverage if policy.allow_short else 0.0
    ordered = held = 0.0
    for n in range(num):
        position, weight = book[n], bars.weights[n][i]
        position.is_capped = False
        if not position.is_accepted:
            held += abs(position.shares * position.unit)
            continue
        if is_clipped:
            clipped = min(max(weight, low), leverage)
            position.is_capped = clipped != 0 and abs(weight) > leverage * (1.0 + DUST)
            position.target = clipped * (size / position.unit)
            continue
        target = position.decided if policy.is_decision else weight * (size / position.unit)
        target = target if policy.allow_short or target > 0 else 0.0
        if phase == ENTRY and not (target - position.shares) * position.side > 0:
            target = position.shares
        position.target = target
        ordered += abs(target * position.unit)
    limit = leverage * size
    if is_clipped or phase == ENTRY or not ordered + held > limit * (1.0 + DUST):
        return
    scale = max(limit - held, 0.0) / max(ordered, TINY)
    for n in range(num):
        position = book[n]
        if position.is_accepted:
            position.is_capped = position.target != 0
            position.target = position.target * scale


def _keep_and_reduce(
    policy: Policy, bars: Bars, i: int, book: Book, records: list[Record], phase: int, is_forced: bool, size: float,
    equity: float,
) -> tuple[float, float]:  # fmt: skip
    """Cut orders to their size, force liquidations, split off what is kept; return equity and gross exposure then."""
    terms, cost, gross = policy.terms, 0.0, 0.0
    is_priced = policy.is_priced or phase == ENTRY
    for n in range(len(book)):
        position = book[n]
        shares, unit = position.shares, position.unit
        position.is_over = position.is_below_lot = position.is_small = False
        target = _sized(terms, bars, i, position, n, size) if position.is_accepted else shares
        if is_forced and bars.tradable[n][i]:
            target = 0.0
        position.target = target
        kept = min(max(target, min(shares, 0.0)), max(shares, 0.0))
        position.kept, position.opened, position.scale = kept, 0.0, 1.0
        if is_priced:
            is_limit = phase == ENTRY and position.is_limit
            reference, depth = position.reference, depth_of(bars, n, i)
            price = fill_price(terms, reference, target - shares, depth, position.tick, is_limit)
            if bars.uses.pool >= 0 and target > shares and price <= 0:  # more than the pool holds
                at = (bars.start + i, phase, n, ORDER)
                note_fill(terms, position.multiplier, records, at, target - shares, target, reference, price)
            position.excess = excess_of(terms, reference, price, position.multiplier)
        value = kept * unit
        if kept != shares:
            cost += cost_over_reference(terms, value - shares * unit, kept - shares, position.excess, is_priced, False)
        # Inside the bar it is unknown which came first: a reduction frees no buying power for others.
        gross += abs(shares * unit) if phase == ENTRY and target == kept else abs(value)
    return equity - cost, gross


def _sized(terms: Terms, bars: Bars, i: int, position: Position, n: int, size: float) -> float:
    """Return the target of an order cut to capacity and lots; the shares held if it is dust or worth too little."""
    shares, target, unit, lot = position.shares, position.target, position.unit, position.lot
    change = target - shares
    if abs(change) < DUST * (size / unit):
        return shares
    if bars.uses.capacity >= 0 and abs(change) > bars.given[bars.uses.capacity][n][i]:
        position.is_over = True
        change = sign(change) * bars.given[bars.uses.capacity][n][i]
        target = shares + change
    if lot > 0 and target != 0:
        whole = whole_lots(change, lot)
        position.is_below_lot = whole == 0 and change != 0
        target = target if whole == change else unless_zero(shares + whole, lot)
        change = whole
    if abs(change) * unit < terms.least_notional and target != 0 and change != 0:
        position.is_small = True
        return shares
    return target


def _scale_openings(
    terms: Terms, book: Book, phase: int, side: float, equity: float, gross: float, is_priced: bool
) -> tuple[float, float]:
    """Scale the openings of one side (-1, 1; 0: both) to the buying power; return equity and gross after them."""
    need = fixed = 0.0
    for n in range(len(book)):
        position = book[n]
        wanted = position.target - position.kept
        if wanted * side < 0 or wanted == 0:
            continue
        if is_priced:
            part = abs(wanted) * (position.unit + position.excess * terms.leverage)
        else:
            notional = wanted * position.unit
            part = abs(notional) * terms.need_rate
            if terms.need_skew:
                part = part + notional * terms.need_skew
            if terms.per_share_fee:
                part = part + abs(wanted) * terms.need_per_share
        need += part
        if terms.fixed_fee and position.kept - position.shares == 0:
            fixed += terms.fixed_fee
    room = (equity - fixed) * terms.leverage - gross
    scale = min(max(room / max(need, TINY), 0.0), 1.0)
    if scale < DUST and (phase == ENTRY or len(book) > 1):
        scale = 0.0
    cost = added = 0.0
    for n in range(len(book)):
        position = book[n]
        wanted = position.target - position.kept
        if wanted * side < 0 or wanted == 0:
            continue
        opened, reduced = wanted * scale, position.kept - position.shares
        if scale < 1:
            opened = whole_lots(opened, position.lot)
            if opened != 0 and abs(opened + reduced) * position.unit < terms.least_notional:
                position.is_small = True
                opened = 0.0
        position.opened, position.scale = opened, scale
        notional = opened * position.unit
        cost += cost_over_reference(terms, notional, opened, position.excess, is_priced, reduced != 0)
        added += abs(notional)
    return equity - cost, gross + added


def _book_orders(
    policy: Policy, bars: Bars, i: int, book: Book, records: list[Record], phase: int, is_forced: bool, is_ended: bool
) -> float:
    """Move shares to kept + opened, track entries and anchors, record fills and rejections; return the cash spent."""
    terms, outlay = policy.terms, 0.0
    is_priced = policy.is_priced or phase == ENTRY
    for n in range(len(book)):
        position = book[n]
        shares, kept, unit, reference = position.shares, position.kept, position.unit, position.reference
        new = kept + position.opened
        quantity = new - shares
        is_limit = phase == ENTRY and position.is_limit
        depth = depth_of(bars, n, i) if is_priced else (0.0, 0.0)
        price = fill_price(terms, reference, quantity, depth, position.tick, is_limit)
        excess = excess_of(terms, reference, price, position.multiplier) if is_priced else 0.0
        if quantity != 0:
            notional = quantity * unit
            outlay += notional + cost_over_reference(terms, notional, quantity, excess, is_priced, False)
        reason = reason_of(policy, bars, i, position, n, phase, quantity, is_forced, is_ended)
        if reason:
            note_fill(
                terms, position.multiplier, records, (bars.start + i, phase, n, reason), quantity, new, reference, price
            )
        if bars.uses.entries:
            position.is_more = phase == ENTRY and position.opened != 0
            position.is_new = position.is_more and kept == 0
        if quantity != 0:
            base = position.entry if kept != 0 else 0.0
            position.entry = base + (price - base) * (abs(position.opened) / max(abs(new), TINY))
            position.anchor = 0.0 if new == 0 else price if kept == 0 else position.anchor
            position.shares = new
    return outlay
