"""The tables of a report as plain rows of text, shared by HTML, Markdown and the terminal."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tradewright.backtest.result import BacktestResult, Trade
from tradewright.metrics.drawdown import episodes
from tradewright.metrics.figures import DASH, JUDGED, describe, show
from tradewright.report.content import ReportContent, readable

KEY_FIGURES = (
    "total_return",
    "cagr",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "max_drawdown_days",
    "volatility",
    "num_trades",
    "win_rate",
    "profit_factor",
    "exposure",
    "turnover",
    "total_fees",
)
"""The figures of the terminal's table and the head of the report."""

SECTIONS: dict[str, tuple[str, ...]] = {
    "Growth": ("total_return", "cagr", "final_equity", "best_day", "worst_day", "positive_days"),
    "Risk": (
        "volatility",
        "downside_deviation",
        "max_drawdown",
        "max_drawdown_bars",
        "max_drawdown_days",
        "drawdown_ongoing",
        "var_95",
        "cvar_95",
        "skew",
        "excess_kurtosis",
        "bankrupt",
    ),
    "Reward to risk": ("sharpe", "sharpe_standard_error", "sortino", "calmar"),
    "Against buy-and-hold": ("alpha", "beta", "correlation", "tracking_error", "information_ratio"),
    "Trades": (
        "num_trades",
        "num_open_trades",
        "num_wins",
        "num_losses",
        "win_rate",
        "average_win",
        "average_loss",
        "payoff_ratio",
        "profit_factor",
        "expectancy",
        "largest_win",
        "largest_loss",
        "max_consecutive_wins",
        "max_consecutive_losses",
        "average_holding_bars",
    ),
    "Activity and costs": (
        "exposure",
        "time_in_market",
        "turnover",
        "num_fills",
        "num_rejections",
        "total_fees",
        "total_slippage",
        "total_borrow",
        "total_funding",
        "total_dividends",
        "total_interest",
    ),
}
"""Every figure, by the heading it is shown under."""


@dataclass(frozen=True)
class Row:
    """One figure: its label, one text per column, and the columns that hold the best value (empty: none is)."""

    key: str
    label: str
    cells: tuple[str, ...]
    best: frozenset[int] = frozenset()


def figure_rows(keys: Sequence[str], columns: Sequence[Mapping[str, float]]) -> list[Row]:
    """Return one row per key that any column has, in the order of ``keys``."""
    rows = []
    for key in keys:
        if not any(key in column for column in columns):
            continue
        values = [column.get(key, math.nan) for column in columns]
        rows.append(
            Row(key, describe(key).label, tuple(show(key, value) for value in values), best_columns(key, values))
        )
    return rows


def best_columns(key: str, values: Sequence[float]) -> frozenset[int]:
    """Return the columns with the best value; none if the figure has no better direction or all values are alike."""
    better = describe(key).better
    defined = {index: value * better for index, value in enumerate(values) if not math.isnan(value)}
    if better == 0 or len(set(defined.values())) < 2:
        return frozenset()
    top = max(defined.values())
    return frozenset(index for index, value in defined.items() if value == top)


def statistics(content: ReportContent) -> dict[str, list[Row]]:
    """Return the figures of the strategy and the baselines, by heading; those of judging have sections of their own."""
    columns = [content.figures(name) for name in content.names]
    sections = {heading: figure_rows(keys, columns) for heading, keys in SECTIONS.items()}
    known = {key for keys in SECTIONS.values() for key in keys} | {"num_bars", *JUDGED}
    others = [key for key in columns[0] if key not in known]
    sections["Other figures"] = figure_rows(others, columns)
    return {heading: rows for heading, rows in sections.items() if rows}


def ranges(content: ReportContent) -> tuple[list[str], list[Row]]:
    """Return the strategy's figures on each range that was judged: range names and rows."""
    names = [name for name in ("train", "validation", "test") if content.figures_of_range(name)]
    keys = (*KEY_FIGURES, "num_bars")
    rows = figure_rows(keys, [content.figures_of_range(name) for name in names])
    return names, [Row(row.key, row.label, row.cells) for row in rows]


def costs(content: ReportContent) -> tuple[list[str], list[Row]]:
    """Return money by kind of cost for every result: column titles and one row per result, with the sum."""
    kinds = list(dict.fromkeys(kind for result in content.shown for kind in result.costs))
    rows = []
    for result in content.shown:
        values = [result.costs.get(kind, 0.0) for kind in kinds]
        share = sum(values) / result.initial_cash
        cells = (*(f"{value:,.2f}" for value in values), f"{sum(values):,.2f}", f"{100 * share:,.2f}%")
        rows.append(Row(result.name, content.label(result.name), cells))
    return [*kinds, "total", "of initial cash"], rows


TRADE_TITLES = (
    "Symbol",
    "Side",
    "Quantity",
    "Entry",
    "Entry price",
    "Exit",
    "Exit price",
    "Bars",
    "P&L",
    "Return",
    "Costs",
    "MAE",
    "MFE",
    "Reason",
)


def trade_cells(trade: Trade, timeframe_s: int) -> tuple[str, ...]:
    """Return one trade as texts under ``TRADE_TITLES``; what an open trade lacks is a dash."""
    return (
        trade.symbol,
        trade.side,
        f"{trade.quantity:,.4g}",
        show_time(trade.entry_ts, timeframe_s),
        f"{trade.entry_price:,.6g}",
        DASH if trade.exit_ts is None else show_time(trade.exit_ts, timeframe_s),
        DASH if trade.exit_price is None else f"{trade.exit_price:,.6g}",
        f"{trade.holding_bars:,}",
        f"{trade.pnl:,.2f}",
        f"{100 * trade.return_fraction:,.2f}%",
        f"{trade.costs:,.2f}",
        show("mae", trade.mae),
        show("mfe", trade.mfe),
        readable(trade.exit_reason) if trade.exit_ts is not None else "open",
    )


DRAWDOWN_TITLES = ("Depth", "Peak", "Deepest", "Recovered", "Bars below the peak", "Days")


def drawdowns(result: BacktestResult, limit: int = 5) -> list[tuple[str, ...]]:
    """Return the deepest stays below a peak as texts under ``DRAWDOWN_TITLES``, deepest first.

    Days run from the peak to the recovery, or to the last bar where there is none.
    """
    deepest = sorted(episodes(result.equity_T), key=lambda episode: -episode.depth)[:limit]
    rows: list[tuple[str, ...]] = []
    for episode in deepest:
        end = len(result.ts_T) - 1 if episode.recovery is None else episode.recovery
        rows.append(
            (
                show("max_drawdown", episode.depth),
                show_time(result.ts_T[episode.peak], result.timeframe_s),
                show_time(result.ts_T[episode.trough], result.timeframe_s),
                "not yet" if episode.recovery is None else show_time(result.ts_T[end], result.timeframe_s),
                f"{episode.num_bars:,}",
                f"{(result.ts_T[end] - result.ts_T[episode.peak]) / np.timedelta64(1, 'D'):,.0f}",
            )
        )
    return rows


def show_time(ts: np.datetime64, timeframe_s: int) -> str:
    """Return a time as a date, with hours and minutes where bars are shorter than a day."""
    return (
        str(ts.astype("datetime64[D]")) if timeframe_s >= 86_400 else str(ts.astype("datetime64[m]")).replace("T", " ")
    )


def period(result: BacktestResult) -> str:
    """Return the first and last day of a result, e.g. ``2015-01-02 to 2018-12-31``."""
    if len(result.ts_T) == 0:
        return "no bars"
    return f"{show_time(result.ts_T[0], 86_400)} to {show_time(result.ts_T[-1], 86_400)}"
