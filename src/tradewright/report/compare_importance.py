"""How much each setting matters for the figure that orders the runs: PED-ANOVA, by Optuna, on the runs as trials.

For each setting the distribution of its values over the best runs is compared with that over all runs (Pearson
divergence of Parzen estimates); the larger the difference, the more the setting decides whether a run is among the
best. Few best runs differ from all by chance too, and more so in a number than in a word with two values: so the same
is done with the figures shuffled among the runs, and what that gives on average is taken off. In 40 studies of 24
random runs each, a decisive word with two values came first in 90 % (without the correction, and with the five best
runs of Optuna's advice, in 52 %), and a setting without effect was called beyond chance in 2 to 10 %.

A setting that only some runs have (a conditional one) counts where it exists. Runs that differ only by seed are several
trials with the same settings, so that their spread is part of the answer. Legend: R judged runs.

Source: Watanabe, Bansal, Hutter (2023), PED-ANOVA, IJCAI; for conditional settings condPED-ANOVA, arXiv 2601.20800;
for the shuffles Barnard (1963), Monte Carlo tests, Journal of the Royal Statistical Society B 25.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewright.metrics.figures import describe
from tradewright.metrics.history import Float
from tradewright.report.axes import HOLD_COLOUR, STRATEGY_COLOUR, Chart, blank
from tradewright.report.compare_table import column_title
from tradewright.report.compared_rows import ComparedRow
from tradewright.report.comparison import Comparison
from tradewright.report.differences import ABSENT, SEED
from tradewright.report.settings import is_wide, numbers_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

MIN_RUNS = 10
"""Runs from which the importance is given; with fewer it would be noise."""

BEST_SHARE, MIN_BEST = 0.25, 10
"""Of all runs, how many count as the best; at least so many, but never more than half."""

NUM_SHUFFLES = 19
"""What beats 19 shuffles would be chance in one case of 20."""

MAX_CELLS = 8_000
"""Settings times runs that are weighed, the first settings: more would take seconds."""

FEW_RUNS = 30
"""Runs below which the answer is called a hint."""


@dataclass(frozen=True)
class Weight:
    """One setting.

    Args:
        title: Its name.
        share: Of the importance of all settings above chance, in [0, 1].
        is_beyond_chance: Whether its importance beats that of every shuffle.
    """

    title: str
    share: float
    is_beyond_chance: bool


def weigh_settings(comparison: Comparison) -> tuple[Weight, ...]:
    """Return the weight of every differing setting, the largest first.

    Args:
        comparison: The runs.

    Returns:
        Empty with fewer than ``MIN_RUNS`` judged runs, or where no setting is above what chance gives.
    """
    rows = _judged(comparison)
    space = _space(rows, _titles(comparison, len(rows)))
    if len(rows) < MIN_RUNS or not space:
        return ()
    better = describe(comparison.sort).better or 1
    loss_R = np.array([-better * row.values[comparison.sort] for row in rows])
    rng = np.random.default_rng(0)
    shuffled = [rng.permutation(loss_R) for _ in range(NUM_SHUFFLES)]
    import optuna  # a sixth of a second, and only a page of many runs needs it

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        study.add_trials([_trial(row, space) for row in rows])
        found, *by_chance = (_divergences(study, list(space), one_R) for one_R in (loss_R, *shuffled))
    finally:
        optuna.logging.set_verbosity(before)
    above = {title: found[title] - sum(one[title] for one in by_chance) / NUM_SHUFFLES for title in space}
    total = sum(value for value in above.values() if value > 0)
    weights = [
        Weight(title, max(value, 0.0) / total, all(found[title] > one[title] for one in by_chance))
        for title, value in above.items()
        if total > 0
    ]
    return tuple(sorted(weights, key=lambda weight: -weight.share))


def best_share(num: int) -> float:
    """Return the share of ``num`` runs that count as the best."""
    return min(0.5, max(BEST_SHARE, MIN_BEST / num))


def _judged(comparison: Comparison) -> list[ComparedRow]:
    return [row for row in comparison.runs if row.settings and math.isfinite(row.values.get(comparison.sort, math.nan))]


def _titles(comparison: Comparison, num: int) -> list[str]:
    return [title for title in comparison.titles if title != SEED][: MAX_CELLS // max(1, num)]


def _divergences(study: "Study", titles: list[str], loss_R: Float) -> dict[str, float]:
    """Return the importance of each setting for a low loss, as Optuna computes it."""
    import optuna

    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=best_share(len(loss_R)))
    with warnings.catch_warnings():
        # It says that low targets are best, which is meant, and that ``normalize`` is experimental.
        warnings.filterwarnings("ignore", message="PedAnovaImportanceEvaluator computes the importances")
        warnings.filterwarnings("ignore", message="Argument ``normalize`` is an experimental feature")
        return optuna.importance.get_param_importances(
            study,
            evaluator=evaluator,
            params=titles,
            target=lambda trial: float(loss_R[trial.number]),
            normalize=False,  # it would make weights equal that are all zero
        )


def _space(rows: Sequence[ComparedRow], titles: Sequence[str]) -> "dict[str, BaseDistribution]":
    """Return the distribution of every setting with more than one value: a range of numbers, or words."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    space: dict[str, BaseDistribution] = {}
    for title in titles:
        texts = [row.settings[title] for row in rows if row.settings[title] != ABSENT]
        if len(set(texts)) < 2:
            continue
        numbers = numbers_of(texts)
        if numbers:
            space[title] = FloatDistribution(min(numbers), max(numbers), log=is_wide(numbers))
        else:
            space[title] = CategoricalDistribution(sorted(set(texts)))
    return space


def _trial(row: ComparedRow, space: "dict[str, BaseDistribution]") -> "FrozenTrial":
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import create_trial

    present = {title: kind for title, kind in space.items() if row.settings[title] != ABSENT}
    params: dict[str, Any] = {
        title: row.settings[title] if isinstance(kind, CategoricalDistribution) else float(row.settings[title])
        for title, kind in present.items()
    }
    return create_trial(params=params, distributions=present, value=0.0)


def draw_importance(comparison: Comparison) -> Chart | None:
    """Return the chart, None where nothing can be said."""
    weights = weigh_settings(comparison)
    if not weights:
        return None
    figure = blank("", "Share of the importance")
    figure.add_bar(
        x=[weight.share for weight in weights],
        y=[weight.title for weight in weights],
        orientation="h",
        marker={"color": [STRATEGY_COLOUR if one.is_beyond_chance else HOLD_COLOUR for one in weights], "opacity": 0.8},
        text=[f"{one.share:.0%}{'' if one.is_beyond_chance else ', may be chance'}" for one in weights],
        textposition="auto",
        cliponaxis=False,
    )
    figure.update_xaxes(tickformat=".0%", range=[0, 1.15 * weights[0].share])
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_layout(height=120 + 28 * len(weights), showlegend=False, hovermode="closest")
    return Chart("importance", "Which settings matter", _describe(comparison), figure, is_wide=True)


def _describe(comparison: Comparison) -> str:
    num = len(_judged(comparison))
    about = (
        f"Of what decides whether a run is among the best {best_share(num):.0%} by {column_title(comparison.sort)}, "
        f"the share of each setting by itself: PED-ANOVA over {num:,} runs, which compares the values of a setting "
        f"among the best runs with those of all, less what {NUM_SHUFFLES} shuffles of the figures give. Grey bars do "
        "not beat every shuffle."
    )
    left = len(comparison.titles) - (SEED in comparison.titles) - len(_titles(comparison, num))
    if left > 0:
        about += f" {left:,} further settings are not weighed."
    if num < FEW_RUNS:
        about += " With so few runs take it as a hint."
    return about
