"""What costs took, by kind, and which orders were executed, scaled or rejected, by reason."""

from functools import partial

from tradewright.report import tables
from tradewright.report.axes import BAD_COLOUR, GOOD_COLOUR, STRATEGY_COLOUR, Chart, blank
from tradewright.report.content import ReportContent, readable
from tradewright.report.sections.figures import row_grid
from tradewright.report.sections.section import Grid, Section


def build(content: ReportContent) -> Section:
    """Return the section."""
    titles, rows = tables.costs(content)
    grids = [
        row_grid([f"Money, {content.currency}", *(readable(title) for title in titles)], rows, own=len(titles) - 1)
    ]
    for caption, counts in (
        ("Executed orders by reason", content.fills_by_reason()),
        ("Rejected orders by reason", content.rejections()),
    ):
        if counts:
            cells = tuple((readable(reason), f"{count:,}") for reason, count in counts.items())
            grids.append(Grid(caption=caption, titles=("Reason", "Orders"), rows=cells, kind="narrow"))
    return Section(
        title="Costs and orders",
        anchor="costs",
        grids=tuple(grids),
        notes=(
            *content.twin_notes,
            "Slippage is inside the fill prices; interest, funding and dividends received are negative costs.",
        ),
        draw=partial(_charts, content),
    )


def _charts(content: ReportContent) -> tuple[Chart, ...]:
    """Draw the way from the profit before all costs to the one after them; nothing if there were no costs."""
    result = content.strategy
    paid = {kind: money for kind, money in result.costs.items() if money != 0}
    if not paid or len(result.equity_T) < 2:
        return ()
    net = float(result.equity_T[-1] - result.equity_T[0])
    figure = blank(f"Money, {content.currency}", "")
    figure.add_waterfall(
        x=["before costs", *(readable(kind) for kind in paid), "net profit"],
        y=[net + sum(paid.values()), *(-money for money in paid.values()), net],
        measure=["absolute", *["relative"] * len(paid), "total"],
        increasing={"marker": {"color": GOOD_COLOUR}},
        decreasing={"marker": {"color": BAD_COLOUR}},
        totals={"marker": {"color": STRATEGY_COLOUR}},
        connector={"line": {"color": "#9ca3af", "width": 1}},
        hovertemplate="%{x}: %{delta:,.2f}<extra></extra>",
    )
    figure.add_hline(y=0.0, line={"color": "#9ca3af", "width": 1})
    figure.update_layout(showlegend=False, hovermode="closest", height=300)
    figure.update_xaxes(showgrid=False, automargin=True)
    about = "The strategy's profit before all costs, slippage included, what each kind of cost took, and what is left."
    return (Chart("costs-waterfall", "From gross to net profit", about, figure, is_wide=True),)
