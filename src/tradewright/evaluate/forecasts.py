"""How well a network says side, size and return, each beside what needs no network.

The side stands beside always giving the most frequent side of the training bars; size and return beside always giving
their training means. Legend: B examples, L sides.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tradewright.evaluate.language import label_figures
from tradewright.metrics.temperature import tempered
from tradewright.strategy.forecast import Forecasts
from tradewright.target.label_sets import LabelSet, LabelSets
from tradewright.target.labels import ACTIONS

FORECASTS = "forecasts"
"""Kind of the evidence that a judgement of forecasts is."""
Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ForecastJudgement:
    """The figures of the forecasts.

    Args:
        name: Of the network, for tables.
        metrics: With the range as prefix.
        num_examples: Bars that were judged, by range.
        confusion: Test bars by (right side, most probable side).
    """

    name: str
    metrics: Mapping[str, float]
    num_examples: Mapping[str, int] = field(default_factory=dict)
    confusion: Mapping[tuple[str, str], int] = field(default_factory=dict)


def forecast_figures(
    sets: LabelSets, known: LabelSet, said: Forecasts, *, temperature: float = 1.0
) -> dict[str, float]:
    """Return the figures of one range.

    Args:
        sets: For the baselines, which the training set gives.
        known: What is right.
        said: What the network says of the same rows, with raw probabilities.
        temperature: Calibrates them.

    Returns:
        ``side_*`` as ``label_figures`` has them; ``size_mse`` over the bars with a side, NaN without any, and
        ``horizon_mse``, in squared fractions; both with ``_of_mean``, that of always saying the training mean, and
        ``_skill``, 1 - MSE / MSE of the mean: above 0 is better than the mean.
    """
    order = [ACTIONS.index(action) for action in sets.order]
    place = np.argsort(order)
    probability_BL = tempered(said.probabilities_RL, temperature)[:, order]
    sides = label_figures(sets.order, place[known.side_B].astype(np.int64), probability_BL)
    figures = {f"side_{name}": value for name, value in sides.items()}
    for name, right_B, said_B, mean in (
        ("size", known.size_B, said.size_R, sets.size[0]),
        ("horizon", known.horizon_B, said.horizon_R, sets.horizon[0]),
    ):
        is_known_B = ~np.isnan(right_B)
        own = _mse(right_B[is_known_B], said_B[is_known_B])
        of_mean = _mse(right_B[is_known_B], np.full(int(is_known_B.sum()), mean))
        figures[f"{name}_mse"], figures[f"{name}_mse_of_mean"] = own, of_mean
        figures[f"{name}_skill"] = 1.0 - own / of_mean if of_mean > 0 else math.nan
    return figures


def confusion_of(known: LabelSet, said: Forecasts) -> dict[tuple[str, str], int]:
    """Return how many bars there are by (right side, most probable side)."""
    pairs = zip(known.side_B.tolist(), said.probabilities_RL.argmax(axis=1).tolist(), strict=True)
    return dict(Counter((ACTIONS[right], ACTIONS[taken]) for right, taken in pairs))


def _mse(right_B: Float, said_B: Float) -> float:
    return float(np.mean((right_B - said_B) ** 2)) if len(right_B) else math.nan
