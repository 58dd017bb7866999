"""Stationary bootstrap of a return series: block length, resamples, intervals of the headline figures.

Blocks of random (geometric) length keep the dependence of neighbouring returns; their mean length is chosen from the
data. All series of one call share the same resamples, so their figures may be compared draw by draw.
Legend: S series, n returns, R resamples, C resamples of one chunk.

Source: Politis and Romano (1994), The Stationary Bootstrap, JASA 89(428); Politis and White (2004), Automatic
Block-Length Selection, Econometric Reviews 23(1), with the correction of Patton, Politis and White (2009), 28(4).
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tradewright.metrics.history import Float

Index = npt.NDArray[np.int64]

CHUNK = 1_000_000
"""Draws held at once (8 MB each of indices and counts), so that memory does not grow with the resamples."""

MIN_RETURNS = 20
"""Fewer returns than this have no block structure that could be estimated: every interval is NaN."""


def optimal_block_length(returns_n: Float) -> float:
    """Return the mean block length that minimises the error of the bootstrap variance of the mean.

    ``b = (G**2 / LRV**2) ** (1/3) * n ** (1/3)`` with ``G`` and the long-run variance ``LRV`` estimated by a flat-top
    kernel up to the lag after which autocorrelations are noise.

    Args:
        returns_n: The series; NaN-free.

    Returns:
        Periods, in [1, ceil(min(3 sqrt(n), n / 3))]; 1 for a series without dispersion or shorter than 20; NaN for an
        undefined value in it.
    """
    num = len(returns_n)
    centred = returns_n - np.mean(returns_n) if num else returns_n
    if not np.all(np.isfinite(centred)):
        return math.nan
    if num < MIN_RETURNS or not float(np.ptp(centred)) > 0:
        return 1.0
    autocovariance = _autocovariances(centred)
    lag = min(2 * _last_significant_lag(centred, autocovariance), len(autocovariance) - 1)
    lags = np.arange(1, lag + 1)
    taper = np.minimum(1.0, 2.0 * (1.0 - lags / lag))
    slope = 2.0 * float(np.sum(taper * lags * autocovariance[1 : lag + 1]))
    long_run = float(autocovariance[0] + 2.0 * np.sum(taper * autocovariance[1 : lag + 1]))
    longest = math.ceil(min(3.0 * math.sqrt(num), num / 3.0))
    if long_run == 0.0:
        return float(longest)
    return float(min(max((slope / long_run) ** 2 * num, 1.0) ** (1.0 / 3.0), longest))


def _quiet_lags(num: int) -> int:
    """Return how many neighbouring autocorrelations must be noise before the rest is taken for noise."""
    return max(5, int(math.log10(num)))


def _autocovariances(centred: Float) -> Float:
    num = len(centred)
    last = min(math.ceil(math.sqrt(num)) + _quiet_lags(num), num - 2)
    return np.array([centred[lag:] @ centred[: num - lag] for lag in range(last + 1)]) / num


def _last_significant_lag(centred: Float, autocovariance: Float) -> int:
    """Return the first lag from which the next ones are all noise (at least 1), or the last one if none is."""
    num, run = len(centred), _quiet_lags(len(centred))
    bound = 2.0 * math.sqrt(math.log10(num) / num)
    squares = np.cumsum(centred * centred)
    ends = num - 2 - np.arange(len(autocovariance))
    scale = np.sqrt(np.maximum(squares[ends] * (squares[-1] - squares[num - 2 - ends]), 0.0))
    is_noise = np.abs(num * autocovariance) < bound * scale
    for lag in range(1, len(is_noise) - run):
        if is_noise[lag : lag + run].all():
            return lag
    return len(autocovariance) - 1


def stationary_indices(num: int, num_resamples: int, block_length: float, rng: np.random.Generator) -> Iterator[Index]:
    """Yield the resampled positions of a series in chunks.

    Args:
        num: n.
        num_resamples: R.
        block_length: Mean block length, >= 1.
        rng: Generator of starts and lengths.

    Yields:
        int64 indices of shape (C, n); the C of all chunks add up to R.
    """
    rows = max(1, CHUNK // num)
    for first in range(0, num_resamples, rows):
        size = (min(rows, num_resamples - first), num)
        starts = rng.integers(0, num, size)
        yield chain_blocks(starts, rng.random(size, dtype=np.float32) < 1.0 / block_length)


def chain_blocks(starts_Cn: Index, jumps_Cn: npt.NDArray[np.bool_]) -> Index:
    """Return positions that follow their predecessor, and start anew where there is a jump; the series is a circle.

    Args:
        starts_Cn: Position taken at a jump.
        jumps_Cn: Where a block begins; the first column always does.
    """
    num = starts_Cn.shape[1]
    place = np.arange(num)
    begins = np.where(jumps_Cn, place, 0)
    np.maximum.accumulate(begins, axis=1, out=begins)
    offset = np.take_along_axis(starts_Cn, begins, axis=1)
    offset += place
    offset -= begins
    np.subtract(offset, num, out=offset, where=offset >= num)
    return offset


def draw_counts(index_Cn: Index, num: int) -> Float:
    """Return how often each of ``num`` positions was drawn by each resample, float64 of shape (C, num)."""
    rows = len(index_Cn)
    flat = index_Cn + num * np.arange(rows)[:, None]
    return np.bincount(flat.ravel(), minlength=rows * num).reshape(rows, num).astype(np.float64)
