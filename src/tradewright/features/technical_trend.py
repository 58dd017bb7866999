"""Trend indicators of ``features=technical58``: direction and steadiness of the movement.

All are free of the price's scale. Windows count bars; the newest is the current one.
Legend: T bars, N instruments; ``C`` is the close, ``H`` the high, ``L`` the low, ``TR`` the true range.
"""

import numpy as np
import numpy.typing as npt

from tradewright.features.filled_bars import FilledBars
from tradewright.features.windows import bars_since_max, ema, lag, ratio, wilder, window_mean, window_sum, window_trend

Float = npt.NDArray[np.float64]


def trend_indicators(bars: FilledBars) -> dict[str, Float]:
    """Return the fifteen trend indicators by name."""
    macd_TN, histogram_TN = convergence(bars, 12, 26, 9)
    plus_TN, minus_TN, index_TN = directional_movement(bars, 14)
    slope_TN, fit_TN = regression(bars, 20)
    return {
        **{f"sma_distance_{n}": sma_distance(bars, n) for n in (10, 20, 50)},
        **{f"ema_distance_{n}": ema_distance(bars, n) for n in (12, 26)},
        "macd_12_26": macd_TN,
        "macd_histogram_9": histogram_TN,
        "di_plus_14": plus_TN,
        "di_minus_14": minus_TN,
        "adx_14": index_TN,
        "aroon_25": aroon(bars, 25),
        "slope_20": slope_TN,
        "r_squared_20": fit_TN,
        "vortex_14": vortex(bars, 14),
        "efficiency_10": efficiency(bars, 10),
    }


def sma_distance(bars: FilledBars, window: int) -> Float:
    """ln(C / mean of the last C)."""
    return bars.log_close_TN - np.log(window_mean(bars.close_TN, window))


def ema_distance(bars: FilledBars, span: int) -> Float:
    """ln(C / EMA(C))."""
    return bars.log_close_TN - np.log(ema(bars.close_TN, span, bars.memory))


def convergence(bars: FilledBars, fast: int, slow: int, signal: int) -> tuple[Float, Float]:
    """Moving average convergence divergence over the close: M / C with M = EMA_fast(C) - EMA_slow(C), and its histogram
    (M - EMA_signal(M)) / C.

    Source: Appel (2005), Technical Analysis: Power Tools for Active Investors.
    """
    macd_TN = ema(bars.close_TN, fast, bars.memory) - ema(bars.close_TN, slow, bars.memory)
    histogram_TN = macd_TN - ema(macd_TN, signal, bars.memory)
    return macd_TN / bars.close_TN, histogram_TN / bars.close_TN


def directional_movement(bars: FilledBars, period: int) -> tuple[Float, Float, Float]:
    """+DI, -DI and ADX, fractions.

    +DM is the rise of the high where it is positive and above the fall of the low, else 0; -DM the other way round.
    DI = W(DM) / W(TR) with W Wilder's average; ADX = W(|+DI - -DI| / (+DI + -DI)). 0 where a denominator is.
    Source: Wilder (1978), New Concepts in Technical Trading Systems.
    """
    rise_TN, fall_TN = bars.high_TN - lag(bars.high_TN, 1), lag(bars.low_TN, 1) - bars.low_TN
    plus_TN = np.maximum(rise_TN, 0.0) * (rise_TN > fall_TN)
    minus_TN = np.maximum(fall_TN, 0.0) * (fall_TN > rise_TN)
    range_TN = wilder(bars.true_range_TN, period, bars.memory)
    plus_TN, minus_TN = (ratio(wilder(x_TN, period, bars.memory), range_TN, 0.0) for x_TN in (plus_TN, minus_TN))
    index_TN = ratio(np.abs(plus_TN - minus_TN), plus_TN + minus_TN, 0.0)
    return plus_TN, minus_TN, wilder(index_TN, period, bars.memory)


def aroon(bars: FilledBars, window: int) -> Float:
    """Aroon oscillator, -1 to 1: (bars since the lowest low - bars since the highest high) / window.

    The extremes are those of the current and the ``window`` bars before it; the newest of equal ones counts.
    Source: Chande (1995), A Time Price Oscillator, Technical Analysis of Stocks & Commodities 13.
    """
    since_high_TN = bars_since_max(bars.high_TN, window + 1)
    return (bars_since_max(-bars.low_TN, window + 1) - since_high_TN) / window


def regression(bars: FilledBars, window: int) -> tuple[Float, Float]:
    """Slope per bar of the least-squares line through ln C, and its R squared (0 for equal closes)."""
    return window_trend(bars.log_close_TN, window)


def vortex(bars: FilledBars, window: int) -> Float:
    """VI+ - VI- = (sum |H_t - L_{t-1}| - sum |L_t - H_{t-1}|) / sum TR; 0 where there is no range.

    Source: Botes & Siepman (2010), The Vortex Indicator, Technical Analysis of Stocks & Commodities 28.
    """
    up_TN = np.abs(bars.high_TN - lag(bars.low_TN, 1))
    down_TN = np.abs(bars.low_TN - lag(bars.high_TN, 1))
    return ratio(window_sum(up_TN - down_TN, window), window_sum(bars.true_range_TN, window), 0.0)


def efficiency(bars: FilledBars, window: int) -> Float:
    """Efficiency ratio, 0 to 1: |C_t - C_{t-window}| / sum of |C_i - C_{i-1}|; 0 without any move.

    Source: Kaufman (1995), Smarter Trading.
    """
    path_TN = window_sum(np.abs(bars.change_TN), window)
    return ratio(np.abs(bars.close_TN - lag(bars.close_TN, window)), path_TN, 0.0)
