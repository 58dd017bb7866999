"""The look of every chart: colours, axes, thinning, and the JSON that a page draws; plotly is imported on first use.

Legend: K points that are drawn. Long series are thinned before they are drawn; the statistics never are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tradewright.metrics.calendar import daily_marks
from tradewright.metrics.history import Time

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

STRATEGY_COLOUR = "#0b62c4"
HOLD_COLOUR = "#6b7280"
BASELINE_COLOURS = ("#d55e00", "#009e73", "#aa4499", "#b8860b", "#4b0082", "#117733")
DASHES = ("dot", "dash", "dashdot", "longdash")
GOOD_COLOUR = "#14713d"
BAD_COLOUR = "#b42318"
GRID = "#e5e7eb"
INK = "#1f2937"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"

MAX_POINTS = 4_000
"""Marks drawn per line; more would only make the file larger than a screen can show."""


@dataclass(frozen=True)
class Chart:
    """One figure with the words that stand in for it where it cannot be seen."""

    key: str
    title: str
    description: str
    figure: Figure
    has_log_toggle: bool = False
    is_wide: bool = False


def blank(y_title: str, x_title: str, percent: bool = False) -> Figure:
    """Return empty axes in the report's look."""
    from plotly.graph_objects import Figure

    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": "#9ca3af", "ticks": "outside", "tickcolor": "#9ca3af"}
    layout = {
        "template": "none",
        "font": {"family": FONT, "size": 12, "color": INK},
        "margin": {"l": 64, "r": 16, "t": 12, "b": 40 if x_title else 28},
        "height": 340,
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "white", "bordercolor": GRID},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0.0, "xanchor": "left"},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": {"title": {"text": x_title}, **axis},
        "yaxis": {"title": {"text": y_title, "standoff": 8}, "tickformat": ".0%" if percent else None, **axis},
    }
    return Figure(layout=layout)  # in one go: plotly validates every update anew


def chart_marks(ts_T: Time) -> npt.NDArray[np.int64]:
    """Return the indices to draw: all marks, the daily ones if there are many, every k-th of those if still many."""
    if len(ts_T) <= MAX_POINTS:
        return np.arange(len(ts_T), dtype=np.int64)
    daily = daily_marks(ts_T)
    return daily[thin(len(daily), MAX_POINTS)]


def thin(length: int, limit: int) -> npt.NDArray[np.int64]:
    """Return at most ``limit`` evenly spaced indices of ``length``, first and last among them."""
    return np.unique(np.linspace(0, length - 1, min(length, limit)).round().astype(np.int64))


def mark_x(figure: Figure, value: float, text: str, colour: str, y: float | str = 0.0, **line: object) -> None:
    """Draw a vertical line with its name above it, and widen the axis so that it is seen.

    Args:
        figure: The axes.
        value: Where on the horizontal axis.
        text: Its name; "": none.
        colour: Of line and name.
        y: Any place on the vertical axis, a category where that has categories.
        line: Further properties, e.g. ``dash``.
    """
    name = {"text": text, "font": {"size": 11, "color": colour}, "yanchor": "bottom"} if text else None
    figure.add_vline(x=value, line={"color": colour, "width": 2} | line, annotation=name)
    figure.add_scatter(x=[value], y=[y], mode="markers", marker={"opacity": 0}, hoverinfo="skip", showlegend=False)
    if not isinstance(y, str):
        figure.update_yaxes(rangemode="tozero")


def fill_rows(charts: Sequence[Chart]) -> tuple[Chart, ...]:
    """Return the charts of two columns, one that would stand alone in its row made wide."""
    filled = list(charts)
    alone: int | None = None
    for place, chart in enumerate(charts):
        if chart.is_wide and alone is not None:
            filled[alone] = replace(charts[alone], is_wide=True)
        alone = place if not chart.is_wide and alone is None else None
    if alone is not None:
        filled[alone] = replace(charts[alone], is_wide=True)
    return tuple(filled)


def times(ts_K: Time, timeframe_s: int) -> list[str]:
    """Return times as the shortest text that plotly reads as a date."""
    if timeframe_s >= 86_400:
        return [str(ts) for ts in np.datetime_as_string(ts_K, unit="D")]
    return [str(ts) for ts in np.datetime_as_string(ts_K, unit="s")]


def payload(charts: Sequence[Chart]) -> str:
    """Return the charts as a JSON object by key, safe to stand inside a ``<script>`` element."""
    body = ",".join(f'"{chart.key}":{chart.figure.to_json(validate=False)}' for chart in charts)
    return ("{" + body + "}").replace("<", "\\u003c")
