"""Reward-to-risk ratios of design §5: Sharpe, its standard error, Sortino, Calmar and the rolling Sharpe ratio.

Legend: n simple returns, W returns of one rolling window. A zero denominator makes a ratio undefined: NaN, never inf.
"""

import math

import numpy as np

from tradewright.metrics.history import Float
from tradewright.metrics.returns import NOISE, downside_deviation


def sharpe(returns_n: Float, periods_per_year: float, risk_free: float = 0.0) -> float:
    """Return the annualised Sharpe ratio ``mean(r - rf / A) / std(r, ddof 1) * sqrt(A)``.

    Args:
        returns_n: Simple returns, fractions.
        periods_per_year: A.
        risk_free: rf, annual fraction.

    Returns:
        Ratio; NaN with fewer than two returns, an undefined one, or returns without dispersion.

    Source:
        Sharpe (1994), The Sharpe Ratio, Journal of Portfolio Management 21(1).
    """
    if len(returns_n) < 2:
        return math.nan
    excess_n = returns_n - risk_free / periods_per_year
    deviation = float(np.std(excess_n, ddof=1))
    if not deviation > NOISE:
        return math.nan
    return float(np.mean(excess_n)) / deviation * math.sqrt(periods_per_year)


def sharpe_standard_error(annual_sharpe: float, num_returns: int, periods_per_year: float) -> float:
    """Return the standard error of an annual Sharpe ratio under independent returns, ``sqrt(A (1 + S**2 / 2) / n)``.

    S is the ratio per period, ``annual_sharpe / sqrt(A)``.

    Args:
        annual_sharpe: Annualised Sharpe ratio.
        num_returns: n.
        periods_per_year: A.

    Returns:
        Ratio; NaN if the Sharpe ratio is.

    Source:
        Lo (2002), The Statistics of Sharpe Ratios, Financial Analysts Journal 58(4), equation 9.
    """
    if num_returns < 2:
        return math.nan
    per_period = annual_sharpe / math.sqrt(periods_per_year)
    return math.sqrt(periods_per_year * (1.0 + 0.5 * per_period * per_period) / num_returns)


def sortino(returns_n: Float, periods_per_year: float, risk_free: float = 0.0) -> float:
    """Return ``mean(r - rf / A) * A / downside_deviation``, the deviation measured below rf / A over all n returns.

    Args:
        returns_n: Simple returns, fractions.
        periods_per_year: A.
        risk_free: rf, annual fraction.

    Returns:
        Ratio; NaN with fewer than two returns, an undefined one, or none below the target.

    Source:
        Sortino and Price (1994), Performance Measurement in a Downside Risk Framework, Journal of Investing 3(3).
    """
    if len(returns_n) < 2:
        return math.nan
    target = risk_free / periods_per_year
    deviation = downside_deviation(returns_n, periods_per_year, target)
    if not deviation > NOISE * math.sqrt(periods_per_year):
        return math.nan
    return float(np.mean(returns_n - target)) * periods_per_year / deviation


def calmar(growth: float, drawdown: float) -> float:
    """Return ``CAGR / MDD``.

    Args:
        growth: CAGR, fraction per year.
        drawdown: Maximum drawdown, positive fraction.

    Returns:
        Ratio; NaN if either is NaN or there was no drawdown.

    Source:
        Young (1991), Calmar Ratio: A Smoother Tool, Futures 20(1); here over the whole range.
    """
    if not drawdown > 0:
        return math.nan
    return growth / drawdown


def rolling_sharpe(returns_n: Float, window: int, periods_per_year: float, risk_free: float = 0.0) -> Float:
    """Return the Sharpe ratio of the last ``window`` returns at every return.

    Args:
        returns_n: Simple returns, fractions.
        window: W >= 2, in returns.
        periods_per_year: A.
        risk_free: rf, annual fraction.

    Returns:
        Ratios, shape (n,); NaN before the window is full and wherever the window's ratio is undefined.

    Raises:
        ValueError: ``window`` is below 2.
    """
    if window < 2:
        raise ValueError(f"window must be >= 2, was {window}")
    out = np.full(len(returns_n), np.nan)
    if len(returns_n) < window:
        return out
    windows_nW = np.lib.stride_tricks.sliding_window_view(returns_n - risk_free / periods_per_year, window)
    deviation = np.std(windows_nW, axis=1, ddof=1)
    mean = np.mean(windows_nW, axis=1)
    np.divide(mean, deviation, out=out[window - 1 :], where=deviation > NOISE)
    return out * math.sqrt(periods_per_year)
