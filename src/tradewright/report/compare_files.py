"""The table of a comparison as a file: CSV, JSON and Parquet with full precision, Markdown to be read."""

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from tradewright.output import write_json, write_text, write_with
from tradewright.report.compare_table import (
    BEST,
    SEEDS_CAPTION,
    Column,
    cautions,
    column_title,
    difference_caption,
    group_columns,
    reasons,
    run_columns,
)
from tradewright.report.comparison import Comparison
from tradewright.report.sections.section import Section

FIXED = {"run": "VARCHAR", "state": "VARCHAR", "duration_s": "DOUBLE", "error": "VARCHAR"}
"""Leading columns of the files that programs read."""


def rows_as_data(comparison: Comparison) -> list[dict[str, Any]]:
    """Return every run and baseline as flat keys and full-precision numbers; undefined is NaN."""
    out: list[dict[str, Any]] = []
    for row in (*comparison.runs, *comparison.baselines):
        fixed = {"run": row.label, "state": row.state, "duration_s": row.duration_s, "error": row.error}
        settings = {title: row.settings.get(title, "") for title in comparison.titles}
        out.append(fixed | settings | {key: row.values.get(key, math.nan) for key in comparison.columns})
    return out


def write_table(comparison: Comparison, path: Path, section: Section | None = None) -> Path:
    """Write the table in the format that the suffix of ``path`` names, and return the path.

    Undefined is empty in CSV, null in JSON and Parquet, a dash in Markdown.

    Args:
        comparison: The runs.
        path: Its suffix is one of ``FORMATS``.
        section: What of it is beyond chance; Markdown quotes its lines.
    """
    if path.suffix == ".md":
        write_text(path, "\n".join(_markdown(comparison, section)) + "\n")
    else:
        WRITERS[path.suffix](comparison, path)
    return path


def _write_csv(comparison: Comparison, path: Path) -> None:
    rows = rows_as_data(comparison)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {key: "" if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        )
    write_text(path, buffer.getvalue())


def _write_json(comparison: Comparison, path: Path) -> None:
    write_json(path, rows_as_data(comparison))


def _write_parquet(comparison: Comparison, path: Path) -> None:
    """Let DuckDB write the columns; texts are texts, so that a setting keeps its type over many files."""
    rows = rows_as_data(comparison)
    types = FIXED | dict.fromkeys(comparison.titles, "VARCHAR") | dict.fromkeys(comparison.columns, "DOUBLE")
    columns = {
        f"c{place}": np.array([row[key] for row in rows], dtype=np.float64 if kind == "DOUBLE" else object)
        for place, (key, kind) in enumerate(types.items())
    }
    casts = []
    for place, (key, kind) in enumerate(types.items()):
        value = f"CASE WHEN isfinite(c{place}) THEN c{place} END" if kind == "DOUBLE" else f"c{place}::VARCHAR"
        name = key.replace('"', '""')
        casts.append(f'{value} AS "{name}"')
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("columns", columns)
        write_with(path, partial(_copy, connection, ", ".join(casts)))


def _copy(connection: duckdb.DuckDBPyConnection, casts: str, to: Path) -> None:
    target = str(to).replace("'", "''")
    connection.execute(f"COPY (SELECT {casts} FROM columns) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


def _markdown(comparison: Comparison, section: Section | None) -> Iterator[str]:
    num = len(comparison.runs)
    yield f"# {num:,} {'run' if num == 1 else 'runs'} in {comparison.folder.name or comparison.folder}"
    yield ""
    yield f"Best first by {column_title(comparison.sort)}; the best value of each figure is bold."
    yield ""
    yield from _markdown_table(run_columns(comparison, comparison.runs))
    if comparison.groups:
        yield from ("", "## Over seeds", "")
        yield from _markdown_table(group_columns(comparison, comparison.groups))
        yield from ("", SEEDS_CAPTION)
    if caption := difference_caption(comparison):
        yield from ("", caption)
    found = reasons(comparison.runs)
    if found:
        yield ""
        yield from (f"- {_escape(f'{names}: {state}, {error}')}" for names, state, error in found)
    for sentence in (*(section.lines if section else ()), *cautions(comparison)):
        yield from ("", _escape(sentence))


def _markdown_table(columns: Sequence[Column]) -> Iterator[str]:
    yield "|" + "|".join(f" {_escape(column.title)} " for column in columns) + "|"
    yield "|" + "|".join("---:" if column.is_number else "---" for column in columns) + "|"
    for place in range(len(columns[0].cells)):
        cells = (_escape(column.cells[place]) for column in columns)
        styled = (
            f" **{text}** " if column.style(place) == BEST else f" {text} "
            for text, column in zip(cells, columns, strict=True)
        )
        yield "|" + "|".join(styled) + "|"


def _escape(text: str) -> str:
    """Return the text on one line, without what Markdown would take for markup."""
    flat = " ".join(text.split())
    for mark in ("\\", "|", "<", "*", "_", "`"):
        flat = flat.replace(mark, f"\\{mark}")
    return flat


WRITERS: dict[str, Callable[[Comparison, Path], None]] = {
    ".csv": _write_csv,
    ".json": _write_json,
    ".parquet": _write_parquet,
}
FORMATS = {"csv": "csv", "json": "json", "parquet": "parquet", "markdown": "md"}
"""Suffix of the file by the name of the format."""
