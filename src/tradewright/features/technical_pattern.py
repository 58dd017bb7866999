"""Price-pattern and calendar indicators of ``features=technical58``: the shape of the bar and when it traded.

Legend: T bars, N instruments; ``O``, ``H``, ``L``, ``C`` are the prices.
"""

import numpy as np
import numpy.typing as npt

from tradewright.data.timeframe import DAY_S
from tradewright.features.filled_bars import FilledBars
from tradewright.features.windows import lag

Float = npt.NDArray[np.float64]

WEEK_DAYS = 7
MONDAY = np.datetime64("1970-01-05", "D")


def pattern_indicators(bars: FilledBars) -> dict[str, Float]:
    """Return the six indicators of the bar's shape by name."""
    return {
        "gap": gap(bars),
        "body": body(bars),
        "upper_shadow": upper_shadow(bars),
        "lower_shadow": lower_shadow(bars),
        "close_location": bars.close_location_TN,
        "engulfing": engulfing(bars),
    }


def gap(bars: FilledBars) -> Float:
    """ln(O_t / C_{t-1})."""
    return np.log(bars.open_TN / bars.previous_close_TN)


def body(bars: FilledBars) -> Float:
    """ln(C / O)."""
    return np.log(bars.close_TN / bars.open_TN)


def upper_shadow(bars: FilledBars) -> Float:
    """ln(H / max(O, C)), >= 0."""
    return np.log(bars.high_TN / np.maximum(bars.open_TN, bars.close_TN))


def lower_shadow(bars: FilledBars) -> Float:
    """ln(min(O, C) / L), >= 0."""
    return np.log(np.minimum(bars.open_TN, bars.close_TN) / bars.low_TN)


def engulfing(bars: FilledBars) -> Float:
    """1 where a rising body covers the falling body before it, -1 where a falling one covers a rising one, else 0.

    Rising: C_{t-1} < O_{t-1}, C_t > O_t, O_t <= C_{t-1} and C_t >= O_{t-1}; falling: the mirror image.
    Source: Nison (1991), Japanese Candlestick Charting Techniques.
    """
    open_TN, close_TN = bars.open_TN, bars.close_TN
    old_open_TN, old_close_TN = lag(open_TN, 1), bars.previous_close_TN
    is_bullish_TN = (old_close_TN < old_open_TN) & (close_TN > open_TN)
    is_bullish_TN &= (open_TN <= old_close_TN) & (close_TN >= old_open_TN)
    is_bearish_TN = (old_close_TN > old_open_TN) & (close_TN < open_TN)
    is_bearish_TN &= (open_TN >= old_close_TN) & (close_TN <= old_open_TN)
    return is_bullish_TN * 1.0 - is_bearish_TN * 1.0 + bars.change_TN * 0.0


def calendar_indicators(bars: FilledBars) -> dict[str, Float]:
    """Return the four calendar indicators by name: sine and cosine of the place of the bar's open in day and week.

    Angles are 2 pi seconds since midnight UTC / 86,400 and 2 pi weekday / 7 (Monday: 0). Two coordinates make 23:59 a
    neighbour of 00:00. Of daily bars the place in the day is constant and scales to 0.
    """
    day_T = bars.ts_T.astype("datetime64[D]")
    second_T = (bars.ts_T - day_T) / np.timedelta64(1, "s")
    weekday_T = (day_T - MONDAY) / np.timedelta64(1, "D") % WEEK_DAYS
    angles = {"time_of_day": second_T / DAY_S, "weekday": weekday_T / WEEK_DAYS}
    table = {}
    for name, share_T in angles.items():
        for wave, function in (("sin", np.sin), ("cos", np.cos)):
            table[f"{name}_{wave}"] = np.broadcast_to(
                function(2 * np.pi * share_T)[:, None], bars.close_TN.shape
            ).copy()
    return table
