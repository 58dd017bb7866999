"""``report=html``: one self-contained page that a person can judge a run by; it asks nothing from the network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from tradewright.backtest.result import BacktestResult
from tradewright.metrics.calendar import monthly_returns, yearly_returns
from tradewright.metrics.figures import DASH, describe, show
from tradewright.output import write_text
from tradewright.report import charts, tables
from tradewright.report.axes import payload
from tradewright.report.content import BUY_AND_HOLD, ReportContent, readable
from tradewright.report.conventions import CONVENTIONS
from tradewright.report.page import plotly_script, render
from tradewright.report.report import Report
from tradewright.report.verdict import judge

REPORT = "report.html"
CARDS = ("total_return", "cagr", "sharpe", "max_drawdown", "num_trades", "total_fees")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FULL_COLOUR_RETURN = 0.10
"""Monthly return at which a heat map cell has its full colour, fraction."""


class HtmlReport(Report):
    """Write ``report.html``."""

    def write(self, directory: Path, content: ReportContent) -> Path:
        """Write the page and return its path.

        Args:
            directory: The run directory.
            content: What to show.
        """
        path = directory / REPORT
        script = plotly_script(directory, shared=self.plotly == "shared")
        write_text(path, self.render(content, script))
        return path

    def render(self, content: ReportContent, script: Markup) -> str:
        """Return the page as text.

        Args:
            content: What to show.
            script: The element that loads plotly.
        """
        drawn, learned, ranges = charts.draw(content), charts.learning(content), charts.ranges(content)
        range_names, range_rows = tables.ranges(content)
        cost_titles, cost_rows = tables.costs(content)
        return render(
            "report.html.j2",
            content=content,
            verdict=judge(content),
            cards=cards(content),
            period=tables.period(content.strategy),
            spans={name: _span(span) for name, span in content.periods.items()},
            names=[readable(name) for name in content.names],
            charts=drawn,
            learning=learned,
            payload=Markup(payload([*drawn, *learned, *([ranges] if ranges else [])])),
            heat=heat_map(content.strategy),
            drawdown_titles=tables.DRAWDOWN_TITLES,
            drawdowns=tables.drawdowns(content.strategy),
            sections=tables.statistics(content),
            ranges=ranges,
            range_names=range_names,
            range_rows=range_rows,
            cost_titles=cost_titles,
            cost_rows=cost_rows,
            trade_titles=tables.TRADE_TITLES,
            trades=trade_lists(content.strategy, self.max_trades),
            fills={readable(name): count for name, count in content.fills_by_reason().items()},
            rejections={readable(name): count for name, count in content.rejections().items()},
            provenance=flatten(content.provenance),
            conventions=CONVENTIONS,
            script=script,
        )


@dataclass(frozen=True)
class Card:
    """One headline figure with buy-and-hold's beneath."""

    label: str
    value: str
    versus: str


def cards(content: ReportContent) -> list[Card]:
    """Return the headline figures of the strategy beside those of buy-and-hold."""
    mine = content.figures(content.strategy.name)
    is_compared = BUY_AND_HOLD in content.names[1:]
    theirs = content.figures(BUY_AND_HOLD) if is_compared else {}
    return [
        Card(
            describe(key).label,
            show(key, mine[key]),
            f"buy and hold {show(key, theirs[key])}" if key in theirs else "",
        )
        for key in CARDS
        if key in mine
    ]


@dataclass(frozen=True)
class Cell:
    """One month of the heat map: its text, background and the colour of its ink."""

    text: str
    background: str


def heat_map(result: BacktestResult) -> dict[str, list[Cell]]:
    """Return twelve months and the year's total for every year of the result, latest year last."""
    months_M, returns_M = monthly_returns(result.ts_T, result.equity_T)
    years_Y, totals_Y = yearly_returns(result.ts_T, result.equity_T)
    rows = {str(year): [Cell("", "transparent")] * 12 for year in years_Y}
    for month, value in zip(months_M, returns_M, strict=True):
        rows[str(month)[:4]][int(str(month)[5:7]) - 1] = _heat(float(value))
    for year, value in zip(years_Y, totals_Y, strict=True):
        rows[str(year)].append(Cell(_percent(float(value)), "transparent"))
    return rows


def _heat(value: float) -> Cell:
    strength = 0.0 if np.isnan(value) else min(abs(value) / FULL_COLOUR_RETURN, 1.0)
    rgb = "34, 139, 84" if value > 0 else "204, 68, 54"
    return Cell(_percent(value), f"rgba({rgb}, {0.08 + 0.52 * strength:.2f})" if strength else "transparent")


def _percent(value: float) -> str:
    return DASH if np.isnan(value) else f"{round(100 * value, 1) + 0.0:.1f}"


@dataclass(frozen=True)
class TradeLists:
    """Closed and open trades as texts, and how many closed ones there are in all."""

    closed: list[tuple[str, ...]]
    open: list[tuple[str, ...]]
    num_closed: int


def trade_lists(result: BacktestResult, limit: int) -> TradeLists:
    """Return the latest ``limit`` closed trades and every open one, in time order."""
    closed = [trade for trade in result.trades if trade.exit_ts is not None]
    still_open = [trade for trade in result.trades if trade.exit_ts is None]
    return TradeLists(
        [tables.trade_cells(trade, result.timeframe_s) for trade in closed[max(len(closed) - limit, 0) :]],
        [tables.trade_cells(trade, result.timeframe_s) for trade in still_open],
        len(closed),
    )


def flatten(values: Any, prefix: str = "") -> dict[str, str]:
    """Return nested mappings as dotted keys with texts, for a two-column table."""
    if not isinstance(values, dict):
        return {prefix: str(values)}
    out: dict[str, str] = {}
    for key, value in values.items():
        out |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return out


def _span(span: tuple[np.datetime64, np.datetime64]) -> str:
    return f"{span[0].astype('datetime64[D]')} to {span[1].astype('datetime64[D]')}"
