"""Whether a strategy is right as often as it is sure: reliability by bin of confidence, and the calibration error.

``ECE = sum over bins of (share of decisions in the bin) * |share that was right - mean confidence|``.
Source: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.
Legend: T bars, N instruments, M decisions, K bins.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tradewright.metrics.decisions import FORCED, ROLL, DecidedHistory
from tradewright.metrics.history import Float

Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

NUM_BINS = 10
AT_OPEN = ("margin_call", "bankrupt")
"""Forced exits that leave no position during the bar."""


class ConfidentHistory(DecidedHistory, Protocol):
    """A history that kept the confidence of its decisions and the marks they can be checked with."""

    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def confidence_TN(self) -> Float | None: ...
    @property
    def mark_TN(self) -> Float | None: ...


@dataclass(frozen=True)
class Calibration:
    """Reliability by equal bins of confidence over [0, 1].

    Args:
        num_K: Decisions per bin; bin i is ``[i / K, (i + 1) / K)``, the last one includes 1.
        confidence_K: Mean confidence of the bin's decisions, NaN without one.
        accuracy_K: Share of them that was right, NaN without one.
        error: The expected calibration error, a fraction; NaN without a decision.
    """

    num_K: Int
    confidence_K: Float
    accuracy_K: Float
    error: float

    @property
    def num_decisions(self) -> int:
        """Decisions in all bins."""
        return int(self.num_K.sum())


def confident_outcomes(result: ConfidentHistory) -> tuple[Float, Bool]:
    """Return how sure every checkable decision was, and whether it was right.

    A decision at close t of one instrument is checkable if it has a confidence, if a position was held in bar t + 1
    (one that a stop or target closed within the bar counts), and if the mark moved. It was right if the sign of the
    position is that of the change from mark t to mark t + 1. A bar with a roll is not checkable.

    Returns:
        Confidences in [0, 1] and flags, shape (M,) each; empty if the history kept no confidence or no marks.
    """
    if result.confidence_TN is None or result.mark_TN is None or len(result.ts_T) < 2:
        return np.zeros(0), np.zeros(0, dtype=bool)
    side_TN = np.sign(result.weights_TN)
    column = {symbol: n for n, symbol in enumerate(result.symbols)}
    for fill in result.fills:
        place = fill.bar, column[fill.symbol]
        if fill.reason == ROLL:
            side_TN[place] = math.nan
        elif fill.quantity != 0 and fill.reason in FORCED and fill.reason not in AT_OPEN and side_TN[place] == 0:
            side_TN[place] = -np.sign(fill.quantity)
    confidence_TN, move_TN = result.confidence_TN[:-1], np.sign(np.diff(result.mark_TN, axis=0))
    side_TN = side_TN[1:]
    is_checkable = np.isfinite(confidence_TN) & (np.abs(side_TN) == 1) & (np.abs(move_TN) == 1)
    return confidence_TN[is_checkable], (side_TN == move_TN)[is_checkable]


def calibrate(confidence_M: Float, is_right_M: Bool, num_bins: int = NUM_BINS) -> Calibration:
    """Return the reliability of decisions by equal bins of confidence.

    Args:
        confidence_M: In [0, 1].
        is_right_M: Whether each was right.
        num_bins: K, >= 1.

    Raises:
        ValueError: A confidence is outside [0, 1], or there are not as many flags as confidences.
    """
    if len(confidence_M) != len(is_right_M):
        raise ValueError(f"is_right_M must have one flag per confidence, had {len(is_right_M)} of {len(confidence_M)}")
    outside = confidence_M[~((confidence_M >= 0) & (confidence_M <= 1))]
    if len(outside):
        raise ValueError(f"confidence must be in [0, 1], was {outside[0]}")
    bins_M = np.minimum((confidence_M * num_bins).astype(np.int64), num_bins - 1)
    num_K = np.bincount(bins_M, minlength=num_bins)
    confidence_K, accuracy_K = np.full(num_bins, np.nan), np.full(num_bins, np.nan)
    for sums, out in ((confidence_M, confidence_K), (is_right_M.astype(np.float64), accuracy_K)):
        np.divide(np.bincount(bins_M, weights=sums, minlength=num_bins), num_K, out=out, where=num_K > 0)
    used = num_K > 0
    gaps = np.abs(accuracy_K[used] - confidence_K[used])
    error = float(np.sum(num_K[used] * gaps) / num_K.sum()) if used.any() else math.nan
    return Calibration(num_K, confidence_K, accuracy_K, error)


def binomial_interval(number: int, probability: float, confidence: float) -> tuple[float, float]:
    """Return the central interval of the share of successes in ``number`` independent draws.

    Args:
        number: Draws, >= 1.
        probability: Of a success, in [0, 1].
        confidence: Of the interval, in (0, 1).

    Returns:
        The quantiles ``(1 - confidence) / 2`` and ``(1 + confidence) / 2`` of the share, fractions; the chance to fall
        outside either is at most half of ``1 - confidence``.
    """
    if probability in (0.0, 1.0):
        return probability, probability
    wins = np.arange(number + 1)
    log_factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, number + 1)))))
    log_chance = (
        log_factorial[number]
        - log_factorial
        - log_factorial[::-1]
        + wins * math.log(probability)
        + (number - wins) * math.log1p(-probability)
    )
    up_to = np.cumsum(np.exp(log_chance))
    tail = (1.0 - confidence) / 2.0
    low, high = np.searchsorted(up_to, [tail, 1.0 - tail])
    return float(low) / number, float(high) / number
