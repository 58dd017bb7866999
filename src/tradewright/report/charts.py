"""The charts of a report as plotly figures, all in one look; plotly is imported only when one is drawn.

Legend: K points that are drawn. Long series are thinned before they are drawn; the statistics never are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tradewright.metrics.calendar import annualised_marks, daily_marks
from tradewright.metrics.drawdown import drawdown_curve
from tradewright.metrics.history import Float, Time
from tradewright.metrics.ratios import rolling_sharpe
from tradewright.metrics.returns import simple_returns
from tradewright.metrics.tails import value_at_risk
from tradewright.report.content import BUY_AND_HOLD, ReportContent, readable

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

STRATEGY_COLOUR = "#0b62c4"
HOLD_COLOUR = "#6b7280"
BASELINE_COLOURS = ("#d55e00", "#009e73", "#aa4499", "#b8860b", "#4b0082", "#117733")
DASHES = ("dot", "dash", "dashdot", "longdash")
GRID = "#e5e7eb"
INK = "#1f2937"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"

MAX_POINTS = 4_000
"""Marks drawn per line; more would only make the file larger than a screen can show."""

MAX_WEIGHT_LINES = 8
"""Instruments drawn one by one; beyond that gross and net weight are."""

MAX_CURVES = 12
"""Learning curves drawn; the rest is in TensorBoard."""


@dataclass(frozen=True)
class Chart:
    """One figure with the words that stand in for it where it cannot be seen."""

    key: str
    title: str
    description: str
    figure: Figure
    has_log_toggle: bool = False
    is_wide: bool = False


def draw(content: ReportContent) -> list[Chart]:
    """Return every chart the content has data for, in reading order."""
    charts = [equity(content), drawdown(content), sharpe(content), weights(content), distribution(content)]
    return [chart for chart in charts if chart is not None]


def equity(content: ReportContent) -> Chart | None:
    """Draw the growth of one unit of money for the strategy and every baseline."""
    if len(content.strategy.ts_T) < 2:
        return None
    figure = _blank("Growth of 1 (equity ÷ start)", "")
    for index, result in enumerate(content.results):
        marks = chart_marks(result.ts_T)
        figure.add_scatter(
            x=times(result.ts_T[marks], result.timeframe_s),
            y=result.equity_T[marks] / result.equity_T[0],
            **_line(content, index),
        )
    figure.add_hline(y=1.0, line={"color": "#9ca3af", "width": 1})
    return Chart(
        "equity",
        "Equity against the baselines",
        "Equity at each close divided by its start, on the test range: the strategy and every baseline.",
        figure,
        has_log_toggle=all(bool(np.all(result.equity_T > 0)) for result in content.results),
        is_wide=True,
    )


def drawdown(content: ReportContent) -> Chart | None:
    """Draw the loss from the highest mark so far."""
    if len(content.strategy.ts_T) < 2:
        return None
    figure = _blank("Loss from the peak", "", percent=True)
    for index, result in enumerate(content.results):
        marks = chart_marks(result.ts_T)
        figure.add_scatter(
            x=times(result.ts_T[marks], result.timeframe_s),
            y=-_worst_between(drawdown_curve(result.equity_T), marks),
            fill="tozeroy" if index == 0 else None,
            fillcolor="rgba(11, 98, 196, 0.15)" if index == 0 else None,
            **_line(content, index),
        )
    return Chart("drawdown", "Drawdown", "Loss from the highest equity so far, start included.", figure, is_wide=True)


def sharpe(content: ReportContent) -> Chart | None:
    """Draw the annualised Sharpe ratio of a rolling window; None if the range is shorter than two windows."""
    marks, periods = annualised_marks(
        content.strategy.ts_T, content.strategy.timeframe_s, content.strategy.periods_per_year
    )
    window = max(20, round(periods / 2))
    if len(marks) < 2 * window:
        return None
    figure = _blank("Annualised Sharpe ratio", "")
    for index, result in enumerate(content.results):
        rolled = rolling_sharpe(simple_returns(result.equity_T[marks]), window, periods, content.risk_free)
        shown = chart_marks(result.ts_T[marks])[1:]
        figure.add_scatter(
            x=times(result.ts_T[marks][shown], result.timeframe_s), y=rolled[shown - 1], **_line(content, index)
        )
    figure.add_hline(y=0.0, line={"color": "#9ca3af", "width": 1})
    return Chart("sharpe", f"Rolling Sharpe ratio ({window} returns)", "Sharpe ratio of a moving window.", figure)


def weights(content: ReportContent) -> Chart | None:
    """Draw the weight the strategy held: one line per instrument, or gross and net where there are many."""
    result = content.strategy
    if len(result.ts_T) < 2:
        return None
    marks = chart_marks(result.ts_T)
    held = result.weights_TN[marks]
    lines = (
        dict(zip(result.symbols, held.T, strict=True))
        if len(result.symbols) <= MAX_WEIGHT_LINES
        else {"gross": np.abs(held).sum(axis=1), "net": held.sum(axis=1)}
    )
    colours = (STRATEGY_COLOUR, *BASELINE_COLOURS, HOLD_COLOUR)
    figure = _blank("Fraction of equity held", "", percent=True)
    for index, (name, values) in enumerate(lines.items()):
        figure.add_scatter(
            x=times(result.ts_T[marks], result.timeframe_s),
            y=values,
            name=name,
            mode="lines",
            fill="tozeroy" if len(lines) == 1 else None,
            fillcolor="rgba(11, 98, 196, 0.15)",
            line={"color": colours[index % len(colours)], "width": 1.2, "shape": "hv"},
        )
    figure.update_layout(showlegend=len(lines) > 1)
    return Chart("weights", "Held weight", "Signed fraction of equity held at each close by the strategy.", figure)


def distribution(content: ReportContent) -> Chart | None:
    """Draw the histogram of the returns of the strategy and of buy-and-hold, with the value at risk."""
    marks, _ = annualised_marks(content.strategy.ts_T, content.strategy.timeframe_s, content.strategy.periods_per_year)
    by_name = {
        result.name: simple_returns(result.equity_T[marks])
        for result in content.results
        if result is content.strategy or result.name == BUY_AND_HOLD
    }
    pooled = np.concatenate(list(by_name.values()))
    if len(marks) < 20 or not bool(np.isfinite(pooled).all()):
        return None
    low, high = np.quantile(pooled, [0.001, 0.999])
    edges = np.linspace(min(low, 0.0), max(high, 0.0) or 1e-6, 61)
    figure = _blank(
        "Number of returns", "Return per day" if content.strategy.timeframe_s <= 86_400 else "Return per bar"
    )
    for name, values in by_name.items():
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        style = _line(content, content.names.index(name))
        figure.add_bar(
            x=(edges[1:] + edges[:-1]) / 2,
            y=counts,
            width=np.diff(edges),
            name=style["name"],
            marker={"color": style["line"]["color"], "opacity": 0.55, "line": {"width": 0}},
        )
    figure.update_layout(barmode="overlay", bargap=0, hovermode="closest")
    figure.update_xaxes(tickformat=".1%")
    figure.add_vline(
        x=value_at_risk(by_name[content.strategy.name]),
        line={"color": STRATEGY_COLOUR, "width": 1, "dash": "dash"},
        annotation={"text": "VaR 95%", "font": {"size": 11, "color": INK}},
    )
    description = "How often each return occurred; returns beyond the 0.1% tails are counted in the outermost bars."
    return Chart("distribution", "Distribution of returns", description, figure)


def learning(content: ReportContent) -> list[Chart]:
    """Draw each learning curve on its own axes, at most ``MAX_CURVES`` of them."""
    charts: list[Chart] = []
    for name, (steps, values) in list(content.curves.items())[:MAX_CURVES]:
        steps_K, values_K = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
        if len(steps_K) == 0:
            continue
        keep = thin(len(steps_K), MAX_POINTS // 4)
        figure = _blank(readable(name), "Step")
        figure.add_scatter(
            x=steps_K[keep],
            y=values_K[keep],
            mode="lines+markers" if len(keep) < 40 else "lines",
            line={"color": STRATEGY_COLOUR, "width": 1.5},
            name=readable(name),
        )
        figure.update_layout(showlegend=False, height=230)
        charts.append(Chart(f"curve-{len(charts)}", readable(name), f"{readable(name)} over training steps.", figure))
    return charts


def chart_marks(ts_T: Time) -> npt.NDArray[np.int64]:
    """Return the indices to draw: all marks, the daily ones if there are many, every k-th of those if still many."""
    if len(ts_T) <= MAX_POINTS:
        return np.arange(len(ts_T), dtype=np.int64)
    daily = daily_marks(ts_T)
    return daily[thin(len(daily), MAX_POINTS)]


def thin(length: int, limit: int) -> npt.NDArray[np.int64]:
    """Return at most ``limit`` evenly spaced indices of ``length``, first and last among them."""
    return np.unique(np.linspace(0, length - 1, min(length, limit)).round().astype(np.int64))


def times(ts_K: Time, timeframe_s: int) -> list[str]:
    """Return times as the shortest text that plotly reads as a date."""
    if timeframe_s >= 86_400:
        return [str(ts) for ts in np.datetime_as_string(ts_K, unit="D")]
    return [str(ts) for ts in np.datetime_as_string(ts_K, unit="s")]


def _worst_between(curve_T: Float, marks: npt.NDArray[np.int64]) -> Float:
    """Return the largest value of ``curve_T`` since the previous mark, so that thinning never hides a drawdown."""
    starts = np.concatenate(([0], marks[:-1] + 1))
    return np.asarray(np.maximum.reduceat(curve_T[: marks[-1] + 1], starts))


def _line(content: ReportContent, index: int) -> dict[str, Any]:
    """Return the look of the ``index``-th result's line; the strategy stands out, each baseline keeps its colour."""
    name = content.results[index].name
    colour, dash = STRATEGY_COLOUR, "solid"
    if index > 0:
        others = [result.name for result in content.results[1:] if result.name != BUY_AND_HOLD]
        place = others.index(name) if name in others else 0
        colour = HOLD_COLOUR if name == BUY_AND_HOLD else BASELINE_COLOURS[place % len(BASELINE_COLOURS)]
        dash = "solid" if name == BUY_AND_HOLD else DASHES[place % len(DASHES)]
    line = {"color": colour, "width": 2.0 if index == 0 else 1.3, "dash": dash}
    return {"name": readable(name), "mode": "lines", "line": line}


def _blank(y_title: str, x_title: str, percent: bool = False) -> Figure:
    """Return empty axes in the report's look."""
    from plotly.graph_objects import Figure

    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": "#9ca3af", "ticks": "outside", "tickcolor": "#9ca3af"}
    figure = Figure()
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 12, "color": INK},
        margin={"l": 64, "r": 16, "t": 12, "b": 40 if x_title else 28},
        height=340,
        hovermode="x unified",
        hoverlabel={"bgcolor": "white", "bordercolor": GRID},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0.0, "xanchor": "left"},
        paper_bgcolor="white",
        plot_bgcolor="white",
    )
    figure.update_xaxes(title={"text": x_title}, **axis)
    figure.update_yaxes(title={"text": y_title, "standoff": 8}, tickformat=".0%" if percent else None, **axis)
    return figure


def payload(charts: Sequence[Chart]) -> str:
    """Return the charts as a JSON object by key, safe to stand inside a ``<script>`` element."""
    body = ",".join(f'"{chart.key}":{chart.figure.to_json(validate=False)}' for chart in charts)
    return ("{" + body + "}").replace("<", "\\u003c")
