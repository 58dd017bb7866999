"""Statistics of finite windows in O(T log W): a window is put together from windows of 1, 2, 4, … bars.

Row t uses rows t-W+1 … t; the first W-1 rows are NaN, and so are windows that contain one. A value depends on its own
window alone, not on how many bars come before or after, and a window of equal values has exactly their mean and no
deviation. Means and deviations are merged pairwise without cancellation.
Source: Chan, Golub & LeVeque (1983), Algorithms for Computing the Sample Variance, The American Statistician 37(3).
Legend: T bars, N instruments, W window.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Parts = tuple[Float, ...]
Merge = Callable[[Parts, Parts, int, int], Parts]
"""Joins the parts of a newer and of the older, adjoining window; the numbers are their lengths in bars."""


def fold(parts: Parts, window: int, merge: Merge) -> Parts:
    """Merge the bars of every window.

    Args:
        parts: What a window of one bar holds, each ``[T, N]``.
        window: W >= 1.
        merge: Joins two adjoining windows.

    Returns:
        What a window of W bars holds, each ``[T, N]``; NaN in the first W-1 rows.
    """
    num_bars = len(parts[0])
    if num_bars < window:
        return tuple(np.full_like(part, np.nan) for part in parts)
    block, size = parts, 1  # row i of a block of ``size`` bars ends at bar i + size - 1
    whole: Parts = ()
    done = 0
    while True:
        if window & size:
            if done:
                older = tuple(part[: num_bars + 1 - size - done] for part in block)
                whole = merge(tuple(part[size:] for part in whole), older, done, size)
            else:
                whole = block
            done += size
        if done == window:
            break
        block = merge(tuple(part[size:] for part in block), tuple(part[:-size] for part in block), size, size)
        size *= 2
    return tuple(_aligned(part, window) for part in whole)


def _aligned(part: Float, window: int) -> Float:
    if window == 1:
        return part
    out_TN = np.empty((len(part) + window - 1, *part.shape[1:]))
    out_TN[: window - 1] = np.nan
    out_TN[window - 1 :] = part
    return out_TN


def window_sum(x_TN: Float, window: int) -> Float:
    """Sum of the window."""
    return fold((x_TN,), window, lambda new, old, _n, _m: (new[0] + old[0],))[0]


def window_max(x_TN: Float, window: int) -> Float:
    """Largest value of the window."""
    return fold((x_TN,), window, lambda new, old, _n, _m: (np.maximum(new[0], old[0]),))[0]


def window_min(x_TN: Float, window: int) -> Float:
    """Smallest value of the window."""
    return fold((x_TN,), window, lambda new, old, _n, _m: (np.minimum(new[0], old[0]),))[0]


def window_mean(x_TN: Float, window: int) -> Float:
    """Mean of the window."""

    def merge(new: Parts, old: Parts, num_new: int, num_old: int) -> Parts:
        return (new[0] + (old[0] - new[0]) * (num_old / (num_new + num_old)),)

    return fold((x_TN,), window, merge)[0]


def window_std(x_TN: Float, window: int) -> Float:
    """Standard deviation of the window (ddof 0)."""
    return np.sqrt(window_moments(x_TN, window)[1] / window)


def window_moments(x_TN: Float, window: int) -> tuple[Float, Float]:
    """Return the mean of the window and its sum of squared deviations from it."""

    def merge(new: Parts, old: Parts, num_new: int, num_old: int) -> Parts:
        gap = old[0] - new[0]
        share = num_old / (num_new + num_old)
        return new[0] + gap * share, new[1] + old[1] + gap * gap * (num_new * share)

    mean_TN, square_TN = fold((x_TN, x_TN * 0.0), window, merge)
    return mean_TN, square_TN


def window_trend(x_TN: Float, window: int) -> tuple[Float, Float]:
    """Return slope per bar and R squared (0 for equal values) of the least-squares line through the window.

    slope = cov(i, x) / var(i) with i the bars of the window in time order; W >= 2.
    """

    def merge(new: Parts, old: Parts, num_new: int, num_old: int) -> Parts:
        gap = old[0] - new[0]
        num = num_new + num_old
        weight = num_new * num_old / num
        mean, square = new[0] + gap * (num_old / num), new[1] + old[1] + gap * gap * weight
        return mean, square, new[2] + old[2] - gap * (weight * num / 2)  # the middles lie num / 2 bars apart

    _, square_TN, product_TN = fold((x_TN, x_TN * 0.0, x_TN * 0.0), window, merge)
    spread = window * (window * window - 1) / 12
    slope_TN = product_TN / spread
    return slope_TN, ratio(slope_TN * product_TN, square_TN, 0.0)


def bars_since_max(x_TN: Float, window: int) -> Float:
    """Bars since the largest value of the window, 0 … W-1; the newest of equal ones counts."""

    def merge(new: Parts, old: Parts, num_new: int, _: int) -> Parts:
        is_older = old[0] > new[0]
        return np.maximum(new[0], old[0]), np.where(is_older, old[1] + num_new, new[1])

    top_TN, age_TN = fold((x_TN, x_TN * 0.0), window, merge)
    return age_TN + top_TN * 0.0


def exponential_mean(x_TN: Float, alpha: float, memory: int) -> Float:
    """Exponentially weighted mean of a finite window.

    sum_i q^i x_{t-i} / sum_i q^i for i = 0 … memory-1 and q = 1 - alpha: the recursion y = alpha x + q y once its start
    is forgotten; older bars, which together weigh q^memory there, have no weight here.

    Args:
        x_TN: Values.
        alpha: Weight of the newest bar in the recursion, in (0, 1).
        memory: W.
    """
    decay = 1.0 - alpha

    def merge(new: Parts, old: Parts, num_new: int, _: int) -> Parts:
        return (new[0] + old[0] * decay**num_new,)

    total_TN = fold((x_TN,), memory, merge)[0]
    return total_TN * (alpha / (1.0 - decay**memory))


def ema(x_TN: Float, span: int, memory: int) -> Float:
    """Exponential moving average, alpha = 2 / (span + 1)."""
    return exponential_mean(x_TN, 2.0 / (span + 1), memory)


def wilder(x_TN: Float, period: int, memory: int) -> Float:
    """Wilder's average, alpha = 1 / period. Source: Wilder (1978), New Concepts in Technical Trading Systems."""
    return exponential_mean(x_TN, 1.0 / period, memory)


def ratio(numerator: Any, denominator: Float, otherwise: float) -> Float:
    """Return the quotient, and ``otherwise`` where the denominator is 0; NaN stays NaN."""
    is_zero = denominator == 0
    return np.where(is_zero, otherwise, numerator / np.where(is_zero, 1.0, denominator))


def lag(x_TN: Float, bars: int) -> Float:
    """Value ``bars`` rows earlier; NaN in the first rows."""
    out_TN = np.full_like(x_TN, np.nan)
    out_TN[bars:] = x_TN[: max(len(x_TN) - bars, 0)]
    return out_TN


def forward_fill(x_TN: Float) -> Float:
    """Replace NaN by the last value before it; leading NaN stay."""
    rows_T1 = np.arange(len(x_TN))[:, None]
    last_TN = np.maximum.accumulate(np.where(np.isnan(x_TN), 0, rows_T1), axis=0)
    return np.take_along_axis(x_TN, last_TN, axis=0)
