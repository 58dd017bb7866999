"""What happens to an account before the open, in the scalar loop: the rules of ``carry.py``, operation by operation.

Plain functions, as in ``scalar_book.py``. Legend: n instrument, i bar of the chunk.
"""

from tradewright.market.scalar_book import JOIN, LEAVE, ROLL, Bars, Book, Output, Policy, Position
from tradewright.market.scalar_fills import cost_over_reference, depth_of, excess_of, fill_price, note_fill, optional


def carry_account(policy: Policy, bars: Bars, i: int, cash: float, book: Book, is_ended: bool, out: Output) -> float:
    """Pay interest, borrow, funding and dividends; return the cash."""
    uses, totals, years = bars.uses, out.totals, bars.years[i]
    if policy.cash_rate and not is_ended:
        interest = cash * (policy.cash_rate * years)
        cash += interest
        totals[0] += interest
    if policy.allow_short and (uses.borrow >= 0 or policy.borrow_rate) and not is_ended:
        borrow = 0.0
        for n in range(len(book)):
            position = book[n]
            if position.shares >= 0:
                continue
            rate = optional(bars, uses.borrow, n, i, policy.borrow_rate)
            paid = -position.shares * (position.mark * position.multiplier) * (rate * years)
            out.carry[n][i] = paid
            borrow += paid
        cash -= borrow
        totals[1] += borrow
    if uses.funding >= 0 and not is_ended:
        funding = 0.0
        for n in range(len(book)):
            position = book[n]
            paid = position.shares * (position.mark * position.multiplier) * bars.given[uses.funding][n][i]
            out.carry[n][i] = out.carry[n][i] + paid
            funding += paid
        cash -= funding
        totals[3] += funding
    if uses.dividend >= 0:
        dividend = 0.0
        for n in range(len(book)):
            position = book[n]
            received = position.shares * (bars.given[uses.dividend][n][i] * position.multiplier)
            out.carry[n][i] = out.carry[n][i] - received
            dividend += received
        cash += dividend
        totals[2] += dividend
    return cash


def split_shares(book: Book, bars: Bars, i: int) -> None:
    """Apply splits: more shares at lower prices, the money unchanged."""
    for n in range(len(book)):
        position = book[n]
        ratio = bars.given[bars.uses.split][n][i]
        position.shares *= ratio
        position.mark /= ratio
        position.entry /= ratio
        position.anchor /= ratio
        position.decided *= ratio


def roll_contracts(policy: Policy, bars: Bars, i: int, book: Book, out: Output) -> float:
    """Move positions to the coming contract, shift their prices; return the cash spent."""
    outlay, froms, tos = 0.0, bars.given[bars.uses.roll_from], bars.given[bars.uses.roll_to]
    for n in range(len(book)):
        position, leaving, coming = book[n], froms[n][i], tos[n][i]
        if leaving != leaving:
            continue
        shares, shift = position.shares, coming - leaving
        if shares != 0:
            left = _roll_leg(policy, bars, i, position, n, -shares, leaving)
            outlay += left + _roll_leg(policy, bars, i, position, n, shares, coming)
            position.entry += shift
            position.anchor += shift
        if position.mark > 0:
            position.mark += shift
    for phase in (LEAVE, JOIN):
        for n in range(len(book)):
            position = book[n]
            reference = froms[n][i] if phase == LEAVE else tos[n][i]
            if reference != reference or position.shares == 0:
                continue
            quantity = -position.shares if phase == LEAVE else position.shares
            after = 0.0 if phase == LEAVE else position.shares
            price = fill_price(policy.terms, reference, quantity, depth_of(bars, n, i), position.tick, False)
            at = (bars.start + i, phase, n, ROLL)
            note_fill(policy.terms, position.multiplier, out.records, at, quantity, after, reference, price)
    return outlay


def _roll_leg(
    policy: Policy, bars: Bars, i: int, position: Position, n: int, quantity: float, reference: float
) -> float:
    """Return what one leg of a roll spends."""
    terms, multiplier = policy.terms, position.multiplier
    price = fill_price(terms, reference, quantity, depth_of(bars, n, i), position.tick, False)
    notional = quantity * (reference * multiplier)
    excess = excess_of(terms, reference, price, multiplier)
    return notional + cost_over_reference(terms, notional, quantity, excess, True, False)
