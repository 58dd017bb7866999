"""Small inputs of every kind, and a ten-line oracle of what a panel must hold."""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np

HEADER = "date,open,high,low,close,volume"
GOOD = [
    "2020-01-02,10,12,9,11,100",
    "2020-01-03,11,13,10,12,110",
    "2020-01-06,12,14,11,13,120",
    "2020-01-07,13,15,12,14,130",
]


def write_csv(path: Path, rows: Sequence[str] = GOOD, header: str = HEADER) -> Path:
    """Write a text file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def random_rows(num_bars: int, seed: int = 0, *, minutes: int = 1440, start: str = "2020-01-02T00:00") -> list[str]:
    """Return valid rows of one symbol."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, num_bars)))
    open_ = close * np.exp(rng.normal(0, 0.005, num_bars))
    high = np.maximum(open_, close) * 1.01
    low = np.minimum(open_, close) * 0.99
    stamps = np.datetime64(start, "m") + np.arange(num_bars) * np.timedelta64(minutes, "m")
    return [
        f"{t},{o!r},{h!r},{lo!r},{c!r},{v}"
        for t, o, h, lo, c, v in zip(
            stamps, *(x.tolist() for x in (open_, high, low, close)), range(num_bars), strict=True
        )
    ]


def convert(source: Path, target: Path, table: str = "bars") -> Path:
    """Copy a CSV file into a Parquet or DuckDB file with typed columns."""
    if target.suffix == ".parquet":
        duckdb.sql(f"COPY (SELECT * FROM read_csv('{source}')) TO '{target}'")
    else:
        with duckdb.connect(str(target)) as connection:
            connection.execute(f"CREATE TABLE {table} AS SELECT * FROM read_csv('{source}')")
    return target
