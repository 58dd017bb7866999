"""How runs learnt, beside each other: the validation figure over the frames, the mean over seeds with its interval.

Read from ``curves.json`` of the runs. Legend: K validations, S seeds.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tradewright.errors import RunError
from tradewright.metrics.figures import describe
from tradewright.metrics.history import Float
from tradewright.metrics.seeds import interval_half_width
from tradewright.output import CURVES, read_json
from tradewright.report.axes import BASELINE_COLOURS, DASHES, STRATEGY_COLOUR, Chart, blank
from tradewright.report.compare_table import column_title
from tradewright.report.comparison import Comparison
from tradewright.report.differences import SEED, group_by_seed
from tradewright.report.runs import RunRecord

MAX_LINES = 12
"""Configurations drawn: more bands cannot be told apart."""
BAND_OPACITY = 0.12
Lines = dict[str, tuple[Float, Float]]
"""Steps and values ``[K]`` by figure."""


def draw_learning(comparison: Comparison, names: Sequence[str]) -> tuple[Chart | None, list[str]]:
    """Return the chart, None where no run recorded the figure, and a sentence for each run that cannot be read.

    Args:
        comparison: The runs, best first.
        names: What to call each run that shares its configuration with no other.
    """
    records = comparison.records
    found = group_by_seed(
        [record.config for record in records],
        [record.fingerprint for record in records],
        [record.trial for record in records],
    )
    curves: list[tuple[str, list[Lines]]] = []
    problems: list[str] = []
    for group in found:
        label = names[group[0]] if len(group) == 1 else _label(comparison, group[0])
        curves.append((label, [_read(records[index], problems) for index in group]))
    wanted = _figure(comparison.sort, [lines for _, runs in curves for lines in runs])
    drawn = [(label, [lines[wanted] for lines in runs if wanted in lines]) for label, runs in curves]
    drawn = [(label, seeds) for label, seeds in drawn if seeds]
    if not drawn:
        return None, problems
    if len(drawn) > MAX_LINES:
        problems.append(f"Learning is drawn for the first {MAX_LINES} of {len(drawn):,} configurations.")
    figure = blank(column_title(wanted), "Frames", percent=describe(wanted).unit == "fraction")
    for place, (label, seeds) in enumerate(drawn[:MAX_LINES]):
        _add(figure, place, label, seeds)
    figure.update_layout(height=420, hovermode="closest")
    most = max(len(seeds) for _, seeds in drawn)
    about = f"{column_title(wanted)} after each epoch, of the weights at that moment."
    if most > 1:
        about += " Lines are means over seeds, bands their 95 % intervals (Student's t)."
    return Chart("learning", "How they learnt", about, figure, is_wide=True), problems


def _read(record: RunRecord, problems: list[str]) -> Lines:
    """Return the curves of a run by name; what cannot be read becomes a sentence."""
    path = record.path / CURVES
    if not path.is_file():
        return {}
    try:
        content: Any = read_json(path)
        return {
            name: (np.asarray(curve["steps"], dtype=np.float64), np.asarray(curve["values"], dtype=np.float64))
            for name, curve in content.items()
        }
    except (RunError, KeyError, TypeError, ValueError, AttributeError) as error:
        problems.append(f"{path}: its learning curves are not drawn, {' '.join(str(error).split())}")
        return {}


def _label(comparison: Comparison, index: int) -> str:
    """Return the settings of a run but for its seed."""
    settings = comparison.runs[index].settings
    return ", ".join(value for title, value in settings.items() if title != SEED) or "all seeds"


def _figure(sort: str, curves: Sequence[Lines]) -> str:
    """Return the validation figure to draw: that of the order, else the first that any run recorded."""
    wanted = f"validation/{sort.partition('/')[2]}"
    names = [name for lines in curves for name in lines if name.startswith("validation/")]
    return wanted if wanted in names or not names else names[0]


def _add(figure: Any, place: int, label: str, seeds: Sequence[tuple[Float, Float]]) -> None:
    """Draw the mean of the seeds over the steps that all of them have, and the band around it."""
    colours = (STRATEGY_COLOUR, *BASELINE_COLOURS)
    colour = colours[place % len(colours)]
    dash = ("solid", *DASHES)[place // len(colours) % (len(DASHES) + 1)]
    steps_K = seeds[0][0]
    for other, _ in seeds[1:]:
        steps_K = np.intersect1d(steps_K, other)
    values_SK = np.array([values[np.isin(steps, steps_K)] for steps, values in seeds])
    mean_K = values_SK.mean(0)
    if len(seeds) > 1:
        half_K = np.array([interval_half_width(values_S) for values_S in values_SK.T])
        figure.add_scatter(
            x=np.concatenate((steps_K, steps_K[::-1])),
            y=np.concatenate((mean_K + half_K, (mean_K - half_K)[::-1])),
            mode="lines",
            fill="toself",
            fillcolor=colour,
            opacity=BAND_OPACITY,
            line={"width": 0},
            hoverinfo="skip",
            legendgroup=label,
            showlegend=False,
        )
    name = label if len(seeds) == 1 else f"{label} ({len(seeds)} seeds)"
    figure.add_scatter(
        x=steps_K,
        y=mean_K,
        mode="lines+markers",
        line={"color": colour, "width": 1.8, "dash": dash},
        marker={"size": 4},
        name=name,
        legendgroup=label,
    )
