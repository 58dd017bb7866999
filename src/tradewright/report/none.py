"""``report=none``: the run leaves its numbers but no report."""

from pathlib import Path

from tradewright.report.content import ReportContent
from tradewright.report.plain_content import PlainContent
from tradewright.report.report import Report


class NoReport(Report):
    """Write no report; ``formats`` still says in which formats equity, trades and fills are kept."""

    def write(self, directory: Path, content: ReportContent) -> Path | None:
        """Return None without writing anything."""
        return None

    def write_plain(self, directory: Path, content: PlainContent) -> Path | None:
        """Return None without writing anything."""
        return None
