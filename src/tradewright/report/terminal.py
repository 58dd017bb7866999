"""The summary that ends a run: one table on the terminal, and the same text in ``summary.txt``."""

import io
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tradewright.metrics.figures import describe
from tradewright.output import write_text
from tradewright.report.content import ReportContent, readable
from tradewright.report.sections.degenerate import cautions
from tradewright.report.sections.gather import terminal_lines
from tradewright.report.tables import KEY_FIGURES, figure_rows, period
from tradewright.report.verdict import judge

SUMMARY = "summary.txt"
SUMMARY_COLUMNS = 110
MAX_LONG_NAMES = 4
"""Columns beyond which figures go by their short names, so that the table fits a terminal of 80 columns."""
TONE_STYLES = {"plain": "", "good": "green", "warning": "yellow", "bad": "bold red"}
OUTCOME_STYLES = {"better": "bold green", "mixed": "bold yellow", "worse": "bold red", "unknown": "bold"}


def print_summary(content: ReportContent, *, report: Path | None = None, console: Console | None = None) -> None:
    """Print the strategy beside its baselines, the verdict and the notes.

    Args:
        content: What to show.
        report: Path of the written report, named below the table.
        console: Where to print; the terminal by default.
    """
    (console or Console()).print(_summary(content, report))


def write_summary(directory: Path, content: ReportContent, *, report: Path | None = None) -> Path:
    """Write the summary as plain text to ``summary.txt`` and return its path.

    Args:
        directory: The run directory.
        content: What to show.
        report: Path of the written report, named below the table.
    """
    buffer = io.StringIO()
    Console(file=buffer, width=SUMMARY_COLUMNS, color_system=None, force_terminal=False).print(
        _summary(content, report)
    )
    path = directory / SUMMARY
    write_text(path, "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n")
    return path


def _summary(content: ReportContent, report: Path | None) -> RenderableType:
    verdict = judge(content)
    parts: list[RenderableType] = [
        Text(f"{content.title}, test range {period(content.strategy)}", style="bold"),
        _table(content),
        Text(verdict.headline, style=OUTCOME_STYLES[verdict.outcome]),
        Text(verdict.caution, style="dim"),
    ]
    parts += [Text(line, style=TONE_STYLES[tone]) for tone, line in terminal_lines(content)]
    parts += [Text(f"Note: {note}") for note in (*content.twin_notes, *cautions(content), *content.notes)]
    parts += [Text(f"Rejected orders: {count:,} {readable(reason)}") for reason, count in content.rejections().items()]
    if report is not None:
        parts.append(Text(f"Report: {report}", overflow="fold"))
    return Group(*parts)


def _table(content: ReportContent) -> Table:
    is_wide = len(content.names) > MAX_LONG_NAMES
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1 if is_wide else 2, 0, 0))
    table.add_column("test range", no_wrap=True)
    for position, name in enumerate(content.names):
        table.add_column(content.label(name), justify="right", style="bold" if position == 0 else "")
    for row in figure_rows(KEY_FIGURES, [content.figures(name) for name in content.names]):
        cells = [Text(text, style="green" if index in row.best else "") for index, text in enumerate(row.cells)]
        table.add_row(describe(row.key).title if is_wide else row.label, *cells)
    return table
