"""A comparison as a table on the terminal and as CSV or JSON rows."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tradewright.metrics.figures import DASH, describe, show
from tradewright.output import write_json, write_text
from tradewright.report.comparison import TEST, ComparedRow, Comparison
from tradewright.report.differences import SEED
from tradewright.report.sections.section import Section

STATE_STYLES = {
    "done": "green",
    "running": "cyan",
    "pruned": "yellow",
    "failed": "bold red",
    "dead": "bold red",
    "unreadable": "bold red",
    "baseline": "dim",
    "group": "",
}
PIPE_COLUMNS = 200
"""Width of the table where the output is no terminal but a file or a pipe."""

REPORT_COLUMNS = 160
"""Width of the text report."""

CELL_GAP = 3

SEEDS_CAPTION = "Mean ± half its 95 % interval over seeds (Student's t); runs that differ only by seed are one row."


@dataclass(frozen=True)
class _Column:
    """One column of the printed table; columns with a lower ``rank`` stay longest where space is short."""

    title: str
    cells: list[Text]
    rank: int
    is_number: bool = False

    @property
    def width(self) -> int:
        return max(len(self.title), *(cell.cell_len for cell in self.cells)) + CELL_GAP


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
    hidden = _print_table(out, _run_columns(comparison, comparison.runs[:max_rows]))
    if max_rows < len(comparison.runs):
        out.print(Text(f"{len(comparison.runs) - max_rows:,} more runs are not listed.", style="dim"))
    if comparison.groups:
        hidden += _print_table(out, _group_columns(comparison, comparison.groups[:max_rows]))
        out.print(Text(SEEDS_CAPTION, style="dim"))
    for (state, error), labels in _errors(comparison.runs).items():
        out.print(Text.assemble((f"{', '.join(labels)}: {state}", STATE_STYLES[state]), f", {error}"))
    for place, sentence in enumerate(section.lines if section else ()):
        out.print(Text(sentence, style="bold" if place == 0 else ""))
    for sentence in cautions(comparison):
        out.print(Text(sentence, style="dim"))
    if hidden:
        out.print(Text(f"Too narrow for: {', '.join(dict.fromkeys(hidden))}; the page has them all.", style="dim"))
    if page is not None:
        out.print(Text(f"Page: {page}", overflow="fold"))


def _errors(runs: Sequence[ComparedRow]) -> dict[tuple[str, str], list[str]]:
    """Return the runs by their state and error: the seeds of a job that does not fit share one line."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in runs:
        if row.error:
            found.setdefault((row.state, row.error), []).append(row.label)
    return found


def write_text_report(comparison: Comparison, section: Section, path: Path) -> Path:
    """Write the whole comparison as plain text: the table, the findings, and every table behind them."""
    buffer = io.StringIO()
    out = Console(file=buffer, width=REPORT_COLUMNS)
    print_comparison(comparison, max_rows=len(comparison.runs), page=None, console=out)
    out.print(Text(f"\n{section.title}\n"))
    for sentence in (*section.findings, *section.paragraphs):
        out.print(Text(sentence))
    for grid in section.grids:
        out.print(Text(f"\n{grid.caption}"))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for place, title in enumerate(grid.titles):
            table.add_column(title, justify="left" if place in grid.words else "right", overflow="fold")
        for cells in grid.rows:
            table.add_row(*(Text(cell) for cell in cells))
        out.print(table)
    write_text(path, "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n")
    return path


def cautions(comparison: Comparison) -> list[str]:
    """Return what a reader of the table must know about it."""
    found = [f"No run has the figure {hint}." for hint in comparison.missing]
    if comparison.sort.startswith(TEST) and comparison.num_judged > 1:
        found.append(
            f"{comparison.num_judged:,} runs were looked at on the test range: the best of many is partly luck. "
            f"To choose among them use task.sort=validation/{comparison.sort.removeprefix(TEST)}."
        )
    if any(row.num_runs > 1 for row in comparison.groups):
        found.append(
            "Runs that differ only by seed count as one trial, so deflation does not cover the choice of a seed: "
            "judge a configuration by its mean over seeds."
        )
    if len(comparison.baselines) > 1:
        found.append(
            f"The baseline has {len(comparison.baselines)} different results: the runs were judged on different bars, "
            "costs or ranges, and figures are comparable only within one of them."
        )
    return found


def _run_columns(comparison: Comparison, runs: Sequence[ComparedRow]) -> list[_Column]:
    rows = [*runs, *comparison.baselines]
    return [
        _Column("Run", [Text(row.label) for row in rows], 0),
        _Column("State", [Text(row.state, style=STATE_STYLES[row.state]) for row in rows], 0),
        _Column("Time", [Text(show_duration(row.duration_s)) for row in rows], 90, is_number=True),
        *_setting_columns(comparison.titles, rows),
        *_figure_columns(comparison, rows),
    ]


def _group_columns(comparison: Comparison, rows: Sequence[ComparedRow]) -> list[_Column]:
    return [
        _Column("Seeds", [Text(row.label) for row in rows], 0),
        *_setting_columns([title for title in comparison.titles if title != SEED], rows),
        *_figure_columns(comparison, rows),
    ]


def _setting_columns(titles: Sequence[str], rows: Sequence[ComparedRow]) -> list[_Column]:
    lasts = [title.rpartition(".")[2] for title in titles]
    return [
        _Column(
            last if lasts.count(last) == 1 else title,
            [Text(row.settings.get(title, "")) for row in rows],
            rank=10 + place,
        )
        for place, (title, last) in enumerate(zip(titles, lasts, strict=True))
    ]


def _figure_columns(comparison: Comparison, rows: Sequence[ComparedRow]) -> list[_Column]:
    best = comparison.best([row for row in rows if row.state != "baseline"])
    columns = []
    for place, key in enumerate(comparison.metrics):
        cells = [
            Text(show_cell(row, key), style="bold green" if row.state != "baseline" and index in best[key] else "")
            for index, row in enumerate(rows)
        ]
        rank = 1 if key == comparison.sort else 10 + 2 * place
        columns.append(_Column(column_title(key), cells, rank, is_number=True))
    return columns


def _print_table(out: Console, columns: list[_Column]) -> list[str]:
    """Print the columns that fit and return the titles of the others."""
    room = out.width
    kept: set[int] = set()
    for index in sorted(range(len(columns)), key=lambda place: columns[place].rank):
        if columns[index].width <= room:
            room -= columns[index].width
            kept.add(index)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index in sorted(kept):
        table.add_column(columns[index].title, justify="right" if columns[index].is_number else "left", no_wrap=True)
    for cells in zip(*(columns[index].cells for index in sorted(kept)), strict=True):
        table.add_row(*cells)
    out.print(table)
    return [column.title for index, column in enumerate(columns) if index not in kept]


def column_title(key: str) -> str:
    """Return a figure's column title; the test range goes without saying."""
    span, _, name = key.rpartition("/")
    return describe(name).title if span == "test" else f"{describe(name).title} ({span})"


def show_cell(row: ComparedRow, key: str) -> str:
    """Return a figure's text, with the interval of its mean over seeds where there is one."""
    text, half = show(key, row.values.get(key, math.nan)), row.halves.get(key, math.nan)
    return text if math.isnan(half) else f"{text} ± {show(key, half)}"


def show_duration(seconds: float) -> str:
    """Return seconds as ``42 s``, ``3:07 min`` or ``2:15 h``; NaN as a dash."""
    if math.isnan(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"


def rows_as_data(comparison: Comparison) -> list[dict[str, Any]]:
    """Return every run and baseline as flat keys and full-precision numbers; undefined is NaN."""
    out: list[dict[str, Any]] = []
    for row in (*comparison.runs, *comparison.baselines):
        fixed = {"run": row.label, "state": row.state, "duration_s": row.duration_s, "error": row.error}
        settings = {title: row.settings.get(title, "") for title in comparison.titles}
        out.append(fixed | settings | {key: row.values.get(key, math.nan) for key in comparison.metrics})
    return out


def write_table(comparison: Comparison, path: Path) -> Path:
    """Write the rows as CSV or JSON, by the suffix of ``path``, and return it; undefined is empty or null."""
    rows = rows_as_data(comparison)
    if path.suffix == ".json":
        write_json(path, rows)
        return path
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {key: "" if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        )
    write_text(path, buffer.getvalue())
    return path
