"""``report=markdown``: the report as plain Markdown, for a terminal, a repository or a language model to read."""

from pathlib import Path

from tradewright.metrics.figures import describe, show
from tradewright.output import write_text
from tradewright.report import tables
from tradewright.report.content import ReportContent, readable
from tradewright.report.conventions import CONVENTIONS
from tradewright.report.html import trade_lists
from tradewright.report.page import render
from tradewright.report.report import Report
from tradewright.report.verdict import judge

REPORT = "report.md"


class MarkdownReport(Report):
    """Write ``report.md``; ``plotly`` has no effect, as Markdown has no charts."""

    def write(self, directory: Path, content: ReportContent) -> Path:
        """Write the report and return its path.

        Args:
            directory: The run directory.
            content: What to show.
        """
        path = directory / REPORT
        write_text(path, self.render(content))
        return path

    def render(self, content: ReportContent) -> str:
        """Return the report as text."""
        figures = content.figures(content.strategy.name)
        range_names, range_rows = tables.ranges(content)
        cost_titles, cost_rows = tables.costs(content)
        return render(
            "report.md.j2",
            content=content,
            verdict=judge(content),
            period=tables.period(content.strategy),
            names=[readable(name) for name in content.names],
            figures={key: (describe(key).label, show(key, value)) for key, value in figures.items()},
            sections=tables.statistics(content),
            range_names=range_names,
            range_rows=range_rows,
            cost_titles=cost_titles,
            cost_rows=cost_rows,
            drawdown_titles=tables.DRAWDOWN_TITLES,
            drawdowns=tables.drawdowns(content.strategy),
            trade_titles=tables.TRADE_TITLES,
            trades=trade_lists(content.strategy, self.max_trades),
            rejections=content.rejections(),
            conventions=CONVENTIONS,
            readable=readable,
        )
