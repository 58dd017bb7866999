"""The columns of a comparison as texts: what terminal, text report, page and Markdown have in common."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from tradewright.metrics.figures import DASH, describe, show
from tradewright.report.compared_rows import DIFFERENCE, TEST, ComparedRow
from tradewright.report.comparison import Comparison
from tradewright.report.differences import SEED

BEST = "bold green"
"""Style of a cell that holds the best value of its figure."""

STATE_STYLES = {
    "done": "green",
    "running": "cyan",
    "pruned": "yellow",
    "failed": "bold red",
    "dead": "bold red",
    "unreadable": "bold red",
    "baseline": "dim",
}
CELL_GAP = 3
SEEDS_CAPTION = "Mean ± half its 95 % interval over seeds (Student's t); runs that differ only by seed are one row."
MAX_NAMED = 6
"""Runs named that share one reason for having no figures."""


@dataclass(frozen=True)
class Column:
    """One column; columns with a lower ``rank`` stay longest where space is short.

    Args:
        title: Its head.
        cells: One text per row.
        rank: Place in the order of importance.
        is_number: Whether cells are set to the right.
        styles: Style by row, where a cell has one.
    """

    title: str
    cells: list[str]
    rank: int
    is_number: bool = False
    styles: dict[int, str] | None = None

    @property
    def width(self) -> int:
        """Characters with the gap to the next column."""
        return max(cell_len(text) for text in (self.title, *self.cells)) + CELL_GAP

    def style(self, place: int) -> str:
        """Return the style of a cell, empty if it has none."""
        return (self.styles or {}).get(place, "")


def run_columns(comparison: Comparison, runs: Sequence[ComparedRow]) -> list[Column]:
    """Return the columns of the given runs, the baselines below them."""
    rows = [*runs, *comparison.baselines]
    states = {place: STATE_STYLES.get(row.state, "") for place, row in enumerate(rows)}
    return [
        Column("Run", [row.label for row in rows], 0),
        Column("State", [row.state for row in rows], 0, styles=states),
        Column("Time", [show_duration(row.duration_s) for row in rows], 90, is_number=True),
        *_setting_columns(comparison.titles, rows),
        *_figure_columns(comparison, rows),
    ]


def group_columns(comparison: Comparison, rows: Sequence[ComparedRow]) -> list[Column]:
    """Return the columns of the means over seeds."""
    return [
        Column("Seeds", [row.label for row in rows], 0),
        *_setting_columns([title for title in comparison.titles if title != SEED], rows),
        *_figure_columns(comparison, rows),
    ]


def _setting_columns(titles: Sequence[str], rows: Sequence[ComparedRow]) -> list[Column]:
    lasts = [title.rpartition(".")[2] for title in titles]
    return [
        Column(
            last if lasts.count(last) == 1 else title,
            [row.settings.get(title, "") for row in rows],
            rank=10 + place,
        )
        for place, (title, last) in enumerate(zip(titles, lasts, strict=True))
    ]


def _figure_columns(comparison: Comparison, rows: Sequence[ComparedRow]) -> list[Column]:
    best = comparison.best([row for row in rows if row.state != "baseline"])
    columns = []
    for place, key in enumerate(comparison.columns):
        styles = {index: BEST for index in best[key] if rows[index].state != "baseline"}
        is_main = key in (comparison.sort, DIFFERENCE + comparison.sort.removeprefix(TEST))
        rank = 1 if is_main else 10 + 2 * place  # the other differences, the last, go first
        cells = [show_cell(row, key) for row in rows]
        columns.append(Column(column_title(key), cells, rank, is_number=True, styles=styles))
    return columns


def fitting(columns: Sequence[Column], room: int) -> tuple[list[Column], list[str]]:
    """Return the columns that fit into ``room`` characters, and the titles of the others."""
    kept: set[int] = set()
    for index in sorted(range(len(columns)), key=lambda place: columns[place].rank):
        width = columns[index].width
        if width <= room:
            room -= width
            kept.add(index)
    return (
        [columns[index] for index in sorted(kept)],
        [column.title for index, column in enumerate(columns) if index not in kept],
    )


def column_title(key: str) -> str:
    """Return a figure's column title; the test range goes without saying, a difference has a Δ."""
    span, _, name = key.rpartition("/")
    title = describe(name).title
    if key.startswith(DIFFERENCE):
        return f"Δ {title}"
    return title if span == "test" else f"{title} ({span})"


def show_cell(row: ComparedRow, key: str) -> str:
    """Return a figure's text, with the interval of its mean over seeds where there is one."""
    value, half = row.values.get(key, math.nan), row.halves.get(key, math.nan)
    text = show(key, value)
    if key.startswith(DIFFERENCE) and value > 0 and text.strip("0.,%"):
        text = f"+{text}"
    return text if math.isnan(half) else f"{text} ± {show(key, half)}"


def show_duration(seconds: float) -> str:
    """Return seconds as ``42 s``, ``3:07 min`` or ``2:15 h``; NaN as a dash."""
    if math.isnan(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"


def reasons(runs: Iterable[ComparedRow]) -> list[tuple[str, str, str]]:
    """Return the names, state and reason of runs that say why they ended as they did, equal reasons in one entry."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in runs:
        if row.error:
            found.setdefault((row.state, row.error), []).append(row.label)
    return [(_names(labels), state, error) for (state, error), labels in found.items()]


def _names(labels: Sequence[str]) -> str:
    more = len(labels) - MAX_NAMED
    return ", ".join(labels[:MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def difference_caption(comparison: Comparison) -> str:
    """Return what the Δ in titles means, empty where there is none."""
    name = comparison.baseline_name
    return f"Δ: minus that of {name} on the same bars of the test range." if comparison.differences else ""


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
