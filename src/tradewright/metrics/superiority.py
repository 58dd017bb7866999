"""Is the best of many strategies better than a benchmark? Hansen's SPA test and Romano and Wolf's StepM, by ``arch``.

Both compare mean returns and correct for the number of strategies that were tried. ``arch`` loads pandas and SciPy,
which takes a second, so this module is imported only where the tests are asked for.
Legend: S strategies, n returns.

Source: Hansen (2005), A Test for Superior Predictive Ability, Journal of Business and Economic Statistics 23(4); Romano
and Wolf (2005), Stepwise Multiple Testing as Formalized Data Snooping, Econometrica 73(4).
"""

import math
from dataclasses import dataclass

import numpy as np
from arch.bootstrap import StepM

from tradewright.metrics.bootstrap import MIN_RETURNS, optimal_block_length
from tradewright.metrics.history import Float
from tradewright.metrics.returns import NOISE


@dataclass(frozen=True, kw_only=True)
class Superiority:
    """The answer of both tests.

    Args:
        p_value: Hansen's consistent p-value of "no strategy has a higher mean return than the benchmark"; NaN where
            undefined.
        superior: Positions of the strategies that StepM finds better, at a family-wise error of ``1 - confidence``.
        confidence: Of the selection.
    """

    p_value: float
    superior: tuple[int, ...]
    confidence: float


def find_superior(
    benchmark_n: Float, strategies_Sn: Float, *, num_resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> Superiority:
    """Test whether any strategy has a higher mean return than the benchmark, and which.

    Args:
        benchmark_n: Simple returns of the benchmark, fractions.
        strategies_Sn: Simple returns over the same periods.
        num_resamples: Of the stationary bootstrap.
        confidence: In (0, 1).
        seed: Of the resamples.

    Returns:
        Undefined with fewer than 20 returns or an undefined benchmark. A strategy with an undefined return, or with
        the benchmark's own returns, takes no part.
    """
    excess_Sn = strategies_Sn - benchmark_n
    differs_S = np.all(np.isfinite(excess_Sn), axis=1) & (np.std(excess_Sn, axis=1) > NOISE)
    kept = np.flatnonzero(differs_S)
    if len(benchmark_n) < MIN_RETURNS or len(kept) == 0:
        return Superiority(p_value=math.nan, superior=(), confidence=confidence)
    # arch takes losses, the lower the better, and whole block lengths.
    losses_nS = -strategies_Sn[kept].T
    length = max(1, round(float(np.mean([optimal_block_length(excess_n) for excess_n in excess_Sn[kept]]))))
    stepwise = StepM(-benchmark_n, losses_nS, 1.0 - confidence, block_size=length, reps=num_resamples, seed=seed)
    stepwise.compute()
    stepwise.spa.compute()  # over all strategies again, on the resamples that it keeps
    return Superiority(
        p_value=float(stepwise.spa.pvalues["consistent"]),
        superior=tuple(int(kept[int(str(place))]) for place in stepwise.superior_models),
        confidence=confidence,
    )
