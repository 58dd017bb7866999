"""Drawdown of an equity curve: its course, its depth and how long it lasted (design §5: the starting value counts).

Legend: T marks of equity, the first of which is the starting value and therefore the first peak.
"""

import math
from dataclasses import dataclass

import numpy as np

from tradewright.metrics.history import Float, Time


@dataclass(frozen=True)
class Episode:
    """One stay below an earlier peak, as mark indices; ``recovery`` is None while it lasts.

    ``depth`` is the largest loss from the peak, a positive fraction; ``num_bars`` counts the marks below the peak.
    """

    peak: int
    trough: int
    recovery: int | None
    depth: float
    num_bars: int


def drawdown_curve(equity_T: Float) -> Float:
    """Return ``1 - equity_t / max(equity_0 .. equity_t)``.

    Args:
        equity_T: Equity, money.

    Returns:
        Fractions >= 0, shape (T,); above 1 for an account in debt; NaN if the start is not above zero.
    """
    if len(equity_T) == 0 or not equity_T[0] > 0:
        return np.full(len(equity_T), np.nan)
    return np.asarray(1.0 - equity_T / np.maximum.accumulate(equity_T))


def max_drawdown(equity_T: Float) -> float:
    """Return the deepest drawdown ``max_t (1 - equity_t / peak_t)``.

    Args:
        equity_T: Equity, money.

    Returns:
        Positive fraction, 0 for a curve that never fell; NaN without a mark or with a start not above zero.

    Source:
        Magdon-Ismail and Atiya (2004), Maximum Drawdown, Risk Magazine 17(10).
    """
    return float(np.max(drawdown_curve(equity_T))) if len(equity_T) else math.nan


def episodes(equity_T: Float) -> list[Episode]:
    """Return every stay below a peak, in time order.

    A run of marks below the running peak is one episode; it recovers at the first mark at or above the peak.

    Args:
        equity_T: Equity, money, start above zero.

    Returns:
        Episodes; empty for a curve that never fell or whose drawdown is undefined.
    """
    curve = drawdown_curve(equity_T)
    below = np.concatenate(([False], curve > 0, [False]))
    edges = np.flatnonzero(below[1:] != below[:-1])
    found = []
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        trough = first + int(np.argmax(curve[first:end]))
        recovery = end if end < len(equity_T) else None
        found.append(Episode(first - 1, trough, recovery, float(curve[trough]), end - first))
    return found


def longest_drawdown_bars(equity_T: Float) -> float:
    """Return the length of the longest run of marks below the previous peak.

    Args:
        equity_T: Equity, money.

    Returns:
        Number of bars, 0 for a curve that never fell; NaN where the drawdown is undefined.
    """
    if math.isnan(max_drawdown(equity_T)):
        return math.nan
    return float(max((episode.num_bars for episode in episodes(equity_T)), default=0))


def longest_drawdown_days(ts_T: Time, equity_T: Float) -> float:
    """Return the longest time from a peak to its recovery, or to the last mark where there is none.

    Args:
        ts_T: Times of the marks.
        equity_T: Equity, money.

    Returns:
        Calendar days (with fraction), 0 for a curve that never fell; NaN where the drawdown is undefined.
    """
    if math.isnan(max_drawdown(equity_T)):
        return math.nan
    longest = 0.0
    for episode in episodes(equity_T):
        end = len(equity_T) - 1 if episode.recovery is None else episode.recovery
        longest = max(longest, float((ts_T[end] - ts_T[episode.peak]) / np.timedelta64(1, "D")))
    return longest


def is_under_water(equity_T: Float) -> float:
    """Return 1 if the last mark lies below an earlier one's peak, else 0; NaN where the drawdown is undefined."""
    curve = drawdown_curve(equity_T)
    if len(curve) == 0 or math.isnan(curve[-1]):
        return math.nan
    return float(curve[-1] > 0)
