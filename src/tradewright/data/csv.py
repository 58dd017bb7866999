"""``data=csv``: bars from text files with a header row, plain or gzipped, one symbol per file or a symbol column.

Names of columns are recognised (``columns.ALIASES``), the separator is one of ``, ; tab |``, numbers use a decimal
point.
"""

import csv
import gzip
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import duckdb

from tradewright.data.file_source import FileSource
from tradewright.data.staging import Staging
from tradewright.data.store import first_line, quote_text
from tradewright.data.tabular import Table, stage_table
from tradewright.data.validate import BarsError, Fault

_SEPARATORS = ",;\t|"
_HEADER_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Csv(FileSource):
    """Text files of bars.

    Args:
        time_format: strptime layout of the stamps, e.g. ``%m/%d/%Y``; None recognises ISO 8601, ``YYYYMMDD[ HHMMSS]``
            and epochs. Day-first and month-first dates cannot be told apart, so they need one.
    """

    kind: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".csv.gz", ".tsv", ".txt")
    time_format: str | None = None

    def _parameters(self) -> dict[str, Any]:
        return {**super()._parameters(), "time_format": self.time_format}

    def _stage_file(self, staging: Staging, file: Path) -> None:
        stage_csv(staging, file, symbol=self._symbol(file), time_format=self.time_format)


def stage_csv(staging: Staging, file: Path, *, symbol: str, time_format: str | None) -> None:
    """Add the rows of a text file to ``staging``.

    Raises:
        BarsError: The file is empty, cut off, no text, or a row has too few or too many fields.
    """
    relation, names, columns = csv_relation(file)
    table = Table(
        file=file.name,
        relation=relation,
        names=names,
        columns=columns,
        kinds=["VARCHAR"] * len(names),
        symbol=symbol,
        time_format=time_format,
    )
    try:
        stage_table(staging, table)
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        raise csv_error(file, error) from None


def csv_relation(file: Path) -> tuple[str, list[str], list[str]]:
    """Return SQL for the text columns of a file, their names in the header, and their names in the SQL.

    Raises:
        BarsError: The file is empty, cut off or no text.
    """
    separator, names = _read_header(file)
    columns = [f"c{position}" for position in range(len(names))]
    types = ", ".join(f"'{column}': 'VARCHAR'" for column in columns)
    relation = (
        f"read_csv({quote_text(str(file))}, auto_detect = false, header = true, delim = '{separator}', "
        f"quote = '\"', escape = '\"', columns = {{{types}}})"
    )
    return relation, names, columns


def _read_header(file: Path) -> tuple[str, list[str]]:
    """Return the separator and the names in the first line."""
    try:
        with gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb") as stream:
            line = stream.readline(_HEADER_BYTES)
    except (EOFError, gzip.BadGzipFile) as error:
        raise BarsError(
            f"{file.name}: cut off or no gzip file ({error}); fetch it again", fault="truncated", file=file.name
        ) from None
    if not line.strip():
        raise BarsError(f"{file.name}: empty; expected a header row and bars", fault="empty", file=file.name)
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise BarsError(f"{file.name}: no UTF-8 text; expected a CSV file", fault="unparsable", file=file.name)
    separator = max(_SEPARATORS, key=text.count)
    return separator, next(csv.reader(io.StringIO(text), delimiter=separator))


def csv_error(file: Path, error: duckdb.Error) -> BarsError:
    """Translate DuckDB's message: it names the line of the file, whose first one is the header."""
    text = str(error)
    line = re.search(r"CSV Error on Line: (\d+)", text)
    if line is None:
        return BarsError(
            f"{file.name}: cannot be read ({first_line(error)}); fetch it again", fault="truncated", file=file.name
        )
    row = int(line[1]) - 1
    fault: Fault = "unparsable"
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if fields and int(fields[2]) < int(fields[1]):
        fault = "truncated"
        what = f"{fields[2]} fields, expected {fields[1]}; the file may be cut off"
    elif fields:
        what = f"{fields[2]} fields, expected {fields[1]}; numbers must not contain the separator"
    elif "unterminated quote" in text:
        what = "a quote is not closed; correct the row"
    elif "unicode" in text:
        what = "no UTF-8 text; convert the file"
    else:
        what = f"cannot be read ({first_line(error)}); correct the row"
    return BarsError(f"{file.name} row {row}: {what}", fault=fault, file=file.name, row=row)
