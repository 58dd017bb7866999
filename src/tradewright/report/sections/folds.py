"""The cross-validation: which bars each fit was trained, chosen and judged on, and how the judged paths spread.

Legend: P paths, T bars.
"""

import math
from functools import partial

import numpy as np

from tradewright.evaluate.evidence import Folds, Span
from tradewright.metrics.figures import DASH, describe, show
from tradewright.report.content import ReportContent
from tradewright.report.sections.folds_charts import are_alike, draw_folds
from tradewright.report.sections.section import Grid, Section, show_day

KEY = "folds"
KINDS = {
    "walk_forward": "Walk-forward: every fold is trained on bars before those that it is judged on.",
    "purged_k_fold": "Purged k-fold: every bar is judged once, by a fit that saw neither it nor its neighbours.",
    "combinatorial": "Combinatorial purged cross-validation: every choice of test blocks is one fit, and the blocks "
    "are stitched to paths over all bars, so that there is a distribution of figures and not one.",
}
FIGURES = ("sharpe", "total_return", "max_drawdown", "num_trades")


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
        draw=partial(draw_folds, found, sharpes),
    )


def _sharpes(found: Folds) -> np.ndarray:
    return np.array([metrics.get("sharpe", math.nan) for metrics in found.path_metrics], dtype=np.float64)


def _finding(found: Folds, sharpes_P: np.ndarray) -> str:
    own = np.array([fold.metrics.get("sharpe", math.nan) for fold in found.folds])
    judged = own[~np.isnan(own)]
    text = f"The Sharpe ratio is above zero in {int(np.sum(judged > 0))} of {len(judged)} folds"
    if len(judged) < len(own):
        text += f" with a defined ratio ({len(own) - len(judged)} undefined)"
    defined = sharpes_P[np.isfinite(sharpes_P)]
    if are_alike(found):
        text += f"; all {len(sharpes_P):,} paths are the same, because no fit differs from another"
    elif len(defined) > 1:
        text += (
            f"; over {_count_paths(len(defined), len(sharpes_P))} it runs from {defined.min():.2f} "
            f"to {defined.max():.2f}, median {np.median(defined):.2f}"
        )
    return f"{text}."


def _count_paths(num_defined: int, num: int) -> str:
    if num_defined == num:
        return f"{num:,} paths"
    return f"{num_defined:,} paths with a defined ratio ({num - num_defined:,} undefined)"


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
    text = f"{show_day(start)} to {show_day(end)}"
    return text if len(spans) == 1 else f"{text} in {len(spans)} parts"
