"""``EpisodeContent``: what the report of a run without a market shows, and its sections for every format.

Legend: E episodes.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from tradewright.metrics.figures import show
from tradewright.report.axes import STRATEGY_COLOUR, Chart, blank
from tradewright.report.plain_content import PlainContent
from tradewright.report.sections import figures
from tradewright.report.sections.section import Grid, Section

NUM_BINS = 30
ROWS = ("mean_return", "mean_return_low", "mean_return_high", "std_return", "mean_length")


@dataclass(frozen=True, kw_only=True)
class EpisodeContent(PlainContent):
    """What a report of episodes shows.

    Args:
        seeds: Of the test episodes.
        return_E: Their returns.
        length_E: Their lengths in steps.
        confidence: Level of the interval of the mean return.
    """

    seeds: tuple[int, ...]
    return_E: npt.NDArray[np.float64]
    length_E: npt.NDArray[np.int64]
    confidence: float

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        mean, low, high = (show(key, self.metrics[f"test/{key}"]) for key in ROWS[:3])
        return (
            f"Mean return {mean} over {len(self.seeds)} test episodes, {self.confidence:.0%} interval {low} to {high}."
        )

    @property
    def rows(self) -> tuple[str, ...]:
        """Mean return with its interval, deviation and length."""
        return ROWS

    def sections(self) -> tuple[Section, ...]:
        """Return figures, learning curves, and the episodes one by one."""
        sections = (_figures(self), figures.build_learning(self.curves), _episodes(self))
        return tuple(section for section in sections if section)


def _figures(content: EpisodeContent) -> Section:
    return Section(
        title="Episodes",
        anchor="figures",
        paragraphs=(
            "Whole episodes on Gymnasium's own environment. The validation episodes chose the checkpoint; the test"
            " episodes have other seeds and were played once. Returns are undiscounted sums of rewards.",
        ),
        grids=(Grid(titles=("Figure", "Test", "Validation"), rows=content.summary_rows(), kind="narrow"),),
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
