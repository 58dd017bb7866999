"""The journal of trades: what each earned, how far it went against and for it, and the list."""

from functools import partial

import numpy as np

from tradewright.backtest.result import Trade
from tradewright.report import charts, tables
from tradewright.report.axes import BAD_COLOUR, GOOD_COLOUR, MAX_POINTS, Chart, blank, thin
from tradewright.report.content import ReportContent
from tradewright.report.sections.degenerate import cautions
from tradewright.report.sections.section import Grid, Section


def build(content: ReportContent, max_trades: int) -> Section:
    """Return the section.

    Args:
        content: What to show.
        max_trades: Closed trades listed, the latest; the files hold all.
    """
    result = content.strategy
    closed = [trade for trade in result.trades if trade.exit_ts is not None]
    still_open = [trade for trade in result.trades if trade.exit_ts is None]
    listed = closed[max(len(closed) - max_trades, 0) :]
    grids = [
        Grid(
            caption=caption,
            titles=tables.TRADE_TITLES,
            rows=tuple(tables.trade_cells(trade, result.timeframe_s) for trade in trades),
            words=(0, 1),
            kind="tall",
        )
        for caption, trades in (
            ("Open at the end", still_open),
            (f"Closed: {_listed(len(listed), len(closed))}", listed),
        )
        if trades
    ]
    notes = [] if listed else [f"{len(closed):,} closed trades; the run's trades file lists them."]
    return Section(
        title="Trades",
        anchor="trades",
        grids=tuple(grids),
        notes=(*(notes if closed else ["No trade was closed."]), *cautions(content)),
        draw=partial(_charts, content, closed),
    )


def _listed(number: int, total: int) -> str:
    return f"all {total:,}" if number == total else f"the last {number:,} of {total:,}; the run's trades file holds all"


def _charts(content: ReportContent, closed: list[Trade]) -> tuple[Chart, ...]:
    results = charts.trade_results(content)
    excursions = [
        _excursion(
            closed, "mae", "Adverse excursion", "A stop tighter than a dot's place would have closed that trade"
        ),
        _excursion(
            closed, "mfe", "Favourable excursion", "Dots far below the diagonal gave back most of what they had"
        ),
    ]
    return tuple(chart for chart in (results, *excursions) if chart is not None)


def _excursion(closed: list[Trade], key: str, title: str, about: str) -> Chart | None:
    """Draw the return of each trade against its largest move against or for it; None where it was not recorded."""
    kept = [closed[index] for index in thin(len(closed), MAX_POINTS)] if closed else []
    excursion = np.array([getattr(trade, key) for trade in kept], dtype=np.float64)
    if not np.isfinite(excursion).any():
        return None
    returns = np.array([trade.return_fraction for trade in kept])
    figure = blank("Return of the trade", f"{title} of the price", percent=True)
    for name, chosen, colour in (("won", returns > 0, GOOD_COLOUR), ("lost", ~(returns > 0), BAD_COLOUR)):
        figure.add_scatter(
            x=excursion[chosen],
            y=returns[chosen],
            mode="markers",
            name=name,
            marker={"color": colour, "size": 6, "opacity": 0.6},
        )
    largest = float(np.nanmax(excursion))
    sign = -1.0 if key == "mae" else 1.0
    figure.add_scatter(
        x=[0.0, largest],
        y=[0.0, sign * largest],
        mode="lines",
        name="closed at the extreme",
        line={"color": "#9ca3af", "width": 1, "dash": "dot"},
        hoverinfo="skip",
    )
    figure.add_hline(y=0.0, line={"color": "#9ca3af", "width": 1})
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(tickformat=".1%")
    side = "against" if key == "mae" else "for"
    return Chart(key, title, f"How far the price went {side} each closed trade. {about}.", figure)
