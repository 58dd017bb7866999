"""``report=none``: the run leaves its numbers but no report."""

from pathlib import Path

from tradewright.report.content import ReportContent
from tradewright.report.episodes import EpisodeContent
from tradewright.report.report import Report


class NoReport(Report):
    """Write no report; ``formats`` still says in which formats equity, trades and fills are kept."""

    def write(self, directory: Path, content: ReportContent) -> Path | None:
        """Return None without writing anything."""
        return None

    def write_episodes(self, directory: Path, content: EpisodeContent) -> Path | None:
        """Return None without writing anything."""
        return None
