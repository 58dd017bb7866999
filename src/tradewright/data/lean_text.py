"""Reads the zipped texts of a LEAN data folder into staged rows.

All texts of a load are joined into one scratch file whose lines begin with the number of the zip they came from,
because thousands of small files read at once cost less than one statement each.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import duckdb

from tradewright.data.lean_layout import LeanFile
from tradewright.data.staging import Staging
from tradewright.data.store import first_line, insert_columns, quote_text
from tradewright.data.validate import BarsError, fault_at

TRADE = ("ts", "open", "high", "low", "close", "volume")
QUOTE = ("ts", *(f"{side}_{name}" for side in ("bid", "ask") for name in (*TRADE[1:5], "size")))


def stage_lean(
    staging: Staging,
    files: Sequence[LeanFile],
    *,
    is_quoted: bool,
    scale: int,
    condition: str,
    progress: Callable[[int, int, str], None],
) -> None:
    """Add the rows of all files.

    Args:
        staging: Where rows go; stamps stay in the market's data zone.
        files: Zips with their symbol and days.
        is_quoted: Bid and ask bars instead of trades.
        scale: Divisor of prices.
        condition: SQL condition on the local stamp ``ts``.
        progress: Called per file.

    Raises:
        BarsError: A zip is damaged, or a row has too few or too many fields.
    """
    names = QUOTE if is_quoted else TRADE
    first_rows = _join(staging, files, names, progress)
    _create_zips(staging, files, first_rows)
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in ("file", *names))
    text = (
        f"read_csv({quote_text(str(_scratch(staging)))}, auto_detect = false, header = false, delim = ',', quote = '', "
        f"columns = {{{types}}})"
    )
    if files[0].day is None:
        stamp = "try_strptime(t.ts, '%Y%m%d %H:%M')"
    else:
        stamp = "z.day + to_milliseconds(TRY_CAST(t.ts AS BIGINT))"
    values = ", ".join(f"{_value(name, is_quoted, scale)} AS {name}" for name in TRADE[1:])
    try:
        staging.insert(
            f"SELECT file, row, symbol, ts, NULL, open, high, low, close, volume FROM ("
            f"SELECT z.*, t.row - z.first_row AS row, {stamp} AS ts, {values} "
            f"FROM (SELECT *, row_number() OVER () AS row FROM {text}) AS t "
            f"JOIN zips AS z ON z.file = t.file::INTEGER) "
            f"WHERE ts IS NULL OR (ts::DATE BETWEEN first AND last AND {condition})"
        )
    except duckdb.InvalidInputException as error:
        raise _text_error(staging, first_rows, len(names), error) from None


def _create_zips(staging: Staging, files: Sequence[LeanFile], first_rows: Sequence[int]) -> None:
    """Write what is known about each zip into a table that its rows are joined with."""
    staging.connection.execute(
        "CREATE TEMP TABLE zips(file INTEGER, symbol VARCHAR, first DATE, last DATE, day DATE, first_row BIGINT)"
    )
    columns = {
        "file": range(len(files)),
        "symbol": [file.symbol for file in files],
        "first": [str(file.first) for file in files],
        "last": [str(file.last) for file in files],
        "day": [str(file.day or date(1970, 1, 1)) for file in files],
        "first_row": first_rows,
    }
    insert_columns(staging.connection, "zips", columns)


def _value(name: str, is_quoted: bool, scale: int) -> str:
    """Return the SQL of a number; the middle of bid and ask, or the one that is there."""
    if not is_quoted:
        return f"TRY_CAST(t.{name} AS DOUBLE)" + (f" / {scale}" if name != "volume" and scale != 1 else "")
    if name == "volume":
        return "0.0"
    bid, ask = (f"TRY_CAST(t.{side}_{name} AS DOUBLE)" for side in ("bid", "ask"))
    return f"coalesce(({bid} + {ask}) / 2, {bid}, {ask}) / {scale}"


def _scratch(staging: Staging) -> Path:
    return staging.scratch.with_name(staging.scratch.name + ".csv")


def _join(
    staging: Staging, files: Sequence[LeanFile], names: tuple[str, ...], progress: Callable[[int, int, str], None]
) -> list[int]:
    """Write the scratch file and return how many of its lines lie before each file."""
    first_rows: list[int] = []
    num_rows = 0
    with _scratch(staging).open("wb") as joined:
        for number, file in enumerate(files):
            progress(number, len(files), f"{file.symbol} {file.path.name}")
            lines = _read_zip(file.path)
            staging.add_file(f"{file.path.parent.name}/{file.path.name}", _lookup(file.path, names))
            first_rows.append(num_rows)
            if lines:
                prefix = f"{number},".encode()
                joined.write(prefix + lines.replace(b"\n", b"\n" + prefix) + b"\n")
                num_rows += lines.count(b"\n") + 1
    progress(len(files), len(files), "")
    return first_rows


def _read_zip(path: Path) -> bytes:
    """Return the text inside a zip without blank lines at its ends, with Unix line ends."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            if len(members) != 1:
                raise BarsError(
                    f"{path}: holds {len(members)} files, expected one text of bars", fault="truncated", file=path.name
                )
            return archive.read(members[0]).replace(b"\r\n", b"\n").strip(b"\n")
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BarsError(
            f"{path}: cut off or no zip ({error}); fetch it again", fault="truncated", file=path.name
        ) from None


def _lookup(path: Path, names: tuple[str, ...]) -> Callable[[int, str], str | None]:
    """Return how to look up the text of a field for a message."""

    def raw_value(row: int, name: str) -> str | None:
        line = _read_zip(path).decode(errors="replace").split("\n")[row - 1]
        fields = dict(zip(names, line.split(","), strict=False))
        return fields.get(name) or fields.get(f"bid_{name}") or fields.get(f"ask_{name}")

    return raw_value


def _text_error(staging: Staging, first_rows: Sequence[int], num_fields: int, error: duckdb.Error) -> BarsError:
    """Translate DuckDB's message about the scratch file into one about the zip."""
    line = re.search(r"CSV Error on Line: (\d+)", str(error))
    if line is None:
        name = staging.files[0]
        return BarsError(f"{name}: cannot be read ({first_line(error)})", fault="unparsable", file=name)
    number = max(index for index, first in enumerate(first_rows) if first < int(line[1]))
    fields = re.search(r"Found: (\d+)", str(error))
    found = f"{int(fields[1]) - 1} fields, expected {num_fields}" if fields else first_line(error)
    row = int(line[1]) - first_rows[number]
    return fault_at(staging, "truncated", number, row, f"{found}; the file may be cut off")
