"""Volume indicators of ``features=technical58``: how much was traded, and with which moves.

All are free of the scale of price, and of that of volume where it is far above one unit (ln(1 + volume)); they are 0
(money flow: 0.5) for instruments without volume.
Legend: T bars, N instruments; ``V`` is the volume, ``C`` the close, ``P`` the typical price, ``r`` the log return.
"""

import numpy as np
import numpy.typing as npt

from tradewright.features.filled_bars import FilledBars
from tradewright.features.windows import ema, lag, ratio, window_mean, window_sum

Float = npt.NDArray[np.float64]


def volume_indicators(bars: FilledBars) -> dict[str, Float]:
    """Return the seven volume indicators by name."""
    return {
        "volume_change_1": volume_change(bars),
        "volume_ratio_20": volume_ratio(bars, 20),
        "obv_20": on_balance(bars, 20),
        "money_flow_14": money_flow(bars, 14),
        "chaikin_20": chaikin(bars, 20),
        "force_13": force(bars, 13),
        "vwap_distance_20": vwap_distance(bars, 20),
    }


def volume_change(bars: FilledBars) -> Float:
    """ln((1 + V_t) / (1 + V_{t-1}))."""
    log_volume_TN = np.log1p(bars.volume_TN)
    return log_volume_TN - lag(log_volume_TN, 1)


def volume_ratio(bars: FilledBars, window: int) -> Float:
    """ln((1 + V) / (1 + mean V))."""
    return np.log1p(bars.volume_TN) - np.log1p(window_mean(bars.volume_TN, window))


def on_balance(bars: FilledBars, window: int) -> Float:
    """On-balance volume gained in the window over the volume of the window, -1 to 1: sum sign(C_t - C_{t-1}) V / sum V.

    Source: Granville (1963), New Key to Stock Market Profits; his running total would depend on where bars begin.
    """
    signed_TN = np.sign(bars.change_TN) * bars.volume_TN
    return ratio(window_sum(signed_TN, window), window_sum(bars.volume_TN, window), 0.0)


def money_flow(bars: FilledBars, window: int) -> Float:
    """Money flow index as a fraction: P V of the bars whose P rose over that of all whose P moved; 0.5 without any.

    Source: Quong & Soudack (1989), Volume-Weighted RSI: Money Flow, Technical Analysis of Stocks & Commodities 7.
    """
    move_TN, money_TN = bars.typical_TN - lag(bars.typical_TN, 1), bars.typical_TN * bars.volume_TN
    undefined_TN = move_TN * 0.0
    up_TN = window_sum(money_TN * (move_TN > 0) + undefined_TN, window)
    return ratio(up_TN, up_TN + window_sum(money_TN * (move_TN < 0) + undefined_TN, window), 0.5)


def chaikin(bars: FilledBars, window: int) -> Float:
    """Chaikin money flow, -1 to 1: sum of V times the close's location in its bar (-1 low, 1 high) over sum of V.

    Source: Achelis (2000), Technical Analysis from A to Z.
    """
    flow_TN = window_sum(bars.close_location_TN * bars.volume_TN, window)
    return ratio(flow_TN, window_sum(bars.volume_TN, window), 0.0)


def force(bars: FilledBars, span: int) -> Float:
    """Force index over its volume: EMA(r V) / EMA(V), the return per bar weighted with volume.

    Source: Elder (1993), Trading for a Living, whose r is a price difference and whose V keeps its unit.
    """
    push_TN = ema(bars.return_TN * bars.volume_TN, span, bars.memory)
    return ratio(push_TN, ema(bars.volume_TN, span, bars.memory), 0.0)


def vwap_distance(bars: FilledBars, window: int) -> Float:
    """ln(C / (sum P V / sum V)); 0 where the window has no volume."""
    total_TN = window_sum(bars.volume_TN, window)
    money_TN = window_sum(bars.typical_TN * bars.volume_TN, window)
    return np.where(total_TN == 0, bars.log_close_TN * 0.0, bars.log_close_TN - np.log(ratio(money_TN, total_TN, 1.0)))
