"""Figures against a benchmark: beta, alpha, correlation, tracking error, information ratio (design §5).

Legend: n simple returns of the account and of the benchmark over the same periods.
"""

import math

import numpy as np

from tradewright.metrics.history import Float
from tradewright.metrics.returns import NOISE


def beta(returns_n: Float, benchmark_n: Float) -> float:
    """Return ``cov(r, b) / var(b)``, both with ddof 1.

    Args:
        returns_n: Simple returns of the account, fractions.
        benchmark_n: Simple returns of the benchmark over the same periods.

    Returns:
        Number; NaN with fewer than two returns, an undefined one, or a benchmark without dispersion.

    Raises:
        ValueError: The two series differ in length.

    Source:
        Sharpe (1964), Capital Asset Prices, Journal of Finance 19(3).
    """
    _check_lengths(returns_n, benchmark_n)
    if len(returns_n) < 2:
        return math.nan
    centred = benchmark_n - np.mean(benchmark_n)
    variance = float(np.mean(centred * centred))
    if not variance > NOISE * NOISE:
        return math.nan
    return float(np.mean((returns_n - np.mean(returns_n)) * centred)) / variance


def alpha(returns_n: Float, benchmark_n: Float, periods_per_year: float, risk_free: float = 0.0) -> float:
    """Return Jensen's alpha, compounded: ``(1 + mean(r - rf/A) - beta * mean(b - rf/A)) ** A - 1``.

    Args:
        returns_n: Simple returns of the account, fractions.
        benchmark_n: Simple returns of the benchmark over the same periods.
        periods_per_year: A.
        risk_free: rf, annual fraction.

    Returns:
        Fraction per year; NaN where beta is, or when the base of the power is not above zero.

    Raises:
        ValueError: The two series differ in length.

    Source:
        Jensen (1968), The Performance of Mutual Funds, Journal of Finance 23(2); compounded as in empyrical.
    """
    slope = beta(returns_n, benchmark_n)
    if math.isnan(slope):
        return math.nan
    per_period = risk_free / periods_per_year
    base = 1.0 + float(np.mean(returns_n - per_period)) - slope * float(np.mean(benchmark_n - per_period))
    return float(base**periods_per_year - 1.0) if base > 0 else math.nan


def correlation(returns_n: Float, benchmark_n: Float) -> float:
    """Return Pearson's correlation of the two series.

    Args:
        returns_n: Simple returns of the account, fractions.
        benchmark_n: Simple returns of the benchmark over the same periods.

    Returns:
        Number in [-1, 1] up to rounding; NaN where either series is undefined or has no dispersion.

    Raises:
        ValueError: The two series differ in length.
    """
    slope = beta(returns_n, benchmark_n)
    deviation = float(np.std(returns_n)) if len(returns_n) else math.nan
    if not deviation > NOISE:
        return math.nan
    return slope * float(np.std(benchmark_n)) / deviation


def tracking_error(returns_n: Float, benchmark_n: Float, periods_per_year: float) -> float:
    """Return ``std(r - b, ddof 1) * sqrt(A)``.

    Args:
        returns_n: Simple returns of the account, fractions.
        benchmark_n: Simple returns of the benchmark over the same periods.
        periods_per_year: A.

    Returns:
        Fraction per year; NaN with fewer than two returns or an undefined one.

    Raises:
        ValueError: The two series differ in length.
    """
    _check_lengths(returns_n, benchmark_n)
    if len(returns_n) < 2:
        return math.nan
    return float(np.std(returns_n - benchmark_n, ddof=1)) * math.sqrt(periods_per_year)


def information_ratio(returns_n: Float, benchmark_n: Float, periods_per_year: float) -> float:
    """Return ``mean(r - b) * A / tracking_error``.

    Args:
        returns_n: Simple returns of the account, fractions.
        benchmark_n: Simple returns of the benchmark over the same periods.
        periods_per_year: A.

    Returns:
        Annualised ratio; NaN with fewer than two returns, an undefined one, or no tracking error.

    Raises:
        ValueError: The two series differ in length.

    Source:
        Grinold and Kahn (1999), Active Portfolio Management, chapter 5.
    """
    error = tracking_error(returns_n, benchmark_n, periods_per_year)
    if not error > NOISE * math.sqrt(periods_per_year):
        return math.nan
    return float(np.mean(returns_n - benchmark_n)) * periods_per_year / error


def _check_lengths(returns_n: Float, benchmark_n: Float) -> None:
    if len(returns_n) != len(benchmark_n):
        raise ValueError(f"benchmark_n must hold one return per period ({len(returns_n)}), held {len(benchmark_n)}")
