"""The charts of a run's report: what is drawn from which numbers; ``axes.py`` holds the look.

Legend: T bars, K points that are drawn.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.metrics.calendar import annualised_marks
from tradewright.metrics.drawdown import drawdown_curve
from tradewright.metrics.history import Float
from tradewright.metrics.ratios import rolling_sharpe
from tradewright.metrics.returns import simple_returns
from tradewright.metrics.tails import value_at_risk
from tradewright.report.axes import (
    BAD_COLOUR,
    BASELINE_COLOURS,
    DASHES,
    GOOD_COLOUR,
    HOLD_COLOUR,
    INK,
    MAX_POINTS,
    STRATEGY_COLOUR,
    Chart,
    blank,
    chart_marks,
    thin,
    times,
)
from tradewright.report.content import BUY_AND_HOLD, ReportContent

MAX_WEIGHT_LINES = 8
"""Instruments drawn one by one; beyond that gross and net weight are."""

MIN_RETURNS = 20
"""Returns below which a histogram says nothing."""


def draw(content: ReportContent) -> tuple[Chart, ...]:
    """Return every chart over the test range that the content has data for, in reading order."""
    charts = [draw_one(content) for draw_one in (equity, drawdown, sharpe, weights, distribution)]
    return tuple(chart for chart in charts if chart is not None)


def equity(content: ReportContent) -> Chart | None:
    """Draw the growth of one unit of money for the strategy and every baseline."""
    if len(content.strategy.ts_T) < 2:
        return None
    figure = blank("Growth of 1 (equity ÷ start)", "")
    for result in content.shown:
        marks = chart_marks(result.ts_T)
        figure.add_scatter(
            x=times(result.ts_T[marks], result.timeframe_s),
            y=result.equity_T[marks] / result.equity_T[0],
            **_line(content, result.name),
        )
    figure.add_hline(y=1.0, line={"color": "#9ca3af", "width": 1})
    return Chart(
        "equity",
        "Equity against the baselines",
        "Equity at each close divided by its start, on the test range: the strategy and every baseline.",
        figure,
        has_log_toggle=all(bool(np.all(result.equity_T > 0)) for result in content.shown),
        is_wide=True,
    )


def drawdown(content: ReportContent) -> Chart | None:
    """Draw the loss from the highest mark so far."""
    if len(content.strategy.ts_T) < 2:
        return None
    figure = blank("Loss from the peak", "", percent=True)
    for result in content.shown:
        marks = chart_marks(result.ts_T)
        figure.add_scatter(
            x=times(result.ts_T[marks], result.timeframe_s),
            y=-_worst_between(drawdown_curve(result.equity_T), marks),
            fill="tozeroy" if result is content.strategy else None,
            fillcolor="rgba(11, 98, 196, 0.15)" if result is content.strategy else None,
            **_line(content, result.name),
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
    figure = blank("Annualised Sharpe ratio", "")
    for result in content.shown:
        rolled = rolling_sharpe(simple_returns(result.equity_T[marks]), window, periods, content.risk_free)
        shown = chart_marks(result.ts_T[marks])[1:]
        figure.add_scatter(
            x=times(result.ts_T[marks][shown], result.timeframe_s), y=rolled[shown - 1], **_line(content, result.name)
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
    figure = blank("Fraction of equity held", "", percent=True)
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
    strategy = content.strategy
    marks, _ = annualised_marks(strategy.ts_T, strategy.timeframe_s, strategy.periods_per_year)
    by_name = {
        result.name: simple_returns(result.equity_T[marks])
        for result in content.results
        if result is strategy or result.name == BUY_AND_HOLD
    }
    pooled = np.concatenate([values[values != 0] for values in by_name.values()])
    if len(pooled) < MIN_RETURNS or not bool(np.isfinite(pooled).all()):
        return None
    low, high = np.quantile(pooled, [0.001, 0.999])
    edges = np.linspace(low, high, 61)
    unit = "day" if strategy.timeframe_s <= 86_400 else "bar"
    figure = blank("Number of returns", f"Return per {unit}")
    for name, values in by_name.items():
        counts, _ = np.histogram(np.clip(values[values != 0], edges[0], edges[-1]), edges)
        style = _line(content, name)
        figure.add_bar(
            x=(edges[1:] + edges[:-1]) / 2,
            y=counts,
            width=np.diff(edges),
            name=style["name"],
            marker={"color": style["line"]["color"], "opacity": 0.55, "line": {"width": 0}},
        )
    figure.update_layout(barmode="overlay", bargap=0, hovermode="closest")
    figure.update_xaxes(tickformat=".1%")
    own = by_name[strategy.name]
    annotation = {"text": "VaR 95%", "font": {"size": 11, "color": INK}}
    line = {"color": STRATEGY_COLOUR, "width": 1, "dash": "dash"}
    figure.add_vline(x=value_at_risk(own), line=line, annotation=annotation)
    description = "Returns beyond the 0.1% tails are counted in the outermost bars"
    if not own.all():
        idle = int(np.sum(own == 0))
        description += f"; {idle:,} of {len(own):,} returns are exactly zero (no position) and left out"
    return Chart("distribution", "Distribution of returns", f"{description}.", figure)


def trade_results(content: ReportContent) -> Chart | None:
    """Draw the net profit of every closed trade at its exit; None without one."""
    result = content.strategy
    closed = [trade for trade in result.trades if trade.exit_ts is not None]
    if not closed:
        return None
    kept = thin(len(closed), MAX_POINTS)
    figure = blank(f"Net profit, {content.currency}", "")
    exits = np.array([closed[index].exit_ts for index in kept], dtype="datetime64[us]")
    pnl = np.array([closed[index].pnl for index in kept])
    for name, chosen, colour, symbol in (
        ("won", pnl > 0, GOOD_COLOUR, "triangle-up"),
        ("lost", ~(pnl > 0), BAD_COLOUR, "triangle-down"),
    ):
        figure.add_scatter(
            x=times(exits[chosen], result.timeframe_s),
            y=pnl[chosen],
            mode="markers",
            name=name,
            marker={"color": colour, "size": 7, "symbol": symbol, "opacity": 0.8},
        )
    figure.add_hline(y=0.0, line={"color": "#9ca3af", "width": 1})
    figure.update_layout(hovermode="closest")
    return Chart(
        "trades", "Closed trades", "Net profit of each closed trade at the time of its exit.", figure, is_wide=True
    )


def ranges(content: ReportContent) -> tuple[Chart, ...]:
    """Draw the strategy's growth on the validation range beside the one on the test range; nothing without both."""
    if content.validation is None or len(content.validation.ts_T) < 2 or len(content.strategy.ts_T) < 2:
        return ()
    figure = blank("Growth of 1 (equity ÷ start)", "")
    for name, result, colour in (
        ("validation", content.validation, HOLD_COLOUR),
        ("test", content.strategy, STRATEGY_COLOUR),
    ):
        marks = chart_marks(result.ts_T)
        figure.add_scatter(
            x=times(result.ts_T[marks], result.timeframe_s),
            y=result.equity_T[marks] / result.equity_T[0],
            name=name,
            mode="lines",
            line={"color": colour, "width": 1.8},
        )
    figure.add_hline(y=1.0, line={"color": "#9ca3af", "width": 1})
    figure.update_layout(height=300)
    description = "The strategy's equity on each range, each divided by its own start."
    return (Chart("ranges", "Validation and test", description, figure, is_wide=True),)


def _worst_between(curve_T: Float, marks: npt.NDArray[np.int64]) -> Float:
    """Return the largest value of ``curve_T`` since the previous mark, so that thinning never hides a drawdown."""
    starts = np.concatenate(([0], marks[:-1] + 1))
    return np.asarray(np.maximum.reduceat(curve_T[: marks[-1] + 1], starts))


def _line(content: ReportContent, name: str) -> dict[str, Any]:
    """Return the look of a result's line; the strategy stands out, each baseline keeps its colour."""
    is_own = name == content.strategy.name
    colour, dash = STRATEGY_COLOUR, "solid"
    if not is_own:
        others = [result.name for result in content.results[1:] if result.name != BUY_AND_HOLD]
        place = others.index(name) if name in others else 0
        colour = HOLD_COLOUR if name == BUY_AND_HOLD else BASELINE_COLOURS[place % len(BASELINE_COLOURS)]
        dash = "solid" if name == BUY_AND_HOLD else DASHES[place % len(DASHES)]
    line = {"color": colour, "width": 2.0 if is_own else 1.3, "dash": dash}
    return {"name": content.label(name), "mode": "lines", "line": line}
