"""The values of the bar step: an account's ``State``, one ``Bar``, and the ``Outcome`` of a bar.

Legend: B accounts, N instruments, K finer bars inside a bar. Arrays are NumPy arrays or torch tensors (``xp`` is the
module), float64 unless said otherwise. Fields that a configuration does not use are None, which is how the step knows
to leave them out.
"""

from typing import Any, NamedTuple

from tradewright.market.rules import AccountRules

Array = Any
"""A NumPy array or a torch tensor; market code imports neither torch nor its types."""


class State(NamedTuple):
    """B accounts between two bars.

    Args:
        cash_B: Money.
        shares_BN: Signed shares or contracts.
        mark_BN: Last mark price; 0 before an instrument's first bar.
        margin_call_B: bool; everything is liquidated at the next open.
        ended_B: bool; the account went bankrupt.
        entry_BN: Average entry price of the position, 0 when flat; None when not tracked.
        anchor_BN: Best price since entry, the reference of a trailing stop; None without stops, as the four below.
        stop_loss_BN: Distance, fraction of the entry price; NaN: none.
        take_profit_BN: Distance, fraction of the entry price; NaN: none.
        trailing_BN: Distance, fraction of the anchor; NaN: none.
        blocked_BN: Side (-1 or 1) that may not be entered again after a stop; 0: none.
    """

    cash_B: Array
    shares_BN: Array
    mark_BN: Array
    margin_call_B: Array
    ended_B: Array
    entry_BN: Array | None = None
    anchor_BN: Array | None = None
    stop_loss_BN: Array | None = None
    take_profit_BN: Array | None = None
    trailing_BN: Array | None = None
    blocked_BN: Array | None = None


class Bar(NamedTuple):
    """One bar of N instruments, ``[N]`` or ``[B, N]`` (accounts may stand at different times).

    Args:
        open_BN, high_BN, low_BN, close_BN: Prices > 0; NaN only where not tradable. Only stops need high and low.
        tradable_BN: bool; False where the instrument has no bar. None: all have one.
        years_B: Years of 365 days since the previous bar's open, a float or ``[B]``.
        split_BN: New shares per old share at this open (1: none). None: no splits.
        dividend_BN: Money per old share (times the multiplier) paid to holders at this open. None: no dividends.
        borrow_BN: Annual rate on the notional of shorts; None: ``Costs.borrow_rate``.
        funding_BN: Fraction of the notional at the previous mark, paid by longs and received by shorts. None: none.
        roll_from_BN, roll_to_BN: Prices of the leaving and the coming contract, NaN: no roll. None: no rolls.
        impact_BN: Slippage fraction per square root of a share, finite and >= 0. None: no impact.
        capacity_BN: Most shares that a decided order may move, inf: no cap. None: no caps.
        pool_BN: Inverse liquidity of a constant-product pool, finite and >= 0 (``pricing.pool_left``). None: no pool.
        finer_open_BKN, finer_high_BKN, finer_low_BKN: ``[K, N]`` or ``[B, K, N]``, bars inside this one in time order,
            padded with NaN; they decide whether stop or target came first. None: the stop.
    """

    open_BN: Array
    high_BN: Array | None
    low_BN: Array | None
    close_BN: Array
    tradable_BN: Array | None = None
    years_B: Array | float = 0.0
    split_BN: Array | None = None
    dividend_BN: Array | None = None
    borrow_BN: Array | None = None
    funding_BN: Array | None = None
    roll_from_BN: Array | None = None
    roll_to_BN: Array | None = None
    impact_BN: Array | None = None
    capacity_BN: Array | None = None
    pool_BN: Array | None = None
    finer_open_BKN: Array | None = None
    finer_high_BKN: Array | None = None
    finer_low_BKN: Array | None = None


class Fills(NamedTuple):
    """The fills of one phase of a bar, all ``[B, N]``.

    Args:
        quantity_BN: Signed; 0 where nothing was executed.
        shares_BN: Position after the phase.
        price_BN: Price with slippage; without meaning where nothing was executed.
        fee_BN: Money, >= 0.
        slippage_BN: Money lost to slippage, >= 0.
        reason_BN: int64, a ``Reason``.
    """

    quantity_BN: Array
    shares_BN: Array
    price_BN: Array
    fee_BN: Array
    slippage_BN: Array
    reason_BN: Array


class Outcome(NamedTuple):
    """What a bar did to the accounts.

    Args:
        equity_B: Equity at the close.
        interest_B: Money earned on cash (negative: paid); 0.0 when cash carries no rate.
        borrow_B: Money paid for borrowed shares; 0.0 when they cost nothing.
        dividend_B: Money received (negative: paid by shorts); 0.0 without dividends.
        open: Fills at the open; None unless details were asked for, likewise all fields below.
        stop: Fills of stops and targets; None also where the accounts have none.
        close: Liquidations of bankrupt accounts at the close; None also where no account went bankrupt there.
        funding_B: Money paid for funding (negative: received); 0.0 without funding.
        carry_BN: Borrow + funding - dividend by instrument, money; None also where there is no such cost.
        leave, join: Fills of rolls in the leaving and in the coming contract; None also where nothing rolled.
        entry: Fills and rejections of limit and stop entries; None also where none were decided.
    """

    equity_B: Array
    interest_B: Array | float = 0.0
    borrow_B: Array | float = 0.0
    dividend_B: Array | float = 0.0
    open: Fills | None = None
    stop: Fills | None = None
    close: Fills | None = None
    funding_B: Array | float = 0.0
    carry_BN: Array | None = None
    leave: Fills | None = None
    join: Fills | None = None
    entry: Fills | None = None


def initial_state(
    xp: Any,
    rules: AccountRules,
    num_accounts: int,
    num_instruments: int,
    *,
    mark_N: Array | None = None,
    has_stops: bool = False,
    has_entries: bool = False,
    **array_options: Any,
) -> State:
    """Return B flat accounts with the initial cash.

    Args:
        xp: The module ``numpy`` or ``torch``.
        rules: Account rules.
        num_accounts: B.
        num_instruments: N.
        mark_N: ``[N]`` or ``[B, N]``, closes at the first decision (NaN: no price yet). ``sizing: decision`` needs it.
        has_stops: Orders may carry stops although the rules have no default ones.
        has_entries: Track average entry prices (implied by stops): unrealised profit needs them.
        **array_options: Passed to ``xp.zeros``, e.g. ``device``.
    """
    options = {"dtype": xp.float64, **array_options}
    shape = (num_accounts, num_instruments)

    def full(value: float | None) -> Array:
        return xp.zeros(shape, **options) + (float("nan") if value is None else value)

    has_stops = has_stops or rules.has_stops
    marks = full(0.0)
    if mark_N is not None:
        marks = xp.where(xp.isnan(mark_N), 0.0, mark_N) + marks
    return State(
        cash_B=xp.zeros(num_accounts, **options) + rules.initial_cash,
        shares_BN=full(0.0),
        mark_BN=marks,
        margin_call_B=xp.zeros(num_accounts, **{**options, "dtype": xp.bool}),
        ended_B=xp.zeros(num_accounts, **{**options, "dtype": xp.bool}),
        entry_BN=full(0.0) if has_entries or has_stops else None,
        anchor_BN=full(0.0) if has_stops else None,
        stop_loss_BN=full(rules.stop_loss) if has_stops else None,
        take_profit_BN=full(rules.take_profit) if has_stops else None,
        trailing_BN=full(rules.trailing) if has_stops else None,
        blocked_BN=full(0.0) if has_stops else None,
    )


def choose(xp: Any, chosen_B: Array, first: State, second: State) -> State:
    """Return ``first`` for accounts where ``chosen_B`` is True, ``second`` elsewhere; e.g. to restart accounts."""
    chosen_B1 = chosen_B[:, None]

    def pick(a: Array | None, b: Array | None) -> Array | None:
        if a is None or b is None:
            return None
        return xp.where(chosen_B if a.ndim == 1 else chosen_B1, a, b)

    return State(*(pick(a, b) for a, b in zip(first, second, strict=True)))


def unrealised(state: State, multiplier_N: Array | float = 1.0) -> Array:
    """Return unrealised profit ``shares * (mark - entry) * multiplier``, money, ``[B, N]``; needs tracked entries."""
    return state.shares_BN * (state.mark_BN - state.entry_BN) * multiplier_N
