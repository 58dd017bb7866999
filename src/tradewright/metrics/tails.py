"""Shape and tails of the return distribution: value at risk, its conditional mean, skewness and excess kurtosis.

Legend: n simple returns. Both tail figures are signed: a loss is negative.
"""

import math

import numpy as np

from tradewright.metrics.history import Float
from tradewright.metrics.returns import NOISE


def value_at_risk(returns_n: Float, level: float = 0.95) -> float:
    """Return the historical value at risk: the linear ``1 - level`` quantile of the returns.

    Args:
        returns_n: Simple returns, fractions.
        level: Confidence in (0, 1).

    Returns:
        Signed fraction per period; NaN without a return or with an undefined one.

    Raises:
        ValueError: ``level`` is not in (0, 1).

    Source:
        Hyndman and Fan (1996), Sample Quantiles in Statistical Packages, definition 7.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), was {level}")
    if len(returns_n) == 0 or bool(np.isnan(returns_n).any()):
        return math.nan
    # np.quantile would import masked arrays, a tenth of the time that a whole backtest of a rule takes.
    sorted_n = np.sort(returns_n)
    place = (len(sorted_n) - 1) * (1.0 - level)
    below = int(place)
    above = min(below + 1, len(sorted_n) - 1)
    return float(sorted_n[below] + (place - below) * (sorted_n[above] - sorted_n[below]))


def conditional_value_at_risk(returns_n: Float, level: float = 0.95) -> float:
    """Return the expected shortfall: the mean of the returns at or below the value at risk.

    Args:
        returns_n: Simple returns, fractions.
        level: Confidence in (0, 1).

    Returns:
        Signed fraction per period; NaN without a return or with an undefined one.

    Raises:
        ValueError: ``level`` is not in (0, 1).

    Source:
        Rockafellar and Uryasev (2000), Optimization of Conditional Value-at-Risk, Journal of Risk 2(3).
    """
    threshold = value_at_risk(returns_n, level)
    if math.isnan(threshold):
        return math.nan
    return float(np.mean(returns_n[returns_n <= threshold]))


def skewness(returns_n: Float) -> float:
    """Return ``m3 / m2 ** 1.5`` with population moments (ddof 0).

    Args:
        returns_n: Simple returns, fractions.

    Returns:
        Number; NaN with fewer than three returns, an undefined one, or no dispersion.
    """
    return _standardised_moment(returns_n, order=3)


def excess_kurtosis(returns_n: Float) -> float:
    """Return ``m4 / m2 ** 2 - 3`` with population moments (ddof 0).

    Args:
        returns_n: Simple returns, fractions.

    Returns:
        Number, 0 for a normal distribution; NaN with fewer than three returns, an undefined one, or no dispersion.
    """
    return _standardised_moment(returns_n, order=4) - 3.0


def _standardised_moment(returns_n: Float, order: int) -> float:
    if len(returns_n) < 3:
        return math.nan
    deviation = float(np.std(returns_n))
    if not deviation > NOISE:
        return math.nan
    return float(np.mean(((returns_n - np.mean(returns_n)) / deviation) ** order))
