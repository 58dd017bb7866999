"""Write equity, trades and fills of a run's backtests as Parquet, CSV or JSON, whole or not at all (design §6).

The three formats carry the same rows and numbers (doubles in shortest round-trip form); undefined numbers are null.
Rows are ordered by range, result and time, in the order the results were given.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from tradewright.backtest.result import BacktestResult
from tradewright.output import write_with

Columns = dict[str, np.ndarray]
Results = Mapping[tuple[str, str], BacktestResult]

COPY_OPTIONS = {
    "parquet": "FORMAT parquet, COMPRESSION zstd",
    "csv": "FORMAT csv, HEADER true",
    "json": "FORMAT json, ARRAY true",
}
"""DuckDB's COPY options by file format; the name of the format is the suffix of the file."""

FILL_TYPES = {
    "bar": "BIGINT",
    "ts": "TIMESTAMP",
    "symbol": "VARCHAR",
    "quantity": "DOUBLE",
    "price": "DOUBLE",
    "fee": "DOUBLE",
    "slippage": "DOUBLE",
    "reason": "VARCHAR",
}
TRADE_TYPES = {
    "symbol": "VARCHAR",
    "side": "VARCHAR",
    "quantity": "DOUBLE",
    "entry_bar": "BIGINT",
    "entry_ts": "TIMESTAMP",
    "entry_price": "DOUBLE",
    "entry_reason": "VARCHAR",
    "exit_bar": "BIGINT",
    "exit_ts": "TIMESTAMP",
    "exit_price": "DOUBLE",
    "exit_reason": "VARCHAR",
    "holding_bars": "BIGINT",
    "holding_days": "DOUBLE",
    "gross_pnl": "DOUBLE",
    "fees": "DOUBLE",
    "slippage": "DOUBLE",
    "borrow": "DOUBLE",
    "funding": "DOUBLE",
    "dividends": "DOUBLE",
    "costs": "DOUBLE",
    "pnl": "DOUBLE",
    "return_fraction": "DOUBLE",
    "mae": "DOUBLE",
    "mfe": "DOUBLE",
}
EQUITY_TYPES = {"ts": "TIMESTAMP", "equity": "DOUBLE", "cash": "DOUBLE"}


def check_formats(formats: Iterable[str]) -> tuple[str, ...]:
    """Return the formats as a tuple.

    Raises:
        ValueError: A format is unknown.
    """
    chosen = tuple(formats)
    for name in chosen:
        if name not in COPY_OPTIONS:
            raise ValueError(f"formats must be of {', '.join(COPY_OPTIONS)}, was {name!r}")
    return chosen


def export_results(directory: Path, results: Results, formats: Sequence[str] = ("parquet",)) -> tuple[Path, ...]:
    """Write ``equity``, ``trades`` and ``fills`` of every result, one file per table and format.

    Args:
        directory: The run directory.
        results: Results by (range, name), e.g. ``("test", "ppo")``; both become columns.
        formats: Any of ``parquet``, ``csv``, ``json``.

    Returns:
        The paths written.

    Raises:
        ValueError: A format is unknown.
    """
    chosen = check_formats(formats)
    tables = {
        "equity": (_gather(results, EQUITY_TYPES, _equity), EQUITY_TYPES),
        "trades": (_gather(results, TRADE_TYPES, partial(_records, field="trades", types=TRADE_TYPES)), TRADE_TYPES),
        "fills": (_gather(results, FILL_TYPES, partial(_records, field="fills", types=FILL_TYPES)), FILL_TYPES),
    }
    paths = []
    with duckdb.connect(config={"threads": 1}) as connection:
        for table, (columns, types) in tables.items():
            for name in chosen:
                path = directory / f"{table}.{name}"
                write_with(path, partial(_copy, connection, columns, types, name))
                paths.append(path)
    return tuple(paths)


def _copy(
    connection: duckdb.DuckDBPyConnection, columns: Columns, types: Mapping[str, str], name: str, to: Path
) -> None:
    """Let DuckDB write ``columns`` to ``to``; what is not finite becomes null, as JSON has no word for it."""
    casts = ["name::VARCHAR AS name", '"range"::VARCHAR AS "range"']
    for key, kind in types.items():
        value = f'CASE WHEN isfinite("{key}") THEN "{key}" END' if kind == "DOUBLE" else f'"{key}"::{kind}'
        casts.append(f'{value} AS "{key}"')
    connection.register("columns", columns)
    target = str(to).replace("'", "''")
    connection.execute(f"COPY (SELECT {', '.join(casts)} FROM columns) TO '{target}' ({COPY_OPTIONS[name]})").fetchall()
    connection.unregister("columns")


def _gather(results: Results, types: Mapping[str, str], of: Callable[[BacktestResult], Columns]) -> Columns:
    """Stack the columns of every result, with its name and range beside them."""
    parts = [(key, of(result)) for key, result in results.items()]
    lengths = [len(columns[next(iter(types))]) for _, columns in parts]
    out: Columns = {
        "name": np.repeat(np.array([name for (_, name), _ in parts], dtype=object), lengths),
        "range": np.repeat(np.array([span for (span, _), _ in parts], dtype=object), lengths),
    }
    for key, kind in types.items():
        out[key] = np.concatenate([_empty(kind), *(columns[key] for _, columns in parts)])
    return out


def _equity(result: BacktestResult) -> Columns:
    return {"ts": result.ts_T.astype("datetime64[us]"), "equity": result.equity_T, "cash": result.cash_T}


def _records(result: BacktestResult, field: str, types: Mapping[str, str]) -> Columns:
    records: Sequence[Any] = getattr(result, field)
    return {key: _column([getattr(record, key) for record in records], kind) for key, kind in types.items()}


def _empty(kind: str) -> np.ndarray:
    return _column([], kind)


def _column(values: list[Any], kind: str) -> np.ndarray:
    """Return a NumPy column that DuckDB scans; an absent value is NaN, NaT or, for integers, masked."""
    match kind:
        case "DOUBLE":
            return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        case "TIMESTAMP":
            return np.array([np.datetime64("NaT") if value is None else value for value in values], "datetime64[us]")
        case _:
            return np.array(values, dtype=object)
