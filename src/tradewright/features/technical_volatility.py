"""Volatility indicators of ``features=technical58``: how wide prices swing, and where in their bands they stand.

All are free of the price's scale. Windows count bars; the newest is the current one.
Legend: T bars, N instruments; ``O``, ``H``, ``L``, ``C`` are the prices, ``r`` the log return of the close.
"""

import numpy as np
import numpy.typing as npt

from tradewright.features.filled_bars import FilledBars
from tradewright.features.technical_momentum import place_in_range
from tradewright.features.windows import (
    ema,
    ratio,
    wilder,
    window_max,
    window_mean,
    window_moments,
    window_std,
)

Float = npt.NDArray[np.float64]

BAND_DEVIATIONS = 2.0
"""Half the width of Bollinger bands in deviations, and of Keltner channels in average true ranges."""


def volatility_indicators(bars: FilledBars) -> dict[str, Float]:
    """Return the twelve volatility indicators by name."""
    place_TN, width_TN = bollinger(bars, 20)
    return {
        **{f"volatility_{n}": window_std(bars.return_TN, n) for n in (10, 20, 60)},
        "downside_20": downside_deviation(bars, 20),
        "atr_14": average_true_range(bars, 14) / bars.close_TN,
        "parkinson_20": parkinson(bars, 20),
        "garman_klass_20": garman_klass(bars, 20),
        "bollinger_place_20": place_TN,
        "bollinger_width_20": width_TN,
        "keltner_20": keltner(bars, 20, 14),
        "donchian_20": place_in_range(bars.close_TN, bars.high_TN, bars.low_TN, 20),
        "ulcer_14": ulcer(bars, 14),
    }


def downside_deviation(bars: FilledBars, window: int) -> Float:
    """sqrt(mean of min(r, 0)^2), as in the Sortino ratio with a target of 0."""
    below_TN = np.minimum(bars.return_TN, 0.0)
    return np.sqrt(window_mean(below_TN * below_TN, window))


def average_true_range(bars: FilledBars, period: int) -> Float:
    """Wilder's average of the true range, in price units; the indicator divides it by the close.

    Source: Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return wilder(bars.true_range_TN, period, bars.memory)


def parkinson(bars: FilledBars, window: int) -> Float:
    """Volatility per bar from the ranges: sqrt(mean ln(H/L)^2 / (4 ln 2)).

    Source: Parkinson (1980), The Extreme Value Method, Journal of Business 53.
    """
    range_TN = np.log(bars.high_TN / bars.low_TN)
    return np.sqrt(window_mean(range_TN * range_TN, window) / (4.0 * np.log(2.0)))


def garman_klass(bars: FilledBars, window: int) -> Float:
    """Volatility per bar from all four prices: sqrt(mean(ln(H/L)^2 / 2 - (2 ln 2 - 1) ln(C/O)^2)).

    Source: Garman & Klass (1980), On the Estimation of Security Price Volatilities, Journal of Business 53.
    """
    range_TN, body_TN = np.log(bars.high_TN / bars.low_TN), np.log(bars.close_TN / bars.open_TN)
    variance_TN = 0.5 * range_TN * range_TN - (2.0 * np.log(2.0) - 1.0) * body_TN * body_TN
    return np.sqrt(window_mean(variance_TN, window))


def bollinger(bars: FilledBars, window: int) -> tuple[Float, Float]:
    """Place of the close between mean - 2 deviations (0) and mean + 2 deviations (1), and (upper - lower) / mean.

    The place is 0.5 for equal closes; deviations have ddof 0. Source: Bollinger (2001), Bollinger on Bollinger Bands.
    """
    mean_TN, square_TN = window_moments(bars.close_TN, window)
    width_TN = 2.0 * BAND_DEVIATIONS * np.sqrt(square_TN / window)
    return 0.5 + ratio(bars.close_TN - mean_TN, width_TN, 0.0), width_TN / mean_TN


def keltner(bars: FilledBars, span: int, period: int) -> Float:
    """(C - EMA(C)) / (2 ATR): 1 at the upper and -1 at the lower band of a Keltner channel; 0 where there is no range.

    Source: Chester W. Keltner (1960), How to Make Money in Commodities, with Raschke's exponential mean and true range.
    """
    half_TN = BAND_DEVIATIONS * average_true_range(bars, period)
    return ratio(bars.close_TN - ema(bars.close_TN, span, bars.memory), half_TN, 0.0)


def ulcer(bars: FilledBars, window: int) -> Float:
    """Ulcer index: root mean square of C / (highest of the last ``window`` closes) - 1 over ``window`` bars.

    Source: Martin & McCann (1989), The Investor's Guide to Fidelity Funds.
    """
    drawdown_TN = bars.close_TN / window_max(bars.close_TN, window) - 1.0
    return np.sqrt(window_mean(drawdown_TN * drawdown_TN, window))
