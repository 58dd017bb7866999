"""Differences of two strategies in many block resamples, each divided by an error estimated from its own blocks.

Both figures are smooth functions of four moments ``m = mean(x, y, x**2, y**2)``. A resample of l blocks has the moments
``mean_j Y_j`` of its block means ``Y_j`` and, by the delta method, the error ``sqrt(g' C g / l)`` with the gradient
``g`` at its moments and the covariance ``C`` of its block means. Both are sums over the drawn blocks of 4 + 10 numbers,
so all resamples are one product of "how often was each block drawn" with those numbers. The error of the sample itself
is that of all its overlapping blocks, of which a resample's is a draw.
Legend: K pairs, n returns, R resamples (C of one chunk), l blocks of b returns; x, y: returns scaled to deviation 1.

Source: Götze and Künsch (1996), Second-Order Correctness of the Blockwise Bootstrap for Stationary Observations, Annals
of Statistics 24(5); Ledoit and Wolf (2008), section 3.2.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tradewright.metrics.bootstrap import CHUNK, draw_counts, optimal_block_length
from tradewright.metrics.history import Float

MIN_BLOCKS = 20
"""Blocks per resample at least: the error of a resample is estimated from them."""

CIRCULAR = 1.5 ** (1.0 / 3.0)
"""Optimal block length of a circular bootstrap over that of a stationary one (Patton, Politis and White 2009)."""

VARIANCE_FLOOR = 1e-12
"""Variances at or below this (of returns scaled to deviation 1) are rounding: there is no Sharpe ratio."""

ROW, COLUMN = np.triu_indices(4)
TWICE = np.where(ROW == COLUMN, 1.0, 2.0)
"""The 10 distinct entries of a symmetric 4 x 4 matrix, and how often each occurs in it."""

NUM_SUMS = 4 + len(ROW)

SIGN = np.array([1.0, -1.0])
"""First minus second."""


@dataclass(frozen=True)
class Studentized:
    """Differences per period of K pairs, their standard errors, and ``|value* - value| / error*`` of R resamples."""

    value_K: Float
    error_K: Float
    draws_RK: Float

    @classmethod
    def join(cls, parts: Sequence["Studentized"]) -> "Studentized":
        """Return several chunks of pairs as one."""
        return cls(
            np.concatenate([part.value_K for part in parts]),
            np.concatenate([part.error_K for part in parts]),
            np.concatenate([part.draws_RK for part in parts], axis=1),
        )


def moments_of(returns_K2n: Float) -> Float:
    """Return ``(x, y, x**2, y**2)`` of every pair and period, shape (K, 4, n)."""
    return np.concatenate((returns_K2n, returns_K2n**2), axis=1)


def paired_block_length(moments_K4n: Float) -> int:
    """Return the block length for differences of Sharpe ratios, the mean over all pairs.

    For each it is the optimal one of a circular bootstrap for the series that the difference is, to first order, the
    mean of; at most so long that a resample has ``MIN_BLOCKS`` blocks. 1 without a pair.

    Args:
        moments_K4n: Of pairs whose ratios are defined.
    """
    lengths = []
    for moments_4n in moments_K4n:
        mean_4 = np.mean(moments_4n, axis=1)
        influence_n = _sharpe_difference(mean_4)[1] @ (moments_4n - mean_4[:, None])
        lengths.append(CIRCULAR * optimal_block_length(influence_n))
    if not lengths:
        return 1
    return max(1, min(round(float(np.mean(lengths))), moments_K4n.shape[2] // MIN_BLOCKS))


def studentize(
    moments_K4n: Float, unit_K2: Float, length: int, num_resamples: int, seed: int
) -> tuple[Studentized, Studentized]:
    """Return the differences of Sharpe ratios and of mean returns, per period.

    Args:
        moments_K4n: Of the scaled returns.
        unit_K2: The deviations they were divided by, fractions.
        length: b.
        num_resamples: R.
        seed: Of the resamples; the same seed draws the same blocks for every chunk of pairs.
    """
    num = moments_K4n.shape[2]
    num_blocks = math.ceil(num / length)
    mean_4K = np.mean(moments_K4n, axis=2).T
    blocks_K4n = _block_means(moments_K4n, length) - mean_4K.T[:, :, None]
    sums_KXn = np.concatenate((blocks_K4n, blocks_K4n[:, ROW] * blocks_K4n[:, COLUMN]), axis=1)
    spread_XK = np.mean(sums_KXn[:, 4:], axis=2).T
    sharpe_K, sharpe_slope = _sharpe_difference(mean_4K)
    mean_slope = np.concatenate((unit_K2.T * SIGN[:, None], np.zeros((2, len(unit_K2)))))
    sharpe_draws, mean_draws = [], []
    rng = np.random.default_rng(seed)
    for shares_Cn in _block_shares(num, num_blocks, num_resamples, rng):
        drawn_CKX = (shares_Cn @ sums_KXn.reshape(-1, num).T).reshape(len(shares_Cn), -1, NUM_SUMS)
        drawn_XCK = np.moveaxis(drawn_CKX, 2, 0)
        shift_4CK, spread_XCK = drawn_XCK[:4], drawn_XCK[4:] - drawn_XCK[ROW] * drawn_XCK[COLUMN]
        value_CK, slope = _sharpe_difference(mean_4K[:, None] + shift_4CK)
        sharpe_draws.append(_distance(value_CK - sharpe_K, _error(slope, spread_XCK, num_blocks)))
        change_CK = np.sum(mean_slope[:, None] * shift_4CK, axis=0)
        mean_draws.append(_distance(change_CK, _error(mean_slope[:, None], spread_XCK, num_blocks)))
    return (
        Studentized(sharpe_K, _error(sharpe_slope, spread_XK, num / length), np.concatenate(sharpe_draws)),
        Studentized(
            np.sum(mean_slope * mean_4K, axis=0),
            _error(mean_slope, spread_XK, num / length),
            np.concatenate(mean_draws),
        ),
    )


def _sharpe_difference(mean_4: Float) -> tuple[Float, Float]:
    """Return ``m1 / sqrt(m3 - m1**2) - m2 / sqrt(m4 - m2**2)`` and its gradient; the four moments are the first axis.

    NaN where a variance is not above rounding.
    """
    sign_2 = SIGN.reshape(2, *[1] * (mean_4.ndim - 1))
    variance_2 = mean_4[2:] - mean_4[:2] ** 2
    deviation_2 = np.sqrt(np.where(variance_2 > VARIANCE_FLOOR, variance_2, np.nan))
    cube_2 = deviation_2**3
    gradient_4 = np.concatenate((sign_2 * mean_4[2:] / cube_2, -0.5 * sign_2 * mean_4[:2] / cube_2))
    return np.sum(sign_2 * mean_4[:2] / deviation_2, axis=0), gradient_4


def _error(slope_4: Float, spread_X: Float, num_blocks: float) -> Float:
    """Return ``sqrt(g' C g / l)``; the first axis of the arguments holds 4 slopes and 10 covariances."""
    twice_X = TWICE.reshape(-1, *[1] * (spread_X.ndim - 1))
    variance = np.sum(twice_X * slope_4[ROW] * slope_4[COLUMN] * spread_X, axis=0) / num_blocks
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _distance(change: Float, error: Float) -> Float:
    """Return ``|change| / error``; inf where undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(change) / error
    return np.where(np.isnan(distance), np.inf, distance)


def _block_means(moments_K4n: Float, length: int) -> Float:
    """Return the mean of the block that starts at each period; the series is a circle."""
    if length == 1:
        return moments_K4n
    circle = np.concatenate((moments_K4n, moments_K4n[..., : length - 1]), axis=2)
    return np.mean(np.lib.stride_tricks.sliding_window_view(circle, length, axis=2), axis=-1)


def _block_shares(num: int, num_blocks: int, num_resamples: int, rng: np.random.Generator) -> Iterator[Float]:
    """Yield the share of each block among those drawn, shape (C, n), in chunks."""
    rows = max(1, CHUNK // num)
    for first in range(0, num_resamples, rows):
        size = (min(rows, num_resamples - first), num_blocks)
        yield draw_counts(rng.integers(0, num, size), num) / num_blocks
