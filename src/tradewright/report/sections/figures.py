"""All figures beside the baselines', the strategy on each range, and the learning curves."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from tradewright.report import charts, tables
from tradewright.report.content import Curve, ReportContent, Span, readable
from tradewright.report.learning_charts import learning
from tradewright.report.sections.section import Grid, Section, show_day
from tradewright.report.tables import Row


def build_statistics(content: ReportContent) -> Section:
    """Return every figure of the strategy and the baselines."""
    names = [content.label(name) for name in content.names]
    groups: dict[int, str] = {}
    rows: list[Row] = []
    for heading, part in tables.statistics(content).items():
        groups[len(rows)] = heading
        rows += part
    risk_free = f" Risk-free rate {content.risk_free:.2%} a year." if content.risk_free else ""
    return Section(
        title="Statistics",
        anchor="statistics",
        grids=(row_grid(["Test range", *names], rows, own=1, groups=groups),),
        notes=(
            *content.twin_notes,
            f"Green marks the best of a row. Money is in {content.currency}.{risk_free}",
        ),
    )


def build_ranges(content: ReportContent) -> Section | None:
    """Return the strategy on every range, or None if only one was judged."""
    names, rows = tables.ranges(content)
    if len(names) < 2:
        return None
    if content.periods:
        spans = tuple(_span(content.periods[name]) if name in content.periods else "" for name in names)
        rows = [Row("period", "Period", spans), *rows]
    return Section(
        title=f"{', '.join(names).capitalize()} side by side",
        anchor="ranges",
        link="Ranges",
        paragraphs=("The strategy on each range; validation chose it, so only the test column is unbiased.",),
        grids=(row_grid(["Strategy", *names], rows, own=len(names)),),
        draw=partial(charts.ranges, content),
    )


UNITS = ("validation/characters_per_target",)
"""Curves that only say what another one is measured in."""


def build_learning(curves: Mapping[str, Curve]) -> Section | None:
    """Return the learning curves, or None for a strategy that was not trained; single points are a table."""
    curves = {name: curve for name, curve in curves.items() if name not in UNITS}
    if not any(len(np.asarray(steps)) for steps, _ in curves.values()):
        return None
    points = tuple(
        (readable(name), f"{np.asarray(steps)[0]:,.0f}", f"{np.asarray(values)[0]:.6g}")
        for name, (steps, values) in curves.items()
        if len(np.asarray(steps)) == 1
    )
    grid = Grid(caption="Recorded once", titles=("Figure", "Step", "Value"), rows=points, kind="narrow")
    return Section(
        title="Learning curves",
        anchor="learning",
        link="Learning",
        grids=(grid,) if points else (),
        draw=partial(learning, curves),
        num_columns=3,
    )


def row_grid(titles: Sequence[str], rows: Sequence[Row], *, own: int, groups: dict[int, str] | None = None) -> Grid:
    """Return a table of figures: best values green, the ``own`` column bold."""
    classes = {(place, own): "own" for place in range(len(rows))}
    classes |= {(place, column + 1): "best" for place, row in enumerate(rows) for column in row.best}
    cells = tuple((row.label, *row.cells) for row in rows)
    return Grid(titles=tuple(titles), rows=cells, classes=classes, groups=groups or {}, kind="wide")


def _span(span: Span) -> str:
    return f"{show_day(span[0])} to {show_day(span[1])}"
