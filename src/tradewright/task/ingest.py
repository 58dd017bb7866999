"""``task=ingest``: load bars into the store and show what came in; neither torch nor a run directory is involved."""

from typing import ClassVar

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tradewright.config.build import build
from tradewright.data.source import Source
from tradewright.data.summary import IngestSummary
from tradewright.data.timeframe import format_timeframe
from tradewright.task.bars_text import count_of, day_or_minute


class Ingest:
    """Loads ``cfg.data`` into the store.

    Args:
        force: Load even if the input has not changed since it was loaded.
        max_rows: Symbols listed on the terminal, >= 1.

    Raises:
        ValueError: A value is out of range.
    """

    needs_run_directory: ClassVar[bool] = False

    def __init__(self, *, force: bool = False, max_rows: int = 20) -> None:
        if max_rows < 1:
            raise ValueError(f"max_rows must be >= 1, was {max_rows}")
        self.force = force
        self.max_rows = max_rows

    def execute(self, cfg: DictConfig) -> None:
        """Load, with a progress bar, and print a table of symbols.

        Raises:
            DataError: The input is missing or malformed; the store is as it was.
        """
        source: Source = build(cfg.data, key="data")
        console = Console()
        columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
            bar = progress.add_task("reading", total=None)

            def show(done: int, total: int, name: str) -> None:
                progress.update(bar, completed=done, total=total, description=name or "checking and storing")

            summary = source.ingest(force=self.force, progress=show)
        self._print(console, summary)

    def _print(self, console: Console, summary: IngestSummary) -> None:
        state = "loaded" if summary.is_changed else "already in the store, unchanged"
        console.print(
            f"[bold]{summary.dataset}[/]: {state}; {count_of(summary.num_bars, 'bar')} of "
            f"{count_of(len(summary.spans), 'symbol')}, "
            f"{format_timeframe(summary.timeframe_s)} each, {count_of(summary.num_actions, 'corporate action')}"
        )
        table = Table(box=None, pad_edge=False)
        for title, side in (("symbol", "left"), ("bars", "right"), ("first (UTC)", "left"), ("last (UTC)", "left")):
            table.add_column(title, justify="right" if side == "right" else "left")
        for span in summary.spans[: self.max_rows]:
            first, last = (day_or_minute(stamp, summary.timeframe_s) for stamp in (span.first, span.last))
            table.add_row(span.symbol, f"{span.num_bars:,}", first, last)
        console.print(table)
        if len(summary.spans) > self.max_rows:
            console.print(f"… and {count_of(len(summary.spans) - self.max_rows, 'more symbol')}")
        for remark in (*summary.remarks, summary.note):
            if remark:
                console.print(f"[yellow]note:[/] {remark}")
        console.print(f"[dim]{summary.path}[/]", soft_wrap=True)
        console.print(f"Train on it: [bold]tradewright data=duckdb data.dataset={summary.dataset}[/]", soft_wrap=True)
        console.print(
            f"Look at it:  [bold]tradewright inspect data=duckdb data.dataset={summary.dataset}[/]", soft_wrap=True
        )
