"""``EpisodeContent``: what the report of a run without a market shows, and its sections for every format.

Legend: E episodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.metrics.figures import describe, show
from tradewright.report.axes import STRATEGY_COLOUR, Chart, blank
from tradewright.report.content import Curve, figures_under
from tradewright.report.sections import figures
from tradewright.report.sections.section import Grid, Section

NUM_BINS = 30
ROWS = ("mean_return", "mean_return_low", "mean_return_high", "std_return", "mean_length")


@dataclass(frozen=True, kw_only=True)
class EpisodeContent:
    """What a report of episodes shows.

    Args:
        title: Heading.
        experiment: Name of the experiment.
        run: Name of the run directory.
        command: How the run was started.
        config_yaml: Its configuration.
        provenance: Content of ``provenance.json``.
        metrics: Content of ``metrics.json``.
        seeds: Of the test episodes.
        return_E: Their returns.
        length_E: Their lengths in steps.
        confidence: Level of the interval of the mean return.
        notes: Sentences that must be shown.
        curves: Learning curves.
    """

    title: str
    experiment: str
    run: str
    command: str
    config_yaml: str
    provenance: Mapping[str, Any]
    metrics: Mapping[str, float]
    seeds: tuple[int, ...]
    return_E: npt.NDArray[np.float64]
    length_E: npt.NDArray[np.int64]
    confidence: float
    notes: tuple[str, ...]
    curves: Mapping[str, Curve]

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        mean, low, high = (show(key, self.metrics[f"test/{key}"]) for key in ROWS[:3])
        return (
            f"Mean return {mean} over {len(self.seeds)} test episodes, {self.confidence:.0%} interval {low} to {high}."
        )


def episode_sections(content: EpisodeContent) -> tuple[Section, ...]:
    """Return the sections: figures, learning curves, and the episodes one by one."""
    sections = (_figures(content), figures.build_learning(content.curves), _episodes(content))
    return tuple(section for section in sections if section)


def summary_rows(content: EpisodeContent) -> tuple[tuple[str, str, str], ...]:
    """Return label, test and validation value of every figure."""
    test, validation = (figures_under(content.metrics, prefix) for prefix in ("test/", "validation/"))
    return tuple(
        (describe(key).label, show(key, test[key]), show(key, validation[key]) if key in validation else "")
        for key in ROWS
    )


def _figures(content: EpisodeContent) -> Section:
    return Section(
        title="Episodes",
        anchor="figures",
        paragraphs=(
            "Whole episodes on Gymnasium's own environment. The validation episodes chose the checkpoint; the test"
            " episodes have other seeds and were played once. Returns are undiscounted sums of rewards.",
        ),
        grids=(Grid(titles=("Figure", "Test", "Validation"), rows=summary_rows(content), kind="narrow"),),
        draw=partial(_distribution, content),
    )


def _distribution(content: EpisodeContent) -> tuple[Chart, ...]:
    """Draw the histogram of the test returns."""
    counts, edges = np.histogram(content.return_E, bins=min(NUM_BINS, len(content.return_E)))
    figure = blank("Number of episodes", "Return")
    figure.add_bar(
        x=(edges[1:] + edges[:-1]) / 2, y=counts, width=np.diff(edges), marker={"color": STRATEGY_COLOUR}, name="test"
    )
    figure.update_layout(showlegend=False, bargap=0, hovermode="closest")
    return (Chart("returns", "Returns of the test episodes", "", figure),)


def _episodes(content: EpisodeContent) -> Section:
    rows = tuple(
        (str(seed), f"{value:.6g}", str(length))
        for seed, value, length in zip(content.seeds, content.return_E, content.length_E, strict=True)
    )
    grid = Grid(titles=("Seed", "Return", "Steps"), rows=rows, kind="tall", words=())
    return Section(title="Test episodes", anchor="episodes", link="Each episode", grids=(grid,))
