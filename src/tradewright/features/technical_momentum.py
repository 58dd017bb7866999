"""Momentum indicators of ``features=technical58``: how far and how one-sidedly prices have moved.

All are free of the price's scale. Windows count bars; the newest is the current one.
Legend: T bars, N instruments; ``P`` is the typical price, ``C`` the close, ``r`` the log return.
"""

import numpy as np
import numpy.typing as npt

from tradewright.features.filled_bars import FilledBars
from tradewright.features.windows import ema, lag, ratio, wilder, window_max, window_mean, window_min, window_sum

Float = npt.NDArray[np.float64]

CCI_UNIT = 0.015
"""Lambert's constant, which puts most values of the commodity channel index between -100 and 100 (here -1 and 1)."""


def momentum_indicators(bars: FilledBars) -> dict[str, Float]:
    """Return the fourteen momentum indicators by name."""
    rsi_14 = relative_strength(bars, 14)
    stochastic = stochastic_k(bars, 14)
    return {
        **{f"return_{n}": log_return(bars, n) for n in (1, 5, 10, 20, 60)},
        "rsi_7": relative_strength(bars, 7),
        "rsi_14": rsi_14,
        "stochastic_rsi_14": place_in_range(rsi_14, rsi_14, rsi_14, 14),
        "stochastic_k_14": stochastic,
        "stochastic_d_14": window_mean(stochastic, 3),
        "cci_20": commodity_channel(bars, 20),
        "cmo_14": chande_momentum(bars, 14),
        "tsi_25_13": true_strength(bars, 25, 13),
        "ultimate_7_14_28": ultimate_oscillator(bars),
    }


def log_return(bars: FilledBars, window: int) -> Float:
    """ln(C_t / C_{t-window})."""
    return bars.log_close_TN - lag(bars.log_close_TN, window)


def relative_strength(bars: FilledBars, period: int) -> Float:
    """Relative strength index, a fraction: W(up) / (W(up) + W(down)), W Wilder's average; 0.5 without any move.

    Source: Wilder (1978), New Concepts in Technical Trading Systems.
    """
    up_TN = wilder(np.maximum(bars.change_TN, 0.0), period, bars.memory)
    down_TN = wilder(np.maximum(-bars.change_TN, 0.0), period, bars.memory)
    return ratio(up_TN, up_TN + down_TN, 0.5)


def place_in_range(x_TN: Float, high_TN: Float, low_TN: Float, window: int) -> Float:
    """(x - lowest low) / (highest high - lowest low) of the window, 0 to 1; 0.5 where they are equal.

    With highs and lows it is Lane's stochastic and the place in a Donchian channel, with the relative strength index
    for all three the stochastic RSI. Source: Chande & Kroll (1994), The New Technical Trader (stochastic RSI).
    """
    lowest_TN = window_min(low_TN, window)
    return ratio(x_TN - lowest_TN, window_max(high_TN, window) - lowest_TN, 0.5)


def stochastic_k(bars: FilledBars, window: int) -> Float:
    """Lane's %K as a fraction: the close's place between the lowest low and highest high; %D is its 3-bar mean.

    Source: Lane (1984), Lane's Stochastics, Technical Analysis of Stocks & Commodities 2.
    """
    return place_in_range(bars.close_TN, bars.high_TN, bars.low_TN, window)


def commodity_channel(bars: FilledBars, window: int) -> Float:
    """Commodity channel index / 100: (P - mean P) / (1.5 * mean |P_i - mean P|); 0 without any deviation.

    Source: Lambert (1980), Commodity Channel Index, Commodities Magazine.
    """
    mean_TN = window_mean(bars.typical_TN, window)
    deviation_TN = np.zeros_like(mean_TN)
    for age in range(window):
        deviation_TN += np.abs(lag(bars.typical_TN, age) - mean_TN)
    return ratio(bars.typical_TN - mean_TN, deviation_TN * (100.0 * CCI_UNIT / window), 0.0)


def chande_momentum(bars: FilledBars, window: int) -> Float:
    """(sum of ups - sum of downs) / (sum of ups + sum of downs), -1 to 1; 0 without any move.

    Source: Chande & Kroll (1994), The New Technical Trader.
    """
    return ratio(window_sum(bars.change_TN, window), window_sum(np.abs(bars.change_TN), window), 0.0)


def true_strength(bars: FilledBars, slow: int, fast: int) -> Float:
    """EMA_fast(EMA_slow(C_t - C_{t-1})) / EMA_fast(EMA_slow(|C_t - C_{t-1}|)), -1 to 1; 0 without any move.

    Source: Blau (1991), True Strength Index, Technical Analysis of Stocks & Commodities 9.
    """
    net_TN = ema(ema(bars.change_TN, slow, bars.memory), fast, bars.memory)
    gross_TN = ema(ema(np.abs(bars.change_TN), slow, bars.memory), fast, bars.memory)
    return ratio(net_TN, gross_TN, 0.0)


def ultimate_oscillator(bars: FilledBars) -> Float:
    """(4 A_7 + 2 A_14 + A_28) / 7 with A_n = sum of (C - true low) / sum of true ranges; 0.5 where there is no range.

    Source: Williams (1985), The Ultimate Oscillator, Technical Analysis of Stocks & Commodities 3.
    """
    pressure_TN = bars.close_TN - bars.true_low_TN
    share_7, share_14, share_28 = (
        ratio(window_sum(pressure_TN, n), window_sum(bars.true_range_TN, n), 0.5) for n in (7, 14, 28)
    )
    return (4.0 * share_7 + 2.0 * share_14 + share_28) / 7.0
