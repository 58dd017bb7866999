"""``Repetition``: a run and its replay set beside each other: figures, equity, and what has changed in between."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tradewright.errors import RunError
from tradewright.output import MANIFEST, now, read_json, write_json, write_manifest
from tradewright.task.changes import Change, candidates

FILE = "replay.json"
EQUITY = "equity.parquet"
MAX_ROWS = 20
"""Figures listed on the terminal; the file has all."""
NUM_NAMED = 3
"""Figures named in the error."""
PIPE_COLUMNS = 160
"""Width of the tables where the output is no terminal."""


@dataclass(frozen=True)
class Difference:
    """A figure that is another one.

    Args:
        name: Its key in ``metrics.json``.
        then: In the run; None: it has none.
        now: In the replay; None: it has none.
    """

    name: str
    then: float | None
    now: float | None


@dataclass(frozen=True)
class Bar:
    """The first bar at which an equity curve is another one.

    Args:
        range: Such as ``test``.
        name: Whose equity.
        ts: Open of the bar.
        then: Equity in the run; None: it has no such bar.
        now: Equity in the replay; None: it has no such bar.
    """

    range: str
    name: str
    ts: str
    then: float | None
    now: float | None


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """What a replay found.

    Args:
        run: The run directory, as it was named.
        rtol: Largest relative difference that counts as equal.
        changes: Of code, versions, machine and data.
        num_figures: Compared figures.
        figures: Those that differ.
        equity: First bars that differ; None: one of the two left no ``equity.parquet``.
    """

    run: str
    rtol: float
    changes: Sequence[Change]
    num_figures: int
    figures: Sequence[Difference]
    equity: Sequence[Bar] | None

    @property
    def is_equal(self) -> bool:
        """Whether every figure is the same."""
        return not self.figures

    def verdict(self) -> str:
        """Return the outcome in one line."""
        if self.figures:
            named = "; ".join(f"{one.name} was {one.then}, is {one.now}" for one in self.figures[:NUM_NAMED])
            how_many = f"{len(self.figures)} of {self.num_figures} figures differ"
            return f"{self.run}: {how_many}: {named}; {candidates(self.changes)}"
        exactly = f" within {self.rtol:g}" if self.rtol else ""
        so_are = "code, versions, machine and data are equal too"
        if self.changes:
            so_are = f"although these are not: {candidates(self.changes).removeprefix('candidates: ')}"
        return f"replayed {self.num_figures} figures of {self.run}: all equal{exactly}; {so_are}"

    def write(self, directory: Path) -> None:
        """Write ``replay.json`` into the replay's directory, and list it in the manifest."""
        write_json(
            directory / FILE, {"at": now(), "is_equal": self.is_equal, "verdict": self.verdict(), **asdict(self)}
        )
        if (directory / MANIFEST).is_file():
            write_manifest(directory, read_json(directory / MANIFEST)["places"])

    def print_numbers(self) -> None:
        """Print the figures that differ and where the equity parts; nothing where all are equal."""
        rows = [(one.name, _number(one.then), _number(one.now), _gap(one)) for one in self.figures[:MAX_ROWS]]
        _print_table(("figure", "then", "now", "difference"), rows)
        if len(self.figures) > MAX_ROWS:
            _out().print(f"{len(self.figures) - MAX_ROWS} more figures differ; {FILE} has them all")
        if self.equity:
            bars = [(f"{one.range}/{one.name}", one.ts, _number(one.then), _number(one.now)) for one in self.equity]
            _print_table(("equity", "first bar that differs", "then", "now"), bars)
        elif self.figures and self.equity is not None:
            _out().print("the equity of every strategy is the same at every bar")


def compare_figures(then: Mapping[str, float], now: Mapping[str, float], *, rtol: float) -> list[Difference]:
    """Return the figures that differ, largest relative difference first.

    Args:
        then: The run's ``metrics.json``.
        now: The replay's.
        rtol: Largest relative difference that counts as equal; undefined figures are equal to each other.
    """
    found = [
        Difference(name, then.get(name), now.get(name))
        for name in {**then, **now}
        if not _is_equal(then.get(name), now.get(name), rtol)
    ]
    return sorted(found, key=_distance, reverse=True)


def compare_equity(then: Path, now: Path, *, rtol: float) -> list[Bar] | None:
    """Return, for every equity curve that differs, the first bar at which it does.

    Args:
        then: The run directory.
        now: The replay's.
        rtol: As in ``compare_figures``.

    Returns:
        In the order of range and name; None where a run left no ``equity.parquet``.

    Raises:
        RunError: One of the files is damaged.
    """
    if not ((then / EQUITY).is_file() and (now / EQUITY).is_file()):
        return None
    import duckdb

    query = """
        SELECT DISTINCT ON ("range", name) "range", name, ts::VARCHAR, a.equity, b.equity
        FROM read_parquet($then) AS a FULL JOIN read_parquet($now) AS b USING ("range", name, ts)
        WHERE a.equity IS DISTINCT FROM b.equity
            AND coalesce(abs(a.equity - b.equity) > $rtol * greatest(abs(a.equity), abs(b.equity)), true)
        ORDER BY "range", name, ts
    """
    places = {"then": str(then / EQUITY), "now": str(now / EQUITY), "rtol": rtol}
    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            rows = connection.execute(query, places).fetchall()
    except duckdb.Error as error:
        raise RunError(f"{then / EQUITY}: cannot be compared ({str(error).splitlines()[0]})") from error
    return [Bar(*row) for row in rows]


def print_changes(changes: Sequence[Change], *, since: str) -> None:
    """Print what has changed since a run; nothing where nothing has.

    Args:
        changes: What has changed.
        since: When the run began.
    """
    rows = [(change.part, change.name, change.then, change.now) for change in changes]
    _print_table(("changed", f"since {since}", "then", "now"), rows)


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    table = Table(*titles, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    _out().print(table)


def _out() -> Console:
    out = Console(markup=False, highlight=False)
    return out if out.is_terminal else Console(width=max(out.width, PIPE_COLUMNS), markup=False, highlight=False)


def _is_equal(first: float | None, second: float | None, rtol: float) -> bool:
    if first is None or second is None:
        return False
    if math.isnan(first) or math.isnan(second):
        return math.isnan(first) and math.isnan(second)
    return first == second or math.isclose(first, second, rel_tol=rtol, abs_tol=0.0)


def _distance(one: Difference) -> float:
    """Return the relative difference; infinite where one is missing or undefined."""
    if one.then is None or one.now is None or not math.isfinite(one.then - one.now):
        return math.inf
    return abs(one.now - one.then) / max(abs(one.then), abs(one.now))


def _gap(one: Difference) -> str:
    distance = _distance(one)
    return f"{distance:.2g} of it" if math.isfinite(distance) else "-"


def _number(value: Any) -> str:
    return "-" if value is None or math.isnan(value) else repr(float(value))
