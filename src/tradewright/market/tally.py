"""Streaming statistics of B accounts: what ``metrics.summarise`` makes of a history, in memory that does not grow.

A ``Tally`` is carried beside the accounts' ``State``, one bar at a time, on NumPy or torch; ``figures_of`` turns it
into the report's figures under the report's keys. Returns run between *marks*: every bar for daily bars, the last bar
of each day for intraday ones (``metrics.calendar.annualised_marks``); drawdowns see every bar. Mean and variance follow
Welford, so that a series without dispersion stays one. A trade runs from flat to flat, as in the journal.
Source: Welford (1962), Note on a Method for Calculating Corrected Sums of Squares and Products, Technometrics 4(3).
Legend: B accounts, N instruments, A marks per year.
"""

from typing import Any, NamedTuple

from tradewright.market.account import Array, Fills, Outcome
from tradewright.market.rules import Reason
from tradewright.metrics.returns import NOISE

FIGURES = (
    "final_equity", "total_return", "cagr", "volatility", "downside_deviation", "sharpe", "sortino", "max_drawdown",
    "calmar", "num_trades", "num_wins", "win_rate",
)  # fmt: skip
"""The keys of ``figures_of``; each means what it means in ``metrics.summarise``."""


LARGEST_EXPONENT = 709.0
"""Growth beyond e to this power is not a float64."""


class Moments(NamedTuple):
    """All that the figures need of a history; every field ``[B]`` float64.

    Args:
        start_B: Equity at the first mark, > 0.
        final_B: Equity at the last bar.
        num_B: Number of returns between marks.
        mean_B: Their mean; NaN if one is undefined (equity at or below zero before it), likewise the two below.
        square_B: Sum of squared deviations from the mean.
        shortfall_B: Sum of ``min(r - target, 0) ** 2``, the target being the risk-free return per mark.
        drawdown_B: Deepest drawdown so far, fraction.
        trades_B: Closed trades.
        wins_B: Closed trades with net profit.
    """

    start_B: Array
    final_B: Array
    num_B: Array
    mean_B: Array
    square_B: Array
    shortfall_B: Array
    drawdown_B: Array
    trades_B: Array
    wins_B: Array


class Tally(NamedTuple):
    """``Moments`` so far and what the next bar needs.

    Args:
        moments: The statistics.
        marked_B: Equity at the last mark.
        peak_B: Highest equity so far.
        flow_BN: Money that the open trade has brought so far (negative: cost), fees included; 0 when flat.
    """

    moments: Moments
    marked_B: Array
    peak_B: Array
    flow_BN: Array


def start_tally(xp: Any, equity_B: Array, num_instruments: int) -> Tally:
    """Return the tally of flat accounts whose starting value is ``equity_B`` (float64, > 0)."""
    zero_B = xp.zeros_like(equity_B)
    flat_BN = xp.zeros((len(equity_B), num_instruments), dtype=xp.float64, device=equity_B.device)
    return Tally(Moments(equity_B, equity_B, *(zero_B,) * 7), equity_B, equity_B, flat_BN)


def add_bar(
    xp: Any,
    tally: Tally,
    outcome: Outcome,
    *,
    is_mark: Array | bool = True,
    target: float = 0.0,
    multiplier_N: Array | None = None,
) -> Tally:
    """Return the tally after one bar.

    Args:
        xp: The module ``numpy`` or ``torch``.
        tally: The tally before the bar.
        outcome: What the bar step did, with details.
        is_mark: Whether a return ends at this bar, one for all accounts or bool ``[B]``.
        target: Least acceptable return per mark, fraction: the risk-free rate over A.
        multiplier_N: Money per price unit and contract; None: 1.
    """
    equity_B = outcome.equity_B
    if outcome.carry_BN is not None:
        tally = tally._replace(flow_BN=tally.flow_BN - outcome.carry_BN)
    for fills in (outcome.leave, outcome.join, outcome.open, outcome.entry, outcome.stop, outcome.close):
        if fills is not None:
            tally = _add_fills(xp, tally, fills, multiplier_N)
    peak_B = xp.maximum(tally.peak_B, equity_B)
    moments = tally.moments._replace(
        final_B=equity_B, drawdown_B=xp.maximum(tally.moments.drawdown_B, 1.0 - equity_B / peak_B)
    )
    return mark(xp, tally._replace(moments=moments, peak_B=peak_B), target, is_mark)


def mark(xp: Any, tally: Tally, target: float, is_mark: Array | bool = True) -> Tally:
    """Return the tally with a return from the last mark to the last bar, for accounts where ``is_mark``."""
    if is_mark is False:
        return tally
    marked = _add_return(xp, tally, target)
    return marked if is_mark is True else choose_tally(xp, is_mark, marked, tally)


def choose_tally(xp: Any, chosen_B: Array, first: Tally, second: Tally) -> Tally:
    """Return ``first`` for accounts where ``chosen_B`` is True, ``second`` elsewhere; e.g. to restart accounts."""

    def pick(a: Array, b: Array) -> Array:
        return xp.where(chosen_B if a.ndim == 1 else chosen_B[:, None], a, b)

    moments = Moments(*map(pick, first.moments, second.moments))
    return Tally(moments, *(pick(a, b) for a, b in zip(first[1:], second[1:], strict=True)))


def figures_of(xp: Any, moments: Moments, periods_per_year: float, risk_free: float = 0.0) -> dict[str, Array]:
    """Return the figures of ``FIGURES`` by key, each ``[B]``; what is undefined is NaN.

    Args:
        xp: The module ``numpy`` or ``torch``.
        moments: The statistics of the history.
        periods_per_year: A.
        risk_free: Annual fraction, the one behind the ``target`` of the moments.
    """
    nan = xp.full_like(moments.num_B, float("nan"))
    root, num_B = periods_per_year**0.5, moments.num_B

    def divide(a_B: Array, b_B: Array, is_defined_B: Array) -> Array:
        return xp.where(is_defined_B, a_B / xp.where(is_defined_B, b_B, 1.0), nan)

    total_B = moments.final_B / moments.start_B - 1.0
    growth_B = _annual_growth(xp, total_B, num_B, periods_per_year)
    deviation_B = xp.sqrt(divide(moments.square_B, num_B - 1.0, num_B >= 2))
    downside_B = xp.sqrt(divide(moments.shortfall_B, num_B, num_B >= 1))
    excess_B = moments.mean_B - risk_free / periods_per_year
    values = (
        moments.final_B,
        total_B,
        growth_B,
        deviation_B * root,
        downside_B * root,
        divide(excess_B, deviation_B, deviation_B > NOISE) * root,
        divide(excess_B, downside_B, (num_B >= 2) & (downside_B > NOISE)) * root,
        moments.drawdown_B,
        divide(growth_B, moments.drawdown_B, moments.drawdown_B > 0),
        moments.trades_B,
        moments.wins_B,
        divide(moments.wins_B, moments.trades_B, moments.trades_B > 0),
    )
    return dict(zip(FIGURES, values, strict=True))


def _annual_growth(xp: Any, total_B: Array, num_B: Array, periods_per_year: float) -> Array:
    """Return ``(1 + R) ** (A / n) - 1``; NaN without a return, after losing more than everything, and if too large."""
    is_lost_B = total_B == -1.0
    exponent_B = xp.log(xp.where(total_B > -1.0, 1.0 + total_B, 1.0)) * periods_per_year / xp.clip(num_B, 1.0, None)
    is_defined_B = (num_B >= 1) & (total_B >= -1.0) & (exponent_B < LARGEST_EXPONENT)
    growth_B = xp.exp(xp.where(is_defined_B, exponent_B, 0.0)) - 1.0
    return xp.where(is_defined_B, xp.where(is_lost_B, -1.0, growth_B), float("nan"))


def _add_return(xp: Any, tally: Tally, target: float) -> Tally:
    moments = tally.moments
    is_defined_B = tally.marked_B > 0
    nan = xp.full_like(tally.marked_B, float("nan"))
    return_B = xp.where(is_defined_B, moments.final_B / xp.where(is_defined_B, tally.marked_B, 1.0) - 1.0, nan)
    num_B = moments.num_B + 1.0
    change_B = return_B - moments.mean_B
    mean_B = moments.mean_B + change_B / num_B
    below_B = xp.clip(return_B - target, None, 0.0)
    moments = moments._replace(
        num_B=num_B,
        mean_B=mean_B,
        square_B=moments.square_B + change_B * (return_B - mean_B),
        shortfall_B=moments.shortfall_B + below_B * below_B,
    )
    return tally._replace(moments=moments, marked_B=moments.final_B)


def _add_fills(xp: Any, tally: Tally, fills: Fills, multiplier_N: Array | None) -> Tally:
    """Book one phase's fills: money into the open trades, a closed trade where a position ends or changes its side."""
    flow_BN, is_over_BN, profit_BN = settle_trades(xp, tally.flow_BN, fills, multiplier_N)
    moments = tally.moments._replace(
        trades_B=tally.moments.trades_B + (is_over_BN * 1.0).sum(-1),
        wins_B=tally.moments.wins_B + ((is_over_BN & (profit_BN > 0)) * 1.0).sum(-1),
    )
    return tally._replace(moments=moments, flow_BN=flow_BN)


class Settled(NamedTuple):
    """Trades after the fills of one phase, all ``[B, N]``.

    Args:
        flow_BN: Money that the open trades have brought so far; 0 when flat.
        is_over_BN: bool, a trade ended.
        profit_BN: Its net P&L; without meaning elsewhere.
    """

    flow_BN: Array
    is_over_BN: Array
    profit_BN: Array


def settle_trades(xp: Any, flow_BN: Array, fills: Fills, multiplier_N: Array | None) -> Settled:
    """Book one phase's fills into the open trades.

    A change of side ends a trade and begins another; its fee is shared by quantity. A roll ends none.

    Args:
        xp: The module ``numpy`` or ``torch``.
        flow_BN: Money that each open trade has brought before (negative: cost); carry is booked already.
        fills: The fills.
        multiplier_N: Money per price unit and contract; None: 1.
    """
    quantity_BN, after_BN = fills.quantity_BN, fills.shares_BN
    is_fill_BN = quantity_BN != 0
    price_BN = xp.where(is_fill_BN, fills.price_BN, 0.0)
    if multiplier_N is not None:
        price_BN = price_BN * multiplier_N
    held_BN = after_BN - quantity_BN
    is_over_BN = is_fill_BN & (held_BN != 0) & (xp.sign(after_BN) != xp.sign(held_BN))
    is_over_BN = is_over_BN & (fills.reason_BN != int(Reason.ROLL))
    is_turn_BN = is_over_BN & (after_BN != 0)
    part_BN = xp.where(is_turn_BN, held_BN / xp.where(is_turn_BN, -quantity_BN, 1.0), 1.0)
    traded_BN = xp.where(is_over_BN, -held_BN, quantity_BN)
    profit_BN = flow_BN - traded_BN * price_BN - fills.fee_BN * part_BN
    opened_BN = -after_BN * price_BN - fills.fee_BN * (1.0 - part_BN)
    kept_BN = xp.where(is_over_BN, xp.where(is_turn_BN, opened_BN, 0.0), profit_BN)
    return Settled(kept_BN, is_over_BN, profit_BN)
