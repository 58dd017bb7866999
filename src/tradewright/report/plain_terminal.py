"""The summary that ends a run without backtests: one table on the terminal, and the same text in ``summary.txt``."""

import io
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from tradewright.output import write_text
from tradewright.report.plain_content import PlainContent
from tradewright.report.terminal import SUMMARY, SUMMARY_COLUMNS


def summarise_plain(directory: Path, content: PlainContent, *, report: Path | None) -> None:
    """Print the figures, the headline and the notes, and write the same to ``summary.txt``.

    Args:
        directory: The run directory.
        content: What to show.
        report: Path of the written report, named below the table.
    """
    lines = Console(file=io.StringIO(), width=SUMMARY_COLUMNS, color_system=None, force_terminal=False, record=True)
    for console in (Console(), lines):
        _show(console, content)
        if report:
            console.print(f"Report: {report}", overflow="fold", soft_wrap=True)
    write_text(directory / SUMMARY, lines.export_text())


def _show(console: Console, content: PlainContent) -> None:
    table = Table("", box=box.SIMPLE_HEAD, pad_edge=False, title=content.title, title_justify="left")
    for column in ("test", "validation"):
        table.add_column(column, justify="right")
    for row in content.summary_rows():
        table.add_row(*row)
    console.print(table)
    console.print(content.headline)
    for note in content.notes:
        console.print(f"Note: {note}")
