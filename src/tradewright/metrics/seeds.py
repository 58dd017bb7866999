"""The mean of a figure over training seeds with its interval."""

import math

import numpy as np
import numpy.typing as npt


def interval_half_width(values: npt.ArrayLike, confidence: float = 0.95) -> float:
    """Return half the width of Student's interval of the mean: t(n - 1) · s / √n, s with ddof 1.

    It says how well the seeds determine the mean of the training procedure on these bars; luck in the bars themselves
    is the affair of the bootstrap intervals.

    Args:
        values: One figure per seed, ``[n]``.
        confidence: Level, in (0, 1).

    Returns:
        In the unit of ``values``; NaN for fewer than two values or where one is NaN.

    Source: Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", NeurIPS 2021, on why
    a few seeds need an interval; Student 1908.
    """
    from scipy.special import stdtrit  # a tenth of a second, only where seeds were repeated

    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        return math.nan
    quantile = float(stdtrit(len(x) - 1, 0.5 + confidence / 2))
    return quantile * float(np.std(x, ddof=1)) / math.sqrt(len(x))
