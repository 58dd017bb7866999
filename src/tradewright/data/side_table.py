"""Tables that stand beside the bars: ``rates`` (what holding costs) and ``rolls`` (which contract follows which).

A table is a CSV, Parquet or DuckDB file (there the table has the name of its kind). Columns are recognised by name;
stamps are those of the bars: naive UTC, session dates of daily bars, or with an offset. A malformed row is refused by
file and row, before anything is written.

* rates: ``symbol, ts`` and one or both of ``funding`` (the fraction of the position's value that longs pay to shorts at
  ``ts``) and ``borrow`` (the annual rate for borrowed shares from ``ts`` on); an empty cell says nothing;
* rolls: ``root, ts, from_symbol, to_symbol, from_price, to_price``: before ``ts`` the root is the first contract, from
  ``ts`` on the second; the prices are those of both at that moment.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from tradewright.data.columns import ALIASES, plain_name
from tradewright.data.csv import csv_error, csv_relation
from tradewright.data.stamps import typed_stamp
from tradewright.data.store import first_line, quote_name, quote_text
from tradewright.errors import DataError, suggest

ROOT_COLUMNS = ("root", "from_symbol", "to_symbol")
PRICE_COLUMNS = ("from_price", "to_price")
RATE_COLUMNS = ("funding", "borrow")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What holding an instrument costs from ``ts`` on; NaN: not said here."""

    symbol: str
    ts: np.datetime64
    funding: float
    borrow: float


@dataclass(frozen=True, kw_only=True)
class Roll:
    """The moment at which a root leaves one contract for the next, and the prices of both then."""

    root: str
    ts: np.datetime64
    from_symbol: str
    to_symbol: str
    from_price: float
    to_price: float


Rows = list[tuple[str, dict[str, Any]]]
"""Place (``rates.csv row 3``) and values by column: ``ts``, text, or a number; None where the cell is empty."""


def read_rates(connection: duckdb.DuckDBPyConnection, path: str, symbols: Sequence[str]) -> list[Rate]:
    """Return the rates of a file.

    Args:
        connection: Any connection; a DuckDB file is attached to it for the time of the call.
        path: The file.
        symbols: Symbols that have bars.

    Raises:
        DataError: A row is malformed, doubled or of another symbol; named by file and row.
    """
    rates: dict[tuple[str, Any], Rate] = {}
    for place, row in read_rows(connection, path, "data.rates", "rates", ("symbol",), RATE_COLUMNS):
        symbol, ts = row["symbol"], row["ts"]
        if symbol not in symbols:
            raise DataError(f"{place}: symbol '{symbol}' has no bars{suggest(symbol, symbols)}")
        if row["funding"] is None and row["borrow"] is None:
            raise DataError(f"{place}: {symbol} {ts}: neither funding nor borrow is given; fill one in")
        if row["borrow"] is not None and row["borrow"] < 0:
            raise DataError(f"{place}: {symbol} {ts}: borrow must be >= 0, was {row['borrow']}")
        if row["funding"] is not None and not abs(row["funding"]) < 1:
            raise DataError(f"{place}: {symbol} {ts}: funding must be a fraction in (-1, 1), was {row['funding']}")
        if (symbol, ts) in rates:
            raise DataError(f"{place}: {symbol} {ts} was there before; keep one of them")
        numbers = {name: math.nan if row[name] is None else row[name] for name in RATE_COLUMNS}
        rates[symbol, ts] = Rate(symbol=symbol, ts=np.datetime64(ts, "us"), **numbers)
    return sorted(rates.values(), key=lambda rate: (rate.symbol, rate.ts))


def read_rolls(connection: duckdb.DuckDBPyConnection, path: str, symbols: Sequence[str]) -> list[Roll]:
    """Return the rolls of a file, by root and time.

    Raises:
        DataError: A row is malformed, or the contracts of a root do not follow each other; named by file and row.
    """
    found: list[tuple[str, Roll]] = []
    for place, row in read_rows(connection, path, "data.rolls", "rolls", ROOT_COLUMNS, PRICE_COLUMNS):
        for name in ROOT_COLUMNS:
            if not row[name]:
                raise DataError(f"{place}: {name} is missing; fill it in")
        for name in PRICE_COLUMNS:
            if row[name] is None or not row[name] > 0:
                raise DataError(f"{place}: {name} must be a price > 0, was {row[name]}")
        if row["root"] in symbols:
            raise DataError(f"{place}: root '{row['root']}' is a symbol that has bars of its own; name the root apart")
        for name in ("from_symbol", "to_symbol"):
            if row[name] not in symbols:
                raise DataError(f"{place}: {name} '{row[name]}' has no bars{suggest(row[name], symbols)}")
        found.append((place, Roll(**{**row, "ts": np.datetime64(row["ts"], "us")})))
    found.sort(key=lambda item: (item[1].root, item[1].ts))
    for (_, earlier), (place, roll) in pairwise(found):
        if roll.root == earlier.root:
            _check_chain(place, earlier, roll)
    return [roll for _, roll in found]


def _check_chain(place: str, earlier: Roll, roll: Roll) -> None:
    if roll.ts == earlier.ts:
        raise DataError(f"{place}: {roll.root} {roll.ts} was there before; keep one of them")
    if roll.from_symbol != earlier.to_symbol:
        raise DataError(
            f"{place}: {roll.root} leaves '{roll.from_symbol}' on {roll.ts}, but it holds '{earlier.to_symbol}' since "
            f"{earlier.ts}; correct the row"
        )


def read_rows(
    connection: duckdb.DuckDBPyConnection,
    path: str,
    key: str,
    table: str,
    texts: Sequence[str],
    numbers: Sequence[str],
) -> Rows:
    """Return the rows of a file with the given columns; a column of numbers may be missing if another one is there."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"{key}={path}: no such file")
    try:
        relation, names, columns = _open(connection, file, table)
        at = _match(file, names, texts, numbers)
        stamp = columns[at["ts"]]
        kind, sample = _kind(connection, relation, stamp)
        expressions = typed_stamp(stamp, kind=kind, sample=sample, time_format=None)
        if expressions is None:
            raise DataError(f"{file.name}: column '{names[at['ts']]}' of type {kind} holds no date and time")
        given = {name: columns[at[name]] for name in (*texts, *numbers) if name in at}
        selected = [f"({stamp})::VARCHAR", expressions[0], *(f"{column}::VARCHAR" for column in given.values())]
        rows = connection.sql(f"SELECT {', '.join(selected)} FROM {relation}").fetchall()
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        if file.suffix.lower() in (".parquet", ".pq", ".duckdb", ".db"):
            raise DataError(f"{file.name}: cannot be read ({first_line(error)}); fetch it again") from None
        raise csv_error(file, error) from None
    finally:
        connection.execute("DETACH DATABASE IF EXISTS beside")
    return list(_typed(file.name, rows, list(given), numbers))


def _open(connection: duckdb.DuckDBPyConnection, file: Path, table: str) -> tuple[str, list[str], list[str]]:
    """Return SQL for the rows of a file, the names of its columns, and their names in the SQL."""
    suffix = file.suffix.lower()
    if suffix not in (".parquet", ".pq", ".duckdb", ".db"):
        return csv_relation(file)
    relation = f"read_parquet({quote_text(str(file))})"
    if suffix in (".duckdb", ".db"):
        connection.execute(f"ATTACH {quote_text(str(file))} AS beside (READ_ONLY)")
        known = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'beside'"
        ).fetchall()
        if (table,) not in known:
            raise DataError(f"{file.name}: no table '{table}'{suggest(table, [row[0] for row in known])}")
        relation = f"beside.{quote_name(table)}"
    names = connection.sql(f"SELECT * FROM {relation} LIMIT 0").columns
    return relation, names, [quote_name(name) for name in names]


def _match(file: Path, names: Sequence[str], texts: Sequence[str], numbers: Sequence[str]) -> dict[str, int]:
    """Return the position of every known column."""
    plain = [plain_name(name) for name in names]
    at = {name: plain.index(plain_name(name)) for name in (*texts, *numbers) if plain_name(name) in plain}
    stamps = [plain.index(alias) for alias in ALIASES["ts"] if alias in plain]
    needed = texts if "borrow" in numbers else (*texts, *numbers)
    missing = [name for name in needed if name not in at] + ([] if stamps else ["ts"])
    if not missing and not any(name in at for name in numbers):
        missing = [" or ".join(numbers)]
    if missing:
        raise DataError(f"{file.name}: no column '{missing[0]}' in the header; found {', '.join(names)}")
    return {**at, "ts": stamps[0]}


def _kind(connection: duckdb.DuckDBPyConnection, relation: str, stamp: str) -> tuple[str, str]:
    """Return the type of the stamp column and its first value, as text."""
    kind = str(connection.sql(f"SELECT {stamp} FROM {relation} LIMIT 0").types[0])
    sample = connection.sql(f"SELECT ({stamp})::VARCHAR FROM {relation} WHERE {stamp} IS NOT NULL LIMIT 1").fetchall()
    return kind, sample[0][0] if sample else ""


def _typed(
    file: str, rows: Sequence[tuple[Any, ...]], names: Sequence[str], numbers: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield place and values of every row."""
    for number, (stamp, ts, *cells) in enumerate(rows, start=1):
        place = f"{file} row {number}"
        if not isinstance(ts, datetime):  # DuckDB gives what Python has no word for, such as 25 BC, as text
            raise DataError(f"{place}: ts must be a date and time, was {stamp!r}")
        row: dict[str, Any] = {"ts": ts, **dict.fromkeys(numbers)}
        for name, text in zip(names, cells, strict=True):
            row[name] = (text or "").strip()
            if name in numbers:
                row[name] = _number(place, name, row[name])
        yield place, row


def _number(place: str, name: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{place}: {name} must be a finite number, was {text!r}")
    return value
