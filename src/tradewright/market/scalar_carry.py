"""What happens to an account before the open, in the scalar loop: the rules of ``carry.py``, operation by operation.

Plain functions, as in ``scalar_book.py``. Legend: n instrument, i bar of the chunk.
"""

from tradewright.market.scalar_book import (
    JOIN,
    LEAVE,
    ROLL,
    Bars,
    Book,
    Output,
    Policy,
    cost_over_reference,
    excess_of,
    fill_price,
    impact_of,
    note_fill,
)


def carry_account(policy: Policy, bars: Bars, i: int, cash: float, book: Book, is_ended: bool, out: Output) -> float:
    """Pay interest, borrow, funding and dividends; return the cash."""
    uses, totals, years = bars.uses, out.totals, bars.years[i]
    if policy.cash_rate and not is_ended:
        interest = cash * (policy.cash_rate * years)
        cash += interest
        totals[0] += interest
    if policy.allow_short and (uses.borrow or policy.borrow_rate) and not is_ended:
        borrow = 0.0
        for n in range(len(book.shares)):
            rate = bars.borrow[n][i] if uses.borrow else policy.borrow_rate
            paid = max(-book.shares[n], 0.0) * (book.mark[n] * book.multiplier[n]) * (rate * years)
            out.carry[n][i] = paid
            borrow += paid
        cash -= borrow
        totals[1] += borrow
    if uses.funding and not is_ended:
        funding = 0.0
        for n in range(len(book.shares)):
            paid = book.shares[n] * (book.mark[n] * book.multiplier[n]) * bars.funding[n][i]
            out.carry[n][i] = out.carry[n][i] + paid
            funding += paid
        cash -= funding
        totals[3] += funding
    if uses.dividend:
        dividend = 0.0
        for n in range(len(book.shares)):
            received = book.shares[n] * (bars.dividend[n][i] * book.multiplier[n])
            out.carry[n][i] = out.carry[n][i] - received
            dividend += received
        cash += dividend
        totals[2] += dividend
    return cash


def split_shares(book: Book, bars: Bars, i: int) -> None:
    """Apply splits: more shares at lower prices, the money unchanged."""
    for n in range(len(book.shares)):
        ratio = bars.split[n][i]
        book.shares[n] *= ratio
        book.mark[n] /= ratio
        book.entry[n] /= ratio
        book.anchor[n] /= ratio
        book.decided[n] *= ratio


def roll_contracts(policy: Policy, bars: Bars, i: int, book: Book, out: Output) -> float:
    """Move positions to the coming contract, shift their prices; return the cash spent."""
    outlay = 0.0
    for n in range(len(book.shares)):
        leaving, coming = bars.roll_from[n][i], bars.roll_to[n][i]
        if leaving != leaving:
            continue
        shares, shift = book.shares[n], coming - leaving
        if shares != 0:
            left = _roll_leg(policy, bars, i, book, n, -shares, leaving)
            outlay += left + _roll_leg(policy, bars, i, book, n, shares, coming)
            book.entry[n] += shift
            book.anchor[n] += shift
        if book.mark[n] > 0:
            book.mark[n] += shift
    for phase in (LEAVE, JOIN):
        for n in range(len(book.shares)):
            reference = bars.roll_from[n][i] if phase == LEAVE else bars.roll_to[n][i]
            if reference != reference or book.shares[n] == 0:
                continue
            quantity = -book.shares[n] if phase == LEAVE else book.shares[n]
            after = 0.0 if phase == LEAVE else book.shares[n]
            price = fill_price(policy.terms, reference, quantity, impact_of(bars, n, i), book.tick[n], False)
            at = (bars.start + i, phase, n, ROLL)
            note_fill(policy.terms, book, out.records, at, quantity, after, reference, price)
    return outlay


def _roll_leg(policy: Policy, bars: Bars, i: int, book: Book, n: int, quantity: float, reference: float) -> float:
    """Return what one leg of a roll spends."""
    terms, multiplier = policy.terms, book.multiplier[n]
    price = fill_price(terms, reference, quantity, impact_of(bars, n, i), book.tick[n], False)
    notional = quantity * (reference * multiplier)
    excess = excess_of(terms, reference, price, multiplier)
    return notional + cost_over_reference(terms, notional, quantity, excess, True, False)
