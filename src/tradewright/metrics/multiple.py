"""Correct p-values for the number of comparisons: the more one looks, the more chance finds.

Both methods bound the probability of *any* false discovery in the family. Romano-Wolf's step-down is the default of
every table: it reads from the joint resamples how far the comparisons move together. Comparisons that share a strategy
or the market do so strongly, so it finds more than Holm at the same level, and never less beyond Monte Carlo error.
Legend: K comparisons, R resamples.
"""

from typing import Literal, get_args

import numpy as np

from tradewright.metrics.history import Float
from tradewright.metrics.paired import Difference

Correction = Literal["romano_wolf", "holm", "none"]
CORRECTIONS: tuple[str, ...] = get_args(Correction)


def correct(difference: Difference, correction: Correction) -> Float:
    """Return the p-values of a family of comparisons after correction.

    Args:
        difference: The family.
        correction: The method.

    Returns:
        Shape (K,), at least the uncorrected ones, at most 1; NaN where undefined (such a comparison is not counted).

    Raises:
        ValueError: ``correction`` is unknown.
    """
    match correction:
        case "romano_wolf":
            return romano_wolf(difference.statistic_K, difference.draws_RK)
        case "holm":
            return holm(difference.p_values())
        case "none":
            return difference.p_values()
        case _:
            raise ValueError(f"correction must be one of {', '.join(CORRECTIONS)}, was {correction!r}")


def holm(p_value_K: Float) -> Float:
    """Return Holm's adjusted p-values ``max_{i <= k} (K - i + 1) p_(i)``, at most 1; NaN stays NaN.

    Source:
        Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6(2).
    """
    adjusted_K = np.full(len(p_value_K), np.nan)
    order = np.argsort(p_value_K, kind="stable")[: int(np.sum(~np.isnan(p_value_K)))]
    factors = len(order) - np.arange(len(order))
    adjusted_K[order] = np.minimum(np.maximum.accumulate(factors * p_value_K[order]), 1.0)
    return adjusted_K


def romano_wolf(statistic_K: Float, draws_RK: Float) -> Float:
    """Return step-down p-values: each statistic against the largest draw of all comparisons not yet passed.

    ``p_(k) = (1 + #{max_{j >= k} draw_(j) >= statistic_(k)}) / (R + 1)`` in descending order of the statistics, made
    monotone.

    Args:
        statistic_K: Studentized statistics of the sample, >= 0; NaN where undefined.
        draws_RK: The same of the resamples, centred on the sample's.

    Returns:
        Shape (K,); NaN where the statistic is.

    Source:
        Romano and Wolf (2005), Stepwise Multiple Testing as Formalized Data Snooping, Econometrica 73(4), in the
        form of (2016), Efficient Computation of Adjusted p-Values, Statistics and Probability Letters 113.
    """
    adjusted_K = np.full(len(statistic_K), np.nan)
    defined = int(np.sum(~np.isnan(statistic_K)))
    order = np.argsort(-statistic_K, kind="stable")[:defined]
    if not defined:
        return adjusted_K
    largest_RK = np.maximum.accumulate(draws_RK[:, order[::-1]], axis=1)[:, ::-1]
    exceeded_K = np.sum(largest_RK >= statistic_K[order], axis=0)
    adjusted_K[order] = np.maximum.accumulate((1.0 + exceeded_K) / (len(draws_RK) + 1.0))
    return adjusted_K
