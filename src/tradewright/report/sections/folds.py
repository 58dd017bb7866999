"""The cross-validation: which bars each fit was trained, chosen and judged on, and how the judged paths spread.

Legend: P paths, T bars.
"""

import math
from collections.abc import Iterable
from functools import partial

import numpy as np

from tradewright.evaluate.evidence import Fold, Folds, Span
from tradewright.metrics.figures import DASH, describe, show
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
from tradewright.report.content import ReportContent
from tradewright.report.sections.section import Grid, Section

KEY = "folds"
KINDS = {
    "walk_forward": "Walk-forward: every fold is trained on bars before those that it is judged on.",
    "purged_k_fold": "Purged k-fold: every bar is judged once, by a fit that saw neither it nor its neighbours.",
    "combinatorial": "Combinatorial purged cross-validation: every choice of test blocks is one fit, and the blocks "
    "are stitched to paths over all bars, so that there is a distribution of figures and not one.",
}
FIGURES = ("sharpe", "total_return", "max_drawdown", "num_trades")
TRAIN_COLOUR, VALIDATION_COLOUR = "#b6c7dd", "#e5b25d"
MAX_PATHS = 20
"""Paths drawn; the others would only cover them."""

PATH_POINTS = 800
MILLISECONDS = np.timedelta64(1, "ms")


def build(content: ReportContent) -> Section | None:
    """Return the section, or None where one split was judged."""
    found = content.find(KEY, Folds)
    if found is None:
        return None
    sharpes = _sharpes(found)
    finding = _finding(found, sharpes)
    return Section(
        title="Cross-validation",
        anchor=KEY,
        findings=(finding,),
        paragraphs=(KINDS.get(found.kind, f"Cross-validation: {found.kind}."),),
        grids=tuple(grid for grid in (_fold_table(found), _path_table(found)) if grid),
        lines=(f"Cross-validation: {finding}",),
        draw=partial(_charts, content, found, sharpes),
    )


def _sharpes(found: Folds) -> np.ndarray:
    return np.array([metrics.get("sharpe", math.nan) for metrics in found.path_metrics], dtype=np.float64)


def _finding(found: Folds, sharpes_P: np.ndarray) -> str:
    own = np.array([fold.metrics.get("sharpe", math.nan) for fold in found.folds])
    text = f"The Sharpe ratio is above zero in {int(np.sum(own > 0))} of {len(own)} folds"
    defined = sharpes_P[np.isfinite(sharpes_P)]
    if len(defined) > 1:
        text += (
            f"; over {len(sharpes_P):,} paths it runs from {defined.min():.2f} to {defined.max():.2f}, "
            f"median {np.median(defined):.2f}"
        )
    if not math.isnan(found.overfitting_probability):
        text += f"; probability of backtest overfitting {found.overfitting_probability:.0%}"
    return f"{text}."


def _fold_table(found: Folds) -> Grid:
    keys = [key for key in FIGURES if any(key in fold.metrics for fold in found.folds)]
    rows = tuple(
        (
            fold.name,
            _spans(fold.train),
            _spans((fold.validation,)),
            _spans(fold.test),
            *(show(key, fold.metrics.get(key, math.nan)) for key in keys),
        )
        for fold in found.folds
    )
    titles = ("Fold", "Train", "Validation", "Test", *(describe(key).title for key in keys))
    return Grid(caption="Folds, judged on their own test bars", titles=titles, rows=rows, words=(0, 1, 2, 3))


def _path_table(found: Folds) -> Grid | None:
    if len(found.path_metrics) < 2:
        return None
    keys = [key for key in FIGURES if any(key in metrics for metrics in found.path_metrics)]
    rows = tuple(
        (
            f"{place + 1}{' (reported)' if place == found.chosen else ''}",
            *(show(key, metrics.get(key, math.nan)) for key in keys),
        )
        for place, metrics in enumerate(found.path_metrics)
    )
    classes = {(found.chosen, column): "own" for column in range(len(keys) + 1)}
    return Grid(caption="Paths", titles=("Path", *(describe(key).title for key in keys)), rows=rows, classes=classes)


def _spans(spans: tuple[Span, ...]) -> str:
    if not spans:
        return DASH
    start, end = min(span[0] for span in spans), max(span[1] for span in spans)
    text = f"{_day(start)} to {_day(end)}"
    return text if len(spans) == 1 else f"{text} in {len(spans)} parts"


def _day(ts: np.datetime64) -> str:
    return str(ts.astype("datetime64[D]"))


def _charts(content: ReportContent, found: Folds, sharpes_P: np.ndarray) -> tuple[Chart, ...]:
    timeline, sharpes = _timeline(found.folds), _fold_sharpes(found.folds)
    if len(found.paths) < 2:
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
            customdata=[f"{_day(span[0])} to {_day(span[1])}" for _, span in rows],
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
    words = {name.rpartition(" ")[0] for name in names}  # "fold 1", "fold 2": the axis says their word once
    common = f"{words.pop()} " if len(words) == 1 and all(" " in name for name in names) else ""
    figure = blank("Sharpe ratio", common.strip().capitalize())
    colours = [GOOD_COLOUR if value > 0 else BAD_COLOUR for value in values]
    figure.add_bar(x=[name.removeprefix(common) for name in names], y=values, marker={"color": colours, "opacity": 0.8})
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
