"""``BarStore``: one data set in one DuckDB file, written whole or not at all by one writer, read by many.

A writer holds ``<dataset>.lock``, fills a temporary file beside the target, checkpoints, closes, flushes and renames it
(DuckDB admits one writing *process* and then no reader, so the file that readers open is never written). A killed
writer leaves the old file as it was; the next writer removes what it left. Readers open read-only, for milliseconds.
"""

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from tradewright.errors import DataError
from tradewright.output import now, write_with

SCHEMA_VERSION = "1"
LOCK_TIMEOUT_S = 120.0
"""How long a second writer waits; jobs of a sweep that start together then find the first one's work done."""

_TABLES = """
CREATE TABLE bars(symbol VARCHAR NOT NULL, timeframe_s INTEGER NOT NULL, ts TIMESTAMP NOT NULL, open DOUBLE NOT NULL,
                  high DOUBLE NOT NULL, low DOUBLE NOT NULL, close DOUBLE NOT NULL, volume DOUBLE NOT NULL);
CREATE TABLE instruments(symbol VARCHAR NOT NULL, kind VARCHAR NOT NULL, multiplier DOUBLE NOT NULL,
                         tick DOUBLE NOT NULL, lot DOUBLE NOT NULL, currency VARCHAR NOT NULL, calendar VARCHAR NOT
                         NULL);
CREATE TABLE actions(symbol VARCHAR NOT NULL, ex_ts TIMESTAMP NOT NULL, kind VARCHAR NOT NULL, ratio DOUBLE NOT NULL,
                     cash DOUBLE NOT NULL);
CREATE TABLE rates(symbol VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, funding DOUBLE, borrow DOUBLE);
CREATE TABLE rolls(root VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, from_symbol VARCHAR NOT NULL,
                   to_symbol VARCHAR NOT NULL, from_price DOUBLE NOT NULL, to_price DOUBLE NOT NULL);
CREATE TABLE swaps(place BIGINT NOT NULL, ts TIMESTAMP NOT NULL, block BIGINT NOT NULL, price DOUBLE NOT NULL,
                   amount DOUBLE NOT NULL, liquidity DOUBLE NOT NULL);
CREATE TABLE meta(key VARCHAR NOT NULL, value VARCHAR NOT NULL);
"""


class BarStore:
    """The DuckDB file of one data set.

    Args:
        root: Folder of all stores (root config key ``store``).
        dataset: Name of the data set: letters, digits, ``.``, ``_``, ``-``.
        lock_timeout_s: How long a writer waits for another one, seconds.

    Raises:
        ValueError: ``dataset`` cannot be a file name.
    """

    def __init__(self, *, root: str, dataset: str, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", dataset):
            raise ValueError(f"dataset must be letters, digits, '.', '_' or '-', was {dataset!r}")
        self.dataset = dataset
        self.path = Path(root) / "bars" / f"{dataset}.duckdb"
        self.lock_timeout_s = lock_timeout_s

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file read-only.

        Raises:
            DataError: The file is missing, damaged or of another version.
        """
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such data set; load it with `tradewright ingest data=…`")
        try:
            connection = duckdb.connect(str(self.path), read_only=True, config={"threads": 1})
        except duckdb.Error as error:
            raise DataError(
                f"{self.path}: damaged or no DuckDB file ({first_line(error)}); "
                f"load it again with task=ingest task.force=true"
            ) from None
        try:
            yield connection
        finally:
            connection.close()

    def meta(self) -> dict[str, str] | None:
        """Return the data set's facts, or None while there is no data set."""
        if not self.path.is_file():
            return None
        with self.reading() as connection:
            return read_meta(connection, self.path)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer's lock and remove what a killed writer left.

        Raises:
            DataError: Another process holds the lock for longer than ``lock_timeout_s``, or the folder cannot be
                written.
        """
        from filelock import FileLock, Timeout

        lock = self.path.with_suffix(".lock")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            guard = FileLock(lock).acquire(timeout=self.lock_timeout_s)
        except Timeout:
            raise DataError(
                f"{lock}: another process is writing data set '{self.dataset}' (waited {self.lock_timeout_s:g} s); "
                f"wait until it ends, or write to another data.dataset"
            ) from None
        except OSError as error:
            raise DataError(f"{lock.parent}: cannot write here ({error}); set store=<a folder you may write>") from None
        with guard:
            for stale in self.path.parent.glob(f".{self.path.name}.*"):
                _remove(stale)
            yield

    def replace(self, fill: Callable[[duckdb.DuckDBPyConnection, Path], None]) -> None:
        """Let ``fill`` write a new file and put it in place of the old one; call it inside ``writing()``.

        Args:
            fill: Called with a connection to an empty store and a path prefix for scratch files. If it raises, the old
                file stays as it was.
        """
        write_with(self.path, lambda part: self._write(part, fill))

    def _write(self, part: Path, fill: Callable[[duckdb.DuckDBPyConnection, Path], None]) -> None:
        scratch = part.with_name(part.name + ".tmp")
        try:
            with duckdb.connect(str(part), config={"temp_directory": str(scratch)}) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                connection.execute(_TABLES)
                fill(connection, part.with_name(part.name + ".scratch"))
                connection.execute("CHECKPOINT")
        finally:
            for rest in part.parent.glob(f"{part.name}.*"):
                _remove(rest)

    def rewrite_meta(self, facts: dict[str, str]) -> None:
        """Change facts of an existing data set, with the same guarantee; call it inside ``writing()``."""

        def copy(part: Path) -> None:
            shutil.copyfile(self.path, part)
            with duckdb.connect(str(part)) as connection:
                for key, value in facts.items():
                    connection.execute("UPDATE meta SET value = ? WHERE key = ?", [value, key])
                connection.execute("CHECKPOINT")

        write_with(self.path, copy)


def read_meta(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Return the facts of an open store.

    Raises:
        DataError: The file holds no data set of this version.
    """
    try:
        facts = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    except duckdb.CatalogException:
        raise DataError(
            f"{path}: a DuckDB file, but no data set of tradewright; read it with data=duckdb data.path="
        ) from None
    if facts.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"{path}: schema version {facts.get('schema_version')}, expected {SCHEMA_VERSION}; "
            f"load it again with task=ingest task.force=true"
        )
    return facts


def write_meta(connection: duckdb.DuckDBPyConnection, facts: dict[str, str]) -> None:
    """Write the facts of a new data set."""
    rows = {**facts, "schema_version": SCHEMA_VERSION, "created_at": now()}
    insert_columns(connection, "meta", {"key": list(rows), "value": list(rows.values())})


def insert_columns(connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
    """Append rows, given by column, to ``table`` in one statement; text stays text, times are ``datetime64``."""
    arrays = {}
    for name, values in columns.items():
        is_text = len(values) > 0 and isinstance(values[0], str)
        arrays[name] = np.array(values, dtype=object) if is_text else np.asarray(values)
    connection.register("inserted", arrays)
    connection.execute(f"INSERT INTO {table}({', '.join(columns)}) SELECT {', '.join(columns)} FROM inserted")
    connection.unregister("inserted")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, for messages of one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def quote_text(text: str) -> str:
    """Return ``text`` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """Return ``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
