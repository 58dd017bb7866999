"""Paired block bootstrap of the difference between two strategies: Sharpe ratios and mean returns.

Both strategies are resampled at the same places, so what they share (the market) cancels. The difference is studentized
in every resample by an error estimated from that resample's own blocks (``studentized.py``), which makes the test keep
its level on fat tails and clustered volatility: tests/metrics/test_metric_honesty.py measures it. All comparisons of
one call share the resamples, so ``multiple.py`` can correct them jointly.
Legend: K comparisons, n returns, R resamples, b returns per block.

Source: Ledoit and Wolf (2008), Robust Performance Hypothesis Testing with the Sharpe Ratio, Journal of Empirical
Finance 15(5).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradewright.metrics.bootstrap import CHUNK, MIN_RETURNS
from tradewright.metrics.history import Float
from tradewright.metrics.returns import NOISE
from tradewright.metrics.studentized import NUM_SUMS, Studentized, moments_of, paired_block_length, studentize

EQUAL = 1e-9
"""Standard errors at or below this (of returns scaled to deviation 1) are rounding: the two strategies are the same."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """K differences (first minus second) with their studentized bootstrap.

    Args:
        value_K: Annualised differences; NaN where undefined.
        error_K: Their standard errors; 0 where the two are the same.
        statistic_K: ``|value| / error``; 0 where the two are the same, NaN where undefined.
        draws_RK: ``|value* - value| / error*`` of the resamples; 0 where the two are the same, inf where a resample
            has no ratio, which counts against significance.
    """

    value_K: Float
    error_K: Float
    statistic_K: Float
    draws_RK: Float

    def p_values(self) -> Float:
        """Return two-sided p-values ``(1 + #{draw >= statistic}) / (R + 1)``, shape (K,); NaN where undefined."""
        exceeded_K = np.sum(self.draws_RK >= self.statistic_K, axis=0)
        return np.where(np.isnan(self.statistic_K), np.nan, (1.0 + exceeded_K) / (len(self.draws_RK) + 1.0))

    def bounds(self, confidence: float) -> tuple[Float, Float]:
        """Return the symmetric intervals ``value -+ q * error``, which exclude 0 exactly when ``p <= 1 - confidence``.

        Args:
            confidence: In (0, 1).

        Returns:
            Lower and upper bounds, shape (K,); NaN where undefined, where R is too small for the confidence, or where
            too many resamples have no ratio.
        """
        num = len(self.draws_RK)
        place = num - math.floor((1.0 - confidence) * (num + 1.0) + 1e-9)
        if place >= num:
            return np.full_like(self.value_K, np.nan), np.full_like(self.value_K, np.nan)
        reach_K = np.sort(self.draws_RK, axis=0)[place]
        reach_K = np.where(self.error_K == 0, 0.0, np.where(np.isfinite(reach_K), reach_K, np.nan))
        return self.value_K - reach_K * self.error_K, self.value_K + reach_K * self.error_K


@dataclass(frozen=True, kw_only=True)
class PairedBootstrap:
    """Both differences of K pairs.

    Args:
        sharpe: Of the annualised Sharpe ratios.
        mean: Of the annualised mean returns, fractions.
        block_length: b.
    """

    sharpe: Difference
    mean: Difference
    block_length: int


def compare_pairs(
    first_Kn: Float,
    second_Kn: Float,
    *,
    periods_per_year: float,
    risk_free: float = 0.0,
    num_resamples: int = 1000,
    seed: int = 0,
    block_length: int | None = None,
) -> PairedBootstrap:
    """Compare K pairs of strategies.

    Args:
        first_Kn: Simple returns, fractions.
        second_Kn: Simple returns over the same periods.
        periods_per_year: A.
        risk_free: Annual fraction.
        num_resamples: R.
        seed: Of the resamples.
        block_length: b; None: chosen from the data (``paired_block_length``).

    Returns:
        The differences; undefined with fewer than 20 returns, an undefined one, or (Sharpe) no dispersion.

    Raises:
        ValueError: The two differ in shape, or there is no pair.
    """
    if first_Kn.shape != second_Kn.shape or first_Kn.ndim != 2 or len(first_Kn) == 0:
        raise ValueError(
            f"first_Kn and second_Kn must hold the same K >= 1 rows, were {first_Kn.shape} and {second_Kn.shape}"
        )
    pairs = np.stack((first_Kn, second_Kn), axis=1) - risk_free / periods_per_year
    num = pairs.shape[2]
    is_defined_K = np.all(np.isfinite(pairs), axis=(1, 2)) & (num >= MIN_RETURNS)
    if not np.any(is_defined_K):
        nothing = _annualise(_undefined(len(pairs), num_resamples), is_defined_K, 1.0, np.zeros(len(pairs)))
        return PairedBootstrap(sharpe=nothing, mean=nothing, block_length=block_length or 1)
    pairs = np.where(is_defined_K[:, None, None], pairs, 0.0)
    scale_K2 = np.std(pairs, axis=2)
    has_ratio_K = is_defined_K & np.all(scale_K2 > NOISE, axis=1)
    unit_K2 = np.where(scale_K2 > NOISE, scale_K2, 1.0)
    moments = moments_of(pairs / unit_K2[:, :, None])
    length = block_length or paired_block_length(moments[has_ratio_K])
    sharpe, mean = _studentize_in_chunks(moments, unit_K2, length, num_resamples, seed)
    return PairedBootstrap(
        sharpe=_annualise(sharpe, has_ratio_K, math.sqrt(periods_per_year), np.full(len(pairs), EQUAL)),
        mean=_annualise(mean, is_defined_K, periods_per_year, EQUAL * np.max(unit_K2, axis=1)),
        block_length=length,
    )


def _studentize_in_chunks(
    moments: Float, unit_K2: Float, length: int, num_resamples: int, seed: int
) -> tuple[Studentized, Studentized]:
    """Studentize as many pairs at once as memory should hold; every chunk draws the same blocks."""
    rows = max(1, CHUNK // (NUM_SUMS * moments.shape[2]))
    parts = [
        studentize(moments[k : k + rows], unit_K2[k : k + rows], length, num_resamples, seed)
        for k in range(0, len(moments), rows)
    ]
    sharpe, mean = zip(*parts, strict=True)
    return Studentized.join(sharpe), Studentized.join(mean)


def _annualise(found: Studentized, is_defined_K: npt.NDArray[np.bool_], factor: float, floor_K: Float) -> Difference:
    """Return the difference in annual units, with error 0 where the two strategies are the same up to rounding."""
    is_same_K = found.error_K <= floor_K
    statistic_K = np.where(is_same_K, 0.0, np.abs(found.value_K) / np.where(is_same_K, 1.0, found.error_K))
    return Difference(
        value_K=np.where(is_defined_K, found.value_K * factor, np.nan),
        error_K=np.where(is_defined_K, np.where(is_same_K, 0.0, found.error_K * factor), np.nan),
        statistic_K=np.where(is_defined_K, statistic_K, np.nan),
        draws_RK=np.where(is_same_K, 0.0, found.draws_RK),
    )


def _undefined(num_pairs: int, num_resamples: int) -> Studentized:
    nothing_K = np.full(num_pairs, np.nan)
    return Studentized(nothing_K, nothing_K, np.full((num_resamples, num_pairs), np.inf))
