"""``Report``: what every option of the config group ``report`` shares: its keys and the interface the run calls."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from tradewright.report.content import ReportContent
from tradewright.report.export import check_formats
from tradewright.report.plain_content import PlainContent

Plotly = Literal["inline", "shared"]


class Report(ABC):
    """Base of the report options.

    Args:
        formats: File formats of equity, trades and fills: any of ``parquet``, ``csv``, ``json``. A comparison reads the
            Parquet files.
        max_trades: Trades listed in the report, >= 0; the files hold all.
        plotly: ``inline`` puts the plotting script (5 MB) into each report, ``shared`` beside the run directories once.

    Raises:
        ValueError: A value is out of range or unknown.
    """

    def __init__(
        self, *, formats: Sequence[str] = ("parquet",), max_trades: int = 200, plotly: Plotly = "inline"
    ) -> None:
        self.formats = check_formats(formats)
        if max_trades < 0:
            raise ValueError(f"max_trades must be >= 0, was {max_trades}")
        if plotly not in get_args(Plotly):
            raise ValueError(f"plotly must be 'inline' or 'shared', was {plotly!r}")
        self.max_trades = max_trades
        self.plotly = plotly

    @abstractmethod
    def write(self, directory: Path, content: ReportContent) -> Path | None:
        """Write the report of one run.

        Args:
            directory: The run directory.
            content: What to show.

        Returns:
            Path of the report, or None if this option writes none.
        """

    @abstractmethod
    def write_plain(self, directory: Path, content: PlainContent) -> Path | None:
        """Write the report of a run that was not judged by a backtest; see ``write``."""
