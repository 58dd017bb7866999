"""Refuses malformed bars: what is stored is sorted, unique, finite, positive and consistent.

The checks are a handful of vectorised queries over the staged rows, so a million of them cost a fraction of a second.
Every fault names the file and the data row; the first row under the header (of a file without header: the first line)
is 1. Unsorted rows are refused rather than sorted, because they are the usual trace of a broken export;
``data.sort=true`` accepts.
"""

from typing import Any, Literal

from tradewright.data.staging import Staging
from tradewright.errors import DataError

Fault = Literal[
    "empty",
    "missing_column",
    "truncated",
    "unparsable",
    "missing_value",
    "not_finite",
    "not_positive",
    "negative_volume",
    "high_below_low",
    "outside_range",
    "unsorted",
    "duplicate",
    "mixed_zones",
    "spacing",
]

PRICES = ("open", "high", "low", "close")
TOLERANCE = 1e-9
"""Relative slack of "open and close lie within [low, high]": rounding noise of a rescaled price, below any tick."""


class BarsError(DataError):
    """Malformed bars; the store stays as it was.

    Args:
        message: One line for the user.
        fault: Which rule is broken.
        file: File the fault was found in.
        row: Data row from 1, or None where the fault is not one row's.
    """

    def __init__(self, message: str, *, fault: Fault, file: str, row: int | None = None) -> None:
        super().__init__(message)
        self.fault = fault
        self.file = file
        self.row = row


def _fault_cases() -> str:
    numbers = (*PRICES, "volume")
    cases = [("ts", "ts IS NULL", "unreadable"), ("symbol", "symbol IS NULL OR symbol = ''", "unreadable")]
    cases += [(name, f"{name} IS NULL", "unreadable") for name in numbers]
    cases += [(name, f"NOT isfinite({name})", "not_finite") for name in numbers]
    cases += [(name, f"{name} <= 0", "not_positive") for name in PRICES]
    cases.append(("volume", "volume < 0", "negative_volume"))
    cases.append(("high", "high < low", "high_below_low"))
    for name in ("open", "close"):
        cases.append((name, f"{name} > high * {1 + TOLERANCE} OR {name} < low * {1 - TOLERANCE}", "outside_range"))
    return "CASE " + " ".join(f"WHEN {condition} THEN '{fault} {name}'" for name, condition, fault in cases) + " END"


def check_rows(staging: Staging) -> None:
    """Check every staged row on its own.

    Raises:
        BarsError: The first fault in file and row order, or there are no rows.
    """
    connection = staging.connection
    if not connection.sql("SELECT 1 FROM incoming LIMIT 1").fetchall():
        files = staging.files[0] if len(staging.files) == 1 else f"{len(staging.files)} files"
        raise BarsError(f"{files}: no bars in it; expected at least one data row", fault="empty", file=files)
    found = connection.sql(
        "SELECT file, row, symbol, ts, open, high, low, close, volume, fault FROM "
        f"(SELECT *, {_fault_cases()} AS fault FROM incoming) WHERE fault IS NOT NULL ORDER BY file, row LIMIT 1"
    ).fetchall()
    if found:
        raise _row_error(staging, found[0])


def check_order(staging: Staging, *, sort: bool) -> None:
    """Check that stamps rise within each file and symbol, and are unique per symbol.

    Args:
        staging: Rows to check.
        sort: Accept rows that are not in time order.

    Raises:
        BarsError: The first fault in file and row order.
    """
    if not sort:
        _check_sorted(staging)
    _check_unique(staging)


def _row_error(staging: Staging, found: tuple[Any, ...]) -> BarsError:
    file, row, symbol, ts = found[:4]
    values = dict(zip((*PRICES, "volume"), found[4:9], strict=True))
    fault, name = str(found[9]).split(" ")
    bar = f"{symbol} {ts}: " if symbol and ts else ""
    if fault == "unreadable":
        lookup = staging.raw_values.get(file)
        text = lookup(row, name) if lookup else None
        if not text:
            return fault_at(
                staging, "missing_value", file, row, f"{bar}{name} is missing; fill it in or remove the row"
            )
        expected = "a date and time" if name == "ts" else "a number"
        hint = " (another layout: set data.time_format)" if name == "ts" else ""
        return fault_at(staging, "unparsable", file, row, f"{bar}{name} must be {expected}, was {text!r}{hint}")
    texts: dict[Fault, str] = {
        "not_finite": f"{name} must be finite, was {values.get(name)}",
        "not_positive": f"{name} must be > 0, was {values.get(name)}",
        "negative_volume": f"volume must be >= 0, was {values['volume']}",
        "high_below_low": f"high {values['high']} is below low {values['low']}",
        "outside_range": f"{name} {values.get(name)} lies outside [low {values['low']}, high {values['high']}]",
    }
    kind, text = next((kind, text) for kind, text in texts.items() if kind == fault)
    return fault_at(staging, kind, file, row, f"{bar}{text}; correct or remove the row")


def _check_sorted(staging: Staging) -> None:
    found = staging.connection.sql(
        "SELECT file, row, symbol, ts, previous FROM "
        "(SELECT *, lag(ts) OVER (PARTITION BY file, symbol ORDER BY row) AS previous FROM incoming) "
        "WHERE ts < previous ORDER BY file, row LIMIT 1"
    ).fetchall()
    if found:
        file, row, symbol, ts, previous = found[0]
        text = f"{symbol} {ts} comes after {previous}; bars must be in time order (data.sort=true has them sorted)"
        raise fault_at(staging, "unsorted", file, row, text)


def _check_unique(staging: Staging) -> None:
    found = staging.connection.sql(
        "SELECT symbol, ts FROM incoming GROUP BY symbol, ts HAVING count(*) > 1 ORDER BY ts, symbol LIMIT 1"
    ).fetchall()
    if found:
        symbol, ts = found[0]
        (file, row), (other, other_row) = staging.connection.execute(
            "SELECT file, row FROM incoming WHERE symbol = ? AND ts = ? ORDER BY file DESC, row DESC LIMIT 2",
            [symbol, ts],
        ).fetchall()
        text = (
            f"{symbol} {ts} was there before ({staging.files[other]} row {other_row}); keep one of them (local time "
            f"repeats an hour when clocks go back: export in UTC)"
        )
        raise fault_at(staging, "duplicate", file, row, text)


def fault_at(staging: Staging, fault: Fault, file: int, row: int, text: str) -> BarsError:
    """Return an error about one row; its message starts with ``prices.csv row 17:``."""
    name = staging.files[file]
    return BarsError(f"{name} row {row}: {text}", fault=fault, file=name, row=row)
