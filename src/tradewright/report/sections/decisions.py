"""What the strategy did: profit per action, how often and when it traded, how long it held, and how sure it was.

Legend: n bars after the first.
"""

from functools import partial

import numpy as np

from tradewright.backtest.result import BacktestResult
from tradewright.metrics.calibration import Calibration, calibrate, confident_outcomes
from tradewright.metrics.decisions import (
    ACTIONS,
    DAY_S,
    DECIDED,
    Int,
    Tally,
    Unit,
    bar_actions,
    by_action,
    by_side,
    frequency,
)
from tradewright.metrics.figures import show
from tradewright.metrics.history import Time
from tradewright.report.axes import (
    BAD_COLOUR,
    GOOD_COLOUR,
    HOLD_COLOUR,
    STRATEGY_COLOUR,
    Chart,
    blank,
    fill_rows,
    mark_x,
)
from tradewright.report.content import ReportContent, readable
from tradewright.report.sections import confidence
from tradewright.report.sections.section import Grid, Section

COLOURS = {
    "buy": GOOD_COLOUR,
    "sell": "#d55e00",
    "rebalance": STRATEGY_COLOUR,
    "stop": BAD_COLOUR,
    "target": "#009e73",
    "margin_call": "#4b0082",
}
MAX_HOLDING_BINS = 40
MAX_LABELS = 12
"""Months that are named one by one below a chart."""


def build(content: ReportContent) -> Section | None:
    """Return the section, or None for a range without a bar after the first."""
    result = content.strategy
    if len(result.ts_T) < 2:
        return None
    actions_n = bar_actions(result)
    calibration = calibrate(*confident_outcomes(result))
    return Section(
        title="Decisions",
        anchor="decisions",
        paragraphs=(
            "Every bar has one action: what was executed in it, else hold or flat. Its whole change of equity belongs "
            "to that action, so that the column adds up to the profit of the range. A stop, a target or a margin call "
            "is an action of its own unless an order of the strategy was executed in the same bar.",
            *confidence.describe(calibration),
        ),
        grids=(*_tallies(result, actions_n), _activity(content, actions_n), *confidence.tabulate(calibration)),
        draw=partial(_charts, content, actions_n, calibration),
    )


def _tallies(result: BacktestResult, actions_n: Int) -> tuple[Grid, Grid]:
    total = float(result.equity_T[-1] - result.equity_T[0])
    number = len(result.ts_T) - 1
    return (
        _tally("Action", "Profit by action", by_action(actions_n, result.equity_T), total, number),
        _tally("Position", "Profit by side of the book", by_side(result.weights_TN, result.equity_T), total, number),
    )


def _tally(title: str, caption: str, tallies: tuple[Tally, ...], total: float, number: int) -> Grid:
    rows = [
        (
            readable(tally.name),
            f"{tally.num_bars:,}",
            f"{tally.num_bars / number:.1%}",
            f"{tally.pnl:,.2f}",
            f"{tally.pnl / tally.num_bars:,.2f}",
            f"{tally.num_gains / tally.num_bars:.1%}",
        )
        for tally in tallies
    ]
    gains = sum(tally.num_gains for tally in tallies)
    rows.append(("total", f"{number:,}", "100.0%", f"{total:,.2f}", f"{total / number:,.2f}", f"{gains / number:.1%}"))
    classes = {(len(tallies), column): "own" for column in range(6)}
    titles = (title, "Bars", "Share", "Profit", "Per bar", "Gained")
    return Grid(caption=caption, titles=titles, rows=tuple(rows), classes=classes, kind="narrow")


def _activity(content: ReportContent, actions_n: Int) -> Grid:
    result, figures = content.strategy, content.figures(content.strategy.name)
    decided = int(np.isin(actions_n, [ACTIONS.index(name) for name in DECIDED]).sum())
    unit, length = ("day", "D") if result.timeframe_s < DAY_S else ("month", "M")
    units = len(np.unique(result.ts_T[1:].astype(f"datetime64[{length}]")))
    rows = [
        ("Bars with a decision", f"{decided:,} of {len(result.ts_T) - 1:,}"),
        (f"Decisions per {unit} with bars", f"{decided / units:,.1f}"),
        *(
            (label, show(key, figures[key]))
            for label, key in (
                ("Sharpe ratio", "sharpe"),
                ("Maximum drawdown", "max_drawdown"),
                ("Time in the market", "time_in_market"),
                ("Turnover per year, of equity", "turnover"),
                ("Average holding time, bars", "average_holding_bars"),
            )
            if key in figures
        ),
    ]
    return Grid(caption="Activity", titles=("Figure", "Value"), rows=tuple(rows), kind="narrow")


def _charts(content: ReportContent, actions_n: Int, calibration: Calibration) -> tuple[Chart, ...]:
    result = content.strategy
    opens_n = result.ts_T[1:]
    drawn = [
        _profits(content, by_action(actions_n, result.equity_T)),
        _trading("month", "Bars with executed orders in each month, by action.", actions_n, opens_n),
        _trading("weekday", "The same by day of the week (UTC).", actions_n, opens_n),
        _trading("hour", "The same by hour of the day (UTC).", actions_n, opens_n)
        if result.timeframe_s < DAY_S
        else None,
        _holding(result),
    ]
    charts = fill_rows([chart for chart in drawn if chart is not None])
    return (*charts, *confidence.draw(calibration))


def _profits(content: ReportContent, tallies: tuple[Tally, ...]) -> Chart:
    figure = blank(f"Profit, {content.currency}", "")
    figure.add_bar(
        x=[f"{readable(tally.name)}<br>{tally.num_bars:,} bars" for tally in tallies],
        y=[tally.pnl for tally in tallies],
        marker={"color": [GOOD_COLOUR if tally.pnl > 0 else BAD_COLOUR for tally in tallies], "opacity": 0.8},
        hovertemplate="%{x}: %{y:,.2f}<extra></extra>",
    )
    figure.add_hline(y=0.0, line={"color": "#9ca3af", "width": 1})
    figure.update_layout(showlegend=False, hovermode="closest", height=300)
    figure.update_xaxes(showgrid=False, automargin=True)
    return Chart("actions", "Profit by action", "The bars of each action and the change of equity in them.", figure)


def _trading(unit: Unit, about: str, actions_n: Int, opens_n: Time) -> Chart | None:
    found = frequency(actions_n, opens_n, unit)
    if not found.counts:
        return None
    figure = blank("Bars", "")
    for name, counts in found.counts.items():
        figure.add_bar(
            x=found.labels, y=counts, name=readable(name), marker={"color": COLOURS[name], "line": {"width": 0}}
        )
    figure.update_layout(barmode="stack", bargap=0.15, height=300, hovermode="x")
    is_long = unit == "month" and len(found.labels) > MAX_LABELS
    figure.update_xaxes(type="date" if is_long else "category", showgrid=False)
    return Chart(f"by-{unit}", f"Trading by {unit}", about, figure)


def _holding(result: BacktestResult) -> Chart | None:
    held = np.array([trade.holding_bars for trade in result.trades if trade.exit_ts is not None])
    if len(held) == 0:
        return None
    width = max(1, -(-(int(held.max()) + 1) // MAX_HOLDING_BINS))
    edges = np.arange(0, int(held.max()) + width + 1, width)
    counts, _ = np.histogram(held, edges)
    figure = blank("Closed trades", "Bars from first to last fill")
    figure.add_bar(
        x=edges[:-1] + (width - 1) / 2, y=counts, width=np.full(len(counts), width), marker={"color": STRATEGY_COLOUR}
    )
    mark_x(figure, float(np.median(held)), f"median {np.median(held):,.0f}", HOLD_COLOUR, dash="dash", width=1)
    figure.update_layout(showlegend=False, hovermode="closest", bargap=0.02, height=300, margin={"t": 26})
    return Chart("holding", "Holding time", "How long closed trades lasted.", figure)
