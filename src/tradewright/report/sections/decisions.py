"""What the strategy did: profit per action, how often and when it traded, how long it held, and how sure it was.

Legend: K labels or bins.
"""

from functools import partial

import numpy as np

from tradewright.backtest.result import BacktestResult
from tradewright.metrics.calibration import Calibration, calibrate, confident_outcomes
from tradewright.metrics.decisions import ACTIONS as ALL_ACTIONS
from tradewright.metrics.decisions import DAY_S, DECIDED, Frequency, Tally, bar_actions, by_action, by_side, frequency
from tradewright.metrics.figures import DASH, show
from tradewright.report.axes import BAD_COLOUR, GOOD_COLOUR, HOLD_COLOUR, STRATEGY_COLOUR, Chart, blank, mark_x
from tradewright.report.content import ReportContent, readable
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


def build(content: ReportContent) -> Section | None:
    """Return the section, or None for a range without a bar after the first."""
    result = content.strategy
    if len(result.ts_T) < 2:
        return None
    calibration = calibrate(*confident_outcomes(result))
    sure = _confidence(calibration)
    return Section(
        title="Decisions",
        anchor="decisions",
        paragraphs=(
            "Every bar has one action: what was executed in it, else hold or flat. Its whole change of equity belongs "
            "to that action, so that the column adds up to the profit of the range. A stop, a target or a margin call "
            "is an action of its own unless an order of the strategy was executed in the same bar.",
            *sure,
        ),
        grids=tuple(grid for grid in (*_tallies(result), _activity(content), _reliability(calibration)) if grid),
        lines=sure[:1],
        draw=partial(_charts, content, calibration),
    )


def _tallies(result: BacktestResult) -> tuple[Grid, Grid]:
    total = float(result.equity_T[-1] - result.equity_T[0])
    number = len(result.ts_T) - 1
    return (
        _tally("Action", "Profit by action", by_action(result), total, number),
        _tally("Position", "Profit by side of the book", by_side(result), total, number),
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


def _activity(content: ReportContent) -> Grid:
    result, figures = content.strategy, content.figures(content.strategy.name)
    decided = int(np.isin(bar_actions(result), [ALL_ACTIONS.index(name) for name in DECIDED]).sum())
    months = max(len(frequency(result, "month").labels), 1)
    rows = [
        ("Bars with a decision", f"{decided:,} of {len(result.ts_T) - 1:,}"),
        ("Decisions per month", f"{decided / months:,.1f}"),
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


def _confidence(calibration: Calibration) -> tuple[str, ...]:
    number = calibration.num_decisions
    if not number:
        return ()
    used = calibration.num_K > 0
    weights = calibration.num_K[used] / number
    mean, right = float(weights @ calibration.confidence_K[used]), float(weights @ calibration.accuracy_K[used])
    return (
        f"Confidence: {mean:.1%} sure on average and right in {right:.1%} of {number:,} decisions; expected "
        f"calibration error {100 * calibration.error:.1f} points.",
        "A decision is right if the next bar's close moved the way of the position; bars without a move do not count.",
    )


def _reliability(calibration: Calibration) -> Grid | None:
    if not calibration.num_decisions:
        return None
    rows = tuple(
        (
            _bin(place, len(calibration.num_K)),
            f"{number:,}",
            f"{confidence:.1%}" if number else DASH,
            f"{accuracy:.1%}" if number else DASH,
            f"{100 * (accuracy - confidence):+.1f}" if number else DASH,
        )
        for place, (number, confidence, accuracy) in enumerate(
            zip(calibration.num_K, calibration.confidence_K, calibration.accuracy_K, strict=True)
        )
    )
    titles = ("Confidence", "Decisions", "Mean", "Right", "Difference, points")
    return Grid(caption="Reliability", titles=titles, rows=rows, kind="narrow")


def _bin(place: int, number: int) -> str:
    return f"{place / number:.0%} to {(place + 1) / number:.0%}"


def _charts(content: ReportContent, calibration: Calibration) -> tuple[Chart, ...]:
    result = content.strategy
    charts = [
        _profits(content, by_action(result)),
        _frequency("month", "Trading by month", "Bars with executed orders in each month, by action.", result),
        _frequency("weekday", "Trading by weekday", "The same by day of the week (UTC).", result),
        _frequency("hour", "Trading by hour", "The same by hour of the day (UTC).", result)
        if result.timeframe_s < DAY_S
        else None,
        _holding(result),
        *((_confidences(calibration), _diagram(calibration)) if calibration.num_decisions else ()),
    ]
    return tuple(chart for chart in charts if chart is not None)


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


def _frequency(key: str, title: str, about: str, result: BacktestResult) -> Chart | None:
    found: Frequency = frequency(result, key)  # type: ignore[arg-type]  # one of its three literals
    if not found.counts:
        return None
    figure = blank("Bars", "")
    for name, counts in found.counts.items():
        figure.add_bar(
            x=found.labels, y=counts, name=readable(name), marker={"color": COLOURS[name], "line": {"width": 0}}
        )
    figure.update_layout(barmode="stack", bargap=0.15, height=300, hovermode="x")
    figure.update_xaxes(type="date" if key == "month" else "category", showgrid=False)
    return Chart(f"by-{key}", title, about, figure)


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


def _confidences(calibration: Calibration) -> Chart:
    number = len(calibration.num_K)
    figure = blank("Decisions", "Confidence")
    figure.add_bar(
        x=(np.arange(number) + 0.5) / number,
        y=calibration.num_K,
        width=np.full(number, 1.0 / number),
        marker={"color": STRATEGY_COLOUR, "opacity": 0.75, "line": {"color": "white", "width": 1}},
    )
    figure.update_layout(showlegend=False, hovermode="closest", bargap=0, height=300)
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    return Chart("confidence", "Confidence of the decisions", "How often the strategy was how sure.", figure)


def _diagram(calibration: Calibration) -> Chart:
    used = calibration.num_K > 0
    size = 7 + 17 * np.sqrt(calibration.num_K[used] / calibration.num_K.max())
    figure = blank("Share that was right", "Mean confidence of the bin", percent=True)
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": "#9ca3af", "dash": "dot", "width": 1}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=calibration.confidence_K[used],
        y=calibration.accuracy_K[used],
        mode="lines+markers",
        marker={"size": size, "color": STRATEGY_COLOUR, "opacity": 0.8},
        line={"color": STRATEGY_COLOUR, "width": 1},
        customdata=calibration.num_K[used],
        hovertemplate="%{x:.1%} sure, %{y:.1%} right, %{customdata} decisions<extra></extra>",
    )
    figure.update_layout(showlegend=False, hovermode="closest", height=300)
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    figure.update_yaxes(range=[0, 1])
    about = (
        "On the dotted line it is right as often as it is sure; below it, too sure. Larger dots hold more decisions."
    )
    return Chart("reliability", "Reliability", about, figure)
