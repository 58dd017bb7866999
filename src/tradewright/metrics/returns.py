"""Returns and growth of an equity curve; the figures of design §5 that need nothing else.

Legend: T marks of equity (the first is the starting value), n = T - 1 returns. All arithmetic is float64.
Source of every convention: empyrical-reloaded 0.7 (its figures on the NASDAQ series are a test), unless said otherwise.
"""

import math

import numpy as np

from tradewright.metrics.history import Float

NOISE = 1e-14
"""Dispersion at or below this is rounding of a constant series: a simple return near 0 is exact to about 2e-16."""


def simple_returns(equity_T: Float) -> Float:
    """Return ``r_t = equity_t / equity_{t-1} - 1``, one per mark after the first.

    Args:
        equity_T: Close-marked equity, money; the first mark is the starting value.

    Returns:
        float64 fractions, shape (T - 1,); NaN wherever the earlier equity is not above zero (a bankrupt account).
    """
    previous = equity_T[:-1]
    out = np.full(max(len(equity_T) - 1, 0), np.nan)
    np.divide(equity_T[1:], previous, out=out, where=previous > 0)
    return out - 1.0


def total_return(equity_T: Float) -> float:
    """Return ``equity_end / equity_start - 1``.

    Args:
        equity_T: Equity, money.

    Returns:
        Fraction; below -1 for an account that ended in debt; NaN without a mark or with a start not above zero.
    """
    if len(equity_T) == 0 or not equity_T[0] > 0:
        return math.nan
    return float(equity_T[-1] / equity_T[0] - 1.0)


def cagr(total: float, num_returns: int, periods_per_year: float) -> float:
    """Return the compound annual growth rate ``(1 + R) ** (A / n) - 1``.

    Args:
        total: Total return R, fraction.
        num_returns: n, the number of periods R was earned in.
        periods_per_year: A.

    Returns:
        Fraction per year; -1 for a total loss; NaN without a period or when more than everything was lost.
    """
    if num_returns < 1 or not total >= -1.0:
        return math.nan
    try:
        return float((1.0 + total) ** (periods_per_year / num_returns) - 1.0)
    except OverflowError:
        return math.nan


def volatility(returns_n: Float, periods_per_year: float) -> float:
    """Return the annualised volatility ``std(r, ddof 1) * sqrt(A)``.

    Args:
        returns_n: Simple returns, fractions.
        periods_per_year: A.

    Returns:
        Fraction per year; NaN with fewer than two returns or an undefined one.
    """
    if len(returns_n) < 2:
        return math.nan
    return float(np.std(returns_n, ddof=1) * math.sqrt(periods_per_year))


def downside_deviation(returns_n: Float, periods_per_year: float, target: float = 0.0) -> float:
    """Return ``sqrt(mean(min(r - m, 0) ** 2)) * sqrt(A)``, the mean taken over *all* n returns.

    Args:
        returns_n: Simple returns, fractions.
        periods_per_year: A.
        target: m, the least acceptable return per period, fraction.

    Returns:
        Fraction per year; NaN without a return or with an undefined one.
    """
    if len(returns_n) == 0:
        return math.nan
    shortfall = np.minimum(returns_n - target, 0.0)
    return float(math.sqrt(float(np.mean(shortfall * shortfall))) * math.sqrt(periods_per_year))


def best_return(returns_n: Float) -> float:
    """Return ``max(r)``, fraction; NaN without a return or with an undefined one."""
    return float(np.max(returns_n)) if len(returns_n) else math.nan


def worst_return(returns_n: Float) -> float:
    """Return ``min(r)``, fraction; NaN without a return or with an undefined one."""
    return float(np.min(returns_n)) if len(returns_n) else math.nan


def positive_share(returns_n: Float) -> float:
    """Return the fraction of returns above zero; NaN without a return or with an undefined one."""
    if len(returns_n) == 0 or bool(np.isnan(returns_n).any()):
        return math.nan
    return float(np.mean(returns_n > 0))
