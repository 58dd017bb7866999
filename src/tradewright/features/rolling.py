"""Causal rolling statistics over the time axis.

Legend: T bars, N instruments, W window. Row t uses rows t-W+1 … t; the first W-1 rows are NaN. Each window is summed by
itself, so a value does not depend on how many bars come before its window or after its row.
Columns are processed in blocks to keep the temporaries inside the cache.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Float = npt.NDArray[np.float64]

COLUMNS_PER_BLOCK = 32


def rolling(x_TN: Float, window: int, reduce: Callable[[Float], Float]) -> Float:
    """Apply ``reduce`` to every window.

    Args:
        x_TN: Values; a NaN makes the windows that contain it NaN.
        window: W >= 1, in bars.
        reduce: Maps ``[..., W]`` to ``[...]``, e.g. ``rolling_mean``'s ``x.mean(-1)``.

    Returns:
        ``[T, N]`` float64, NaN in the first W-1 rows.
    """
    out_TN = np.full_like(x_TN, np.nan)
    if len(x_TN) < window:
        return out_TN
    for first in range(0, x_TN.shape[1], COLUMNS_PER_BLOCK):
        block = np.ascontiguousarray(x_TN[:, first : first + COLUMNS_PER_BLOCK].T)
        windows_NTW = sliding_window_view(block, window, axis=1)
        out_TN[window - 1 :, first : first + COLUMNS_PER_BLOCK] = reduce(windows_NTW).T
    return out_TN


def rolling_mean(x_TN: Float, window: int) -> Float:
    """Mean of the last ``window`` values."""
    return rolling(x_TN, window, lambda x: x.mean(-1))


def rolling_std(x_TN: Float, window: int) -> Float:
    """Standard deviation (ddof 0) of the last ``window`` values."""
    return rolling(x_TN, window, lambda x: x.std(-1))


def rolling_sum(x_TN: Float, window: int) -> Float:
    """Sum of the last ``window`` values."""
    return rolling(x_TN, window, lambda x: x.sum(-1))


def rolling_max(x_TN: Float, window: int) -> Float:
    """Largest of the last ``window`` values."""
    return rolling(x_TN, window, lambda x: x.max(-1))


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
