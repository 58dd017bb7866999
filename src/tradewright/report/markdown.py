"""``report=markdown``: the report as plain Markdown, for a terminal, a repository or a language model to read."""

from pathlib import Path

from tradewright.metrics.figures import describe, show
from tradewright.output import write_text
from tradewright.report import tables
from tradewright.report.content import ReportContent, readable
from tradewright.report.conventions import CONVENTIONS
from tradewright.report.page import render
from tradewright.report.plain_content import PlainContent
from tradewright.report.report import Report
from tradewright.report.sections.gather import gather
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
        """Return the report as text; sections that are charts alone are left out."""
        figures = content.figures(content.strategy.name)
        sections = gather(content, self.max_trades)
        return render(
            "report.md.j2",
            content=content,
            verdict=judge(content),
            period=tables.period(content.strategy),
            figures={key: (describe(key).label, show(key, value)) for key, value in figures.items()},
            sections=[section for section in sections if section.findings or section.grids or section.notes],
            conventions=CONVENTIONS,
            readable=readable,
        )

    def write_plain(self, directory: Path, content: PlainContent) -> Path:
        """Write the report of a run without backtests and return its path."""
        path = directory / REPORT
        write_text(path, render("plain.md.j2", content=content, sections=content.sections()))
        return path
