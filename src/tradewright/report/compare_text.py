"""A comparison on the terminal, and as plain text beside the page."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tradewright.output import write_text
from tradewright.report.compare_table import (
    SEEDS_CAPTION,
    STATE_STYLES,
    Column,
    cautions,
    difference_caption,
    fitting,
    group_columns,
    reasons,
    run_columns,
)
from tradewright.report.comparison import Comparison
from tradewright.report.sections.section import Grid, Section

PIPE_COLUMNS = 200
"""Width of the table where the output is no terminal but a file or a pipe."""

REPORT_COLUMNS = 160
"""Width of the tables in the text report."""


def print_comparison(
    comparison: Comparison,
    *,
    max_rows: int,
    page: Path | None,
    section: Section | None = None,
    console: Console | None = None,
) -> None:
    """Print the runs, the means over seeds, the recommendation, and what to keep in mind.

    Args:
        comparison: What to show.
        max_rows: Runs listed at most, best first.
        page: Path of the written page, named at the end.
        section: What of it is beyond chance; its lines are printed.
        console: Where to print; the terminal by default.
    """
    out = console or Console()
    if not out.is_terminal and console is None:
        out = Console(width=max(out.width, PIPE_COLUMNS))
    hidden = _print_table(out, run_columns(comparison, comparison.runs[:max_rows]))
    if max_rows < len(comparison.runs):
        out.print(Text(f"{len(comparison.runs) - max_rows:,} more runs are not listed.", style="dim"))
    if comparison.groups:
        hidden += _print_table(out, group_columns(comparison, comparison.groups[:max_rows]))
        out.print(Text(SEEDS_CAPTION, style="dim"))
    if caption := difference_caption(comparison):
        out.print(Text(caption, style="dim"))
    for names, state, error in reasons(comparison.runs):
        out.print(Text.assemble((f"{names}: {state}", STATE_STYLES.get(state, "")), f", {error}"))
    for place, sentence in enumerate(section.lines if section else ()):
        out.print(Text(sentence, style="bold" if place == 0 else ""))
    for sentence in cautions(comparison):
        out.print(Text(sentence, style="dim"))
    if hidden:
        out.print(Text(f"Too narrow for: {', '.join(dict.fromkeys(hidden))}; the page has them all.", style="dim"))
    if page is not None:
        out.print(Text(f"Page: {page}", overflow="fold"))


def _print_table(out: Console, columns: Sequence[Column]) -> list[str]:
    """Print the columns that fit and return the titles of the others."""
    kept, hidden = fitting(columns, out.width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in kept:
        table.add_column(column.title, justify="right" if column.is_number else "left", no_wrap=True)
    for place in range(len(kept[0].cells) if kept else 0):
        table.add_row(*(Text(column.cells[place], style=column.style(place)) for column in kept))
    out.print(table)
    return hidden


def write_text_report(comparison: Comparison, section: Section, path: Path) -> Path:
    """Write the whole comparison as plain text: the table, the findings, and every table behind them."""
    lines = ["", *_plain(fitting(run_columns(comparison, comparison.runs), REPORT_COLUMNS)[0])]
    if comparison.groups:
        lines += ["", *_plain(fitting(group_columns(comparison, comparison.groups), REPORT_COLUMNS)[0]), SEEDS_CAPTION]
    lines += [caption] if (caption := difference_caption(comparison)) else []
    lines += [f"{names}: {state}, {error}" for names, state, error in reasons(comparison.runs)]
    lines += [*section.lines, *cautions(comparison), "", section.title, "", *section.findings, *section.paragraphs]
    for grid in section.grids:
        lines += ["", grid.caption, *_plain(_grid_columns(grid))]
    write_text(path, "\n".join(line.rstrip() for line in lines) + "\n")
    return path


def _grid_columns(grid: Grid) -> list[Column]:
    return [
        Column(title, [cells[place] for cells in grid.rows], 0, is_number=place not in grid.words)
        for place, title in enumerate(grid.titles)
    ]


def _plain(columns: Sequence[Column]) -> Iterator[str]:
    """Yield the lines of a table; rich would take a second for a thousand rows."""
    widths = [column.width for column in columns]
    yield _line([column.title for column in columns], columns, widths)
    yield "─" * sum(widths)
    for cells in zip(*(column.cells for column in columns), strict=True):
        yield _line(cells, columns, widths)


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    parts = []
    for text, column, width in zip(cells, columns, widths, strict=True):
        space = " " * (width - cell_len(text))
        parts.append(space + text if column.is_number else text + space)
    return "".join(parts)
