"""Read equity curves of runs' test ranges from their ``equity.parquet``."""

from collections.abc import Iterator, Mapping, Sequence

import duckdb
import numpy as np

from tradewright.metrics.history import Float, Time
from tradewright.report.runs import RunRecord

EQUITY = "equity.parquet"
Equity = tuple[Time, Float]
Curves = dict[str, Equity]

CHUNK = 100
"""Files that one query reads: a query for each takes four times as long."""


def read_curves(record: RunRecord, connection: duckdb.DuckDBPyConnection) -> Curves:
    """Return times and equity of every curve of the test range, in the order they were written.

    Args:
        record: The run.
        connection: Reused for many runs; opening one takes longer than reading.

    Raises:
        duckdb.Error: The file is missing or damaged.
    """
    path = str(record.path / EQUITY)
    return _query([path], connection).get(path, {})


def read_all_curves(
    records: Sequence[RunRecord], connection: duckdb.DuckDBPyConnection
) -> Iterator[Curves | duckdb.Error]:
    """Yield what ``read_curves`` returns for each run, or the error it raises."""
    for start in range(0, len(records), CHUNK):
        chunk = records[start : start + CHUNK]
        try:
            found = _query([str(record.path / EQUITY) for record in chunk], connection)
        except duckdb.Error:  # one file is missing or damaged: each by itself
            yield from (_try(record, connection) for record in chunk)
        else:
            yield from (found.get(str(record.path / EQUITY), {}) for record in chunk)


def _try(record: RunRecord, connection: duckdb.DuckDBPyConnection) -> Curves | duckdb.Error:
    try:
        return read_curves(record, connection)
    except duckdb.Error as error:
        return error


def _query(paths: list[str], connection: duckdb.DuckDBPyConnection) -> dict[str, Curves]:
    """Return the curves of several files by path."""
    query = "SELECT filename, name, ts, equity FROM read_parquet(?, filename = true) WHERE \"range\" = 'test'"
    columns = connection.execute(query, [paths]).fetchnumpy()
    files, names = (np.asarray(columns[key], dtype=object) for key in ("filename", "name"))
    ts, equity = np.asarray(columns["ts"]), np.ma.asarray(columns["equity"], dtype=np.float64).filled(np.nan)
    if not len(ts):
        return {}
    starts = np.flatnonzero(np.concatenate(([True], (files[1:] != files[:-1]) | (names[1:] != names[:-1]))))
    parts: dict[tuple[str, str], list[slice]] = {}
    for start, stop in zip(starts, [*starts[1:], len(ts)], strict=True):
        parts.setdefault((str(files[start]), str(names[start])), []).append(slice(start, stop))
    found: dict[str, Curves] = {}
    for (file, name), slices in parts.items():
        times, values = (np.concatenate([column[rows] for rows in slices]) for column in (ts, equity))
        order = np.argsort(times, kind="stable")
        found.setdefault(file, {})[name] = times[order], values[order]
    return found


def strategy_curve(record: RunRecord, curves: Mapping[str, Equity]) -> Equity:
    """Return the curve of the strategy: the first that is no baseline's.

    Raises:
        LookupError: There is none.
    """
    baselines = {key.split("/")[1] for key in record.metrics if key.startswith("baseline/")}
    for name, curve in curves.items():
        if name not in baselines:
            return curve
    raise LookupError(f"{record.path / EQUITY}: no test equity of the strategy")
