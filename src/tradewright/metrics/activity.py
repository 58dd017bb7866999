"""How much an account held and traded: exposure, time in the market, turnover, rejected orders.

Legend: T bars, N instruments.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from tradewright.metrics.history import FillRecord, Float


def exposure(weights_TN: Float) -> float:
    """Return the mean gross weight ``mean_t sum_n |w_tn|``.

    Args:
        weights_TN: Signed fraction of equity held at each close.

    Returns:
        Fraction, above 1 for leverage; NaN without a bar or with an undefined weight.
    """
    return float(np.mean(np.sum(np.abs(weights_TN), axis=1))) if len(weights_TN) else math.nan


def time_in_market(weights_TN: Float) -> float:
    """Return the fraction of closes with any position; NaN without a bar.

    Args:
        weights_TN: Signed fraction of equity held at each close.
    """
    return float(np.mean(np.any(weights_TN != 0, axis=1))) if len(weights_TN) else math.nan


def turnover(
    fills: Iterable[FillRecord],
    equity_T: Float,
    years: float,
    multipliers: Mapping[str, float] | None = None,
) -> float:
    """Return the traded notional per year as a multiple of equity.

    ``sum over fills of |quantity| * price * multiplier / equity at the close before the fill, divided by years``.
    A switch from fully invested to cash counts 1, and back again another 1.

    Args:
        fills: Fills and rejections (``quantity`` 0); ``bar`` indexes ``equity_T``.
        equity_T: Equity at the close, money.
        years: Length of the range.
        multipliers: Money per price unit and contract by symbol; a symbol that is absent has 1.

    Returns:
        Multiple of equity per year; NaN if ``years`` is not above zero or an order filled without equity.
    """
    if not years > 0:
        return math.nan
    scale = multipliers or {}
    total = 0.0
    for fill in fills:
        if fill.quantity == 0:
            continue
        equity = float(equity_T[max(fill.bar - 1, 0)])
        if not equity > 0:
            return math.nan
        total += abs(fill.quantity) * fill.price * scale.get(fill.symbol, 1.0) / equity
    return total / years


def num_fills(fills: Iterable[FillRecord]) -> float:
    """Return the number of executed orders."""
    return float(sum(fill.quantity != 0 for fill in fills))


def num_rejections(fills: Iterable[FillRecord]) -> float:
    """Return the number of rejected orders."""
    return float(sum(fill.quantity == 0 for fill in fills))
