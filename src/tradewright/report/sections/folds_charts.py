"""The charts of a cross-validation: what each fit saw, its Sharpe ratio, and how the stitched paths spread.

Legend: P paths, T bars.
"""

import math
from collections.abc import Iterable

import numpy as np

from tradewright.evaluate.evidence import Fold, Folds, Span
from tradewright.report.axes import (
    BAD_COLOUR,
    GOOD_COLOUR,
    HOLD_COLOUR,
    STRATEGY_COLOUR,
    Chart,
    blank,
    chart_marks,
    thin,
    times,
)
from tradewright.report.sections.section import show_day

TRAIN_COLOUR, VALIDATION_COLOUR = "#b6c7dd", "#e5b25d"
MAX_PATHS = 20
"""Paths drawn; the others would only cover them."""

PATH_POINTS = 800
MILLISECONDS = np.timedelta64(1, "ms")


def are_alike(found: Folds) -> bool:
    """Return whether there are paths and all are the same history, as for a rule, which nothing is fitted to."""
    return len(found.paths) > 1 and all(
        np.array_equal(found.paths[0].equity_T, path.equity_T) for path in found.paths[1:]
    )


def draw_folds(found: Folds, sharpes_P: np.ndarray) -> tuple[Chart, ...]:
    """Draw the spans of every fit and its Sharpe ratio, and where they differ the paths and theirs."""
    timeline, sharpes = _timeline(found.folds), _fold_sharpes(found.folds)
    if len(found.paths) < 2 or are_alike(found):
        return timeline, sharpes
    return timeline, _paths(found, sharpes_P), sharpes, _path_sharpes(found, sharpes_P)


def _timeline(folds: tuple[Fold, ...]) -> Chart:
    figure = blank("", "")
    parts: tuple[tuple[str, str, Iterable[tuple[str, Span]]], ...] = (
        ("train", TRAIN_COLOUR, [(fold.name, span) for fold in folds for span in fold.train]),
        ("validation", VALIDATION_COLOUR, [(fold.name, fold.validation) for fold in folds]),
        ("test", STRATEGY_COLOUR, [(fold.name, span) for fold in folds for span in fold.test]),
    )
    for name, colour, spans in parts:
        rows = list(spans)
        figure.add_bar(
            orientation="h",
            name=name,
            y=[fold for fold, _ in rows],
            base=[str(span[0].astype("datetime64[s]")) for _, span in rows],
            x=[float((span[1] - span[0]) / MILLISECONDS) for _, span in rows],
            customdata=[f"{show_day(span[0])} to {show_day(span[1])}" for _, span in rows],
            hovertemplate="%{y} " + name + " %{customdata}<extra></extra>",
            marker={"color": colour, "line": {"width": 0}},
        )
    figure.update_layout(barmode="overlay", bargap=0.35, hovermode="closest", height=min(110 + 24 * len(folds), 900))
    figure.update_xaxes(type="date")
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, ticks="", automargin=True)
    return Chart(
        "folds-timeline",
        "What each fold saw",
        "One row per fold; a gap between training and test bars is the embargo and what purging left out.",
        figure,
        is_wide=True,
    )


def _fold_sharpes(folds: tuple[Fold, ...]) -> Chart:
    values = [fold.metrics.get("sharpe", math.nan) for fold in folds]
    names = [fold.name for fold in folds]
    words = {name.rstrip("0123456789_ ") for name in names}  # "fold 1", "blocks_1_2": the axis says their word once
    common = words.pop() if len(words) == 1 else ""
    figure = blank("Sharpe ratio", common.capitalize())
    colours = [GOOD_COLOUR if value > 0 else BAD_COLOUR for value in values]
    places = [name.removeprefix(common).strip(" _") or name for name in names]
    figure.add_bar(x=places, y=values, marker={"color": colours, "opacity": 0.8})
    figure.add_hline(y=0.0, line={"color": "#9ca3af", "width": 1})
    figure.update_layout(showlegend=False, hovermode="closest", height=300)
    figure.update_xaxes(type="category", showgrid=False, automargin=True)
    about = "Annualised, on the fold's own test bars: an edge that lasts shows in most folds, not in one."
    return Chart("folds-sharpe", "Sharpe ratio of each fold", about, figure)


def _paths(found: Folds, sharpes_P: np.ndarray) -> Chart:
    order = np.argsort(sharpes_P, kind="stable")
    drawn = [int(place) for place in order[thin(len(order), MAX_PATHS)] if place != found.chosen] + [found.chosen]
    figure = blank("Growth of 1 (equity ÷ start)", "")
    for place in drawn:
        path, is_chosen = found.paths[place], place == found.chosen
        marks = chart_marks(path.ts_T)
        marks = marks[thin(len(marks), PATH_POINTS)]
        figure.add_scatter(
            x=times(path.ts_T[marks], path.timeframe_s),
            y=path.equity_T[marks] / path.equity_T[0],
            mode="lines",
            name=f"path {place + 1}",
            line={"color": STRATEGY_COLOUR if is_chosen else "#9aa5b5", "width": 2.2 if is_chosen else 0.9},
            hoverinfo="x+y+name" if is_chosen else "skip",
        )
    figure.add_hline(y=1.0, line={"color": "#9ca3af", "width": 1})
    figure.update_layout(showlegend=False)
    shown = "all paths" if len(found.paths) == len(drawn) else f"{len(drawn)} of {len(found.paths):,} paths"
    about = f"Grey: {shown}, all out of sample over the same bars; blue: the one reported, of median Sharpe ratio."
    return Chart("folds-paths", "Equity of the paths", about, figure, is_wide=True)


def _path_sharpes(found: Folds, sharpes_P: np.ndarray) -> Chart:
    figure = blank("", "Sharpe ratio")
    figure.add_box(
        x=sharpes_P,
        y=["paths"] * len(sharpes_P),
        orientation="h",
        boxpoints="all",
        jitter=0.5,
        pointpos=0,
        marker={"color": STRATEGY_COLOUR, "size": 6, "opacity": 0.6},
        line={"color": HOLD_COLOUR},
        fillcolor="rgba(107, 114, 128, 0.12)",
        hovertemplate="%{x:.3f}<extra></extra>",
    )
    figure.add_vline(x=0.0, line={"color": "#9ca3af", "width": 1})
    figure.update_layout(showlegend=False, hovermode="closest", height=300)
    figure.update_yaxes(showgrid=False, ticks="")
    about = "Each dot is one path; the box holds the middle half. A wide spread means that one figure says little."
    return Chart("folds-spread", "Sharpe ratios of the paths", about, figure)
