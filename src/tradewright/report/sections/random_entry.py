"""Whether the strategy's timing is better than chance: it among strategies with the same positions at random times."""

import math
from functools import partial

import numpy as np

from tradewright.evaluate.evidence import RandomEntry, Significance
from tradewright.metrics.figures import show
from tradewright.report.axes import HOLD_COLOUR, INK, STRATEGY_COLOUR, Chart, blank, mark_x
from tradewright.report.chance import show_p
from tradewright.report.content import ReportContent, readable
from tradewright.report.sections.section import Grid, Section

KEY = "random_entry"
LEVEL = 0.05
"""p-value below which timing is called more than chance."""

NUM_BINS = 40
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def build(content: ReportContent) -> Section | None:
    """Return the section, or None where no random strategies were run."""
    found = content.find(KEY, RandomEntry)
    if found is None:
        return None
    judged = content.find("significance", Significance)
    finding = _finding(found, judged.num_trials if judged else 1)
    return Section(
        title="Random entry",
        anchor="random-entry",
        findings=(finding,),
        tone="good" if found.p_value < LEVEL else "warning",
        paragraphs=(found.method,),
        grids=(_quantiles(content, found),),
        lines=(f"Random entry: {finding}",),
        draw=partial(_charts, content, found),
    )


def _finding(found: RandomEntry, num_trials: int) -> str:
    number = len(found.sharpe_R)
    if math.isnan(found.p_value):
        return "The Sharpe ratio is undefined, so it cannot be compared with random times."
    end = "its timing is not better than chance"
    if found.p_value < LEVEL:
        trials = f", before correcting for the {num_trials:,} trials" if num_trials > 1 else ""
        end = f"its timing is more than chance explains{trials}"
    p = show_p(found.p_value)
    as_good = int(np.sum(found.sharpe_R >= found.sharpe))
    return (
        f"{as_good:,} of {number:,} strategies that hold the same positions at random times have a Sharpe ratio of "
        f"{found.sharpe:.2f} or more ({f'p {p}' if p[0] == '<' else f'p = {p}'}): {end}."
    )


def _quantiles(content: ReportContent, found: RandomEntry) -> Grid:
    rows = [
        (label, *(show(key, float(np.nanquantile(values, share))) for share in QUANTILES), show(key, own))
        for label, key, values, own in (
            ("Sharpe ratio", "sharpe", found.sharpe_R, found.sharpe),
            ("Total return", "total_return", found.total_return_R, found.total_return),
        )
        if not np.isnan(values).all()
    ]
    titles = ("Random strategies", *(f"{share:.0%}" for share in QUANTILES), readable(content.strategy.name))
    return Grid(titles=titles, rows=tuple(rows), classes={(row, len(QUANTILES) + 1): "own" for row in range(len(rows))})


def _charts(content: ReportContent, found: RandomEntry) -> tuple[Chart, ...]:
    name = readable(content.strategy.name)
    about = f"Grey: random strategies. Blue: {name}; the share of the grey area right of it is the p-value."
    charts = (
        _histogram("random-sharpe", "Sharpe ratio among random times", about, found.sharpe_R, found.sharpe, name, ""),
        _histogram(
            "random-return",
            "Total return among random times",
            "The same for the return: exposure and turnover are alike, only the times differ.",
            found.total_return_R,
            found.total_return,
            name,
            ".0%",
        ),
    )
    return tuple(chart for chart in charts if chart)


def _histogram(
    key: str, title: str, about: str, values_R: np.ndarray, own: float, name: str, tick_format: str
) -> Chart | None:
    values = values_R[np.isfinite(values_R)]
    if len(values) == 0 or not math.isfinite(own):
        return None
    counts, edges = np.histogram(values, bins=min(NUM_BINS, max(5, len(values) // 5)))
    figure = blank("Random strategies", title.partition(" among")[0])
    figure.add_bar(
        x=(edges[1:] + edges[:-1]) / 2, y=counts, width=np.diff(edges), marker={"color": HOLD_COLOUR, "opacity": 0.6}
    )
    mark_x(figure, float(np.quantile(values, 1 - LEVEL)), "", INK, width=1, dash="dot")
    mark_x(figure, own, name, STRATEGY_COLOUR, width=3)
    figure.update_layout(showlegend=False, hovermode="closest", bargap=0, height=300, margin={"t": 26})
    figure.update_xaxes(tickformat=tick_format or None)
    return Chart(key, title, f"{about} Dotted: the best {LEVEL:.0%} begin.", figure)
