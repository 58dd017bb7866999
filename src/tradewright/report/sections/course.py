"""The course of the test range: equity and the like, returns by month, the deepest drawdowns."""

from functools import partial

import numpy as np

from tradewright.backtest.result import BacktestResult
from tradewright.metrics.calendar import monthly_returns, yearly_returns
from tradewright.metrics.figures import DASH
from tradewright.report import charts, tables
from tradewright.report.content import ReportContent
from tradewright.report.sections.section import Grid, Section

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FULL_COLOUR_RETURN = 0.10
"""Monthly return at which a heat map cell has its full colour, fraction."""


def build_course(content: ReportContent) -> Section:
    """Return the charts over time."""
    return Section(
        title="Course of the test range",
        anchor="course",
        link="Course",
        paragraphs=(
            "Drag over a chart to enlarge a part of it, double-click to go back; click a name in a legend to hide it.",
            *content.twin_notes,
        ),
        draw=partial(charts.draw, content),
    )


def build_months(content: ReportContent) -> Section:
    """Return the heat map of monthly returns."""
    return Section(
        title="Monthly returns, %",
        anchor="months",
        link="Months",
        grids=(heat_map(content.strategy),),
        notes=(
            "Of the strategy, from the last close of one month to the last close of the next; the first and the last "
            "month may be partial.",
        ),
    )


def build_drawdowns(content: ReportContent) -> Section | None:
    """Return the deepest drawdowns, or None if equity never fell."""
    rows = tables.drawdowns(content.strategy)
    if not rows:
        return None
    grid = Grid(titles=tables.DRAWDOWN_TITLES, rows=tuple(rows))
    return Section(title="Deepest drawdowns", anchor="drawdowns", link="Drawdowns", grids=(grid,))


def heat_map(result: BacktestResult) -> Grid:
    """Return twelve months and the year's total for every year of the result, latest year last."""
    months_M, returns_M = monthly_returns(result.ts_T, result.equity_T)
    years_Y, totals_Y = yearly_returns(result.ts_T, result.equity_T)
    place = {str(year): row for row, year in enumerate(years_Y)}
    rows = [
        [str(year), *[""] * len(MONTHS), _percent(float(total))] for year, total in zip(years_Y, totals_Y, strict=True)
    ]
    shades = {}
    for month, value in zip(months_M, returns_M, strict=True):
        row, column = place[str(month)[:4]], int(str(month)[5:7])
        rows[row][column] = _percent(float(value))
        shades[row, column] = _shade(float(value))
    titles = ("Year", *MONTHS, "Total")
    return Grid(titles=titles, rows=tuple(tuple(row) for row in rows), shades=shades, kind="heat")


def _shade(value: float) -> str:
    strength = 0.0 if np.isnan(value) else min(abs(value) / FULL_COLOUR_RETURN, 1.0)
    rgb = "34, 139, 84" if value > 0 else "204, 68, 54"
    return f"rgba({rgb}, {0.08 + 0.52 * strength:.2f})" if strength else "transparent"


def _percent(value: float) -> str:
    return DASH if np.isnan(value) else f"{round(100 * value, 1) + 0.0:.1f}"
