"""Intervals of means of independent values: episodes, prompts, answers. Legend: E values, R resamples."""

import numpy as np
import numpy.typing as npt

from tradewright.evaluate.evidence import Interval

Float = npt.NDArray[np.float64]


def mean_interval(value_E: Float, num_resamples: int, confidence: float, seed: int) -> Interval:
    """Return the mean with the percentile interval of the bootstrap; values are independent.

    Source: Efron, "Bootstrap methods: another look at the jackknife", 1979.
    """
    rng = np.random.default_rng(seed)
    index_RE = rng.integers(0, len(value_E), (num_resamples, len(value_E)))
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(value_E[index_RE].mean(axis=1), [tail, 100.0 - tail])
    return Interval(value=float(value_E.mean()), low=float(low), high=float(high))


def require_resampling(num_resamples: int, confidence: float, seed: int) -> None:
    """Refuse settings of intervals that are out of range.

    Raises:
        ValueError: The message starts with the setting's name.
    """
    if num_resamples < 100:
        raise ValueError(f"num_resamples must be >= 100, was {num_resamples}")
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence must be in (0.5, 1), was {confidence}")
    if seed < 0:
        raise ValueError(f"seed must be >= 0, was {seed}")
