"""The summary that ends a run: one table on the terminal, and the same text in ``summary.txt``."""

import io
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tradewright.metrics.figures import describe
from tradewright.output import METRICS, write_text
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
    out = console or Console()
    out.print(_summary(content, report, out.width))


def write_summary(directory: Path, content: ReportContent, *, report: Path | None = None) -> Path:
    """Write the summary as plain text to ``summary.txt`` and return its path.

    Args:
        directory: The run directory.
        content: What to show.
        report: Path of the written report, named below the table.
    """
    buffer = io.StringIO()
    Console(file=buffer, width=SUMMARY_COLUMNS, color_system=None, force_terminal=False).print(
        _summary(content, report, SUMMARY_COLUMNS)
    )
    path = directory / SUMMARY
    write_text(path, "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n")
    return path


def _summary(content: ReportContent, report: Path | None, width: int) -> RenderableType:
    verdict = judge(content)
    table, left_out = _table(content, width)
    parts: list[RenderableType] = [
        Text(f"{content.title}, test range {period(content.strategy)}", style="bold"),
        table,
        *([Text(f"Too narrow for: {', '.join(left_out)}; {METRICS} has them all.", style="dim")] if left_out else []),
        Text(verdict.headline, style=OUTCOME_STYLES[verdict.outcome]),
        Text(verdict.caution, style="dim"),
    ]
    parts += [Text(line, style=TONE_STYLES[tone]) for tone, line in terminal_lines(content)]
    parts += [Text(f"Note: {note}") for note in (*content.twin_notes, *cautions(content), *content.notes)]
    parts += [Text(f"Rejected orders: {count:,} {readable(reason)}") for reason, count in content.rejections().items()]
    if report is not None:
        parts.append(Text(f"Report: {report}", overflow="fold"))
    return Group(*parts)


def _table(content: ReportContent, width: int) -> tuple[Table, list[str]]:
    """Return the table of what fits into ``width`` characters, and the labels of what does not; figures stay whole."""
    is_wide = len(content.names) > MAX_LONG_NAMES
    gap = 1 if is_wide else 2
    rows = figure_rows(KEY_FIGURES, [content.figures(name) for name in content.names])
    heads = [describe(row.key).title if is_wide else row.label for row in rows]
    labels = [content.label(name) for name in content.names]
    first = max(map(len, ("test range", *heads)))
    widths = _widths(
        labels, [[row.cells[column] for row in rows] for column in range(len(labels))], width - first - 2, gap + 1
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap, 0, 0))
    table.add_column("test range", no_wrap=True, width=first)
    for position, chosen in widths.items():
        table.add_column(labels[position], justify="right", style="bold" if position == 0 else "", width=chosen)
    for head, row in zip(heads, rows, strict=True):
        table.add_row(head, *(Text(row.cells[index], style="green" if index in row.best else "") for index in widths))
    return table, [label for position, label in enumerate(labels) if position not in widths]


def _widths(labels: list[str], cells: list[list[str]], room: int, gap: int) -> dict[int, int]:
    """Return the widths of the columns that fit, by position, the first ones first.

    A column needs room for its figures and for the words of its label, which wraps; what is left over unwraps labels.
    """
    widths: dict[int, int] = {}
    for position, (label, column) in enumerate(zip(labels, cells, strict=True)):
        needed = max(map(len, (*label.split(), *column)))
        if position == 0 or needed + gap <= room:  # the strategy is never left out
            widths[position] = needed
            room -= needed + gap
    for position in widths:
        more = min(max(room, 0), max(0, len(labels[position]) - widths[position]))
        widths[position] += more
        room -= more
    return widths
