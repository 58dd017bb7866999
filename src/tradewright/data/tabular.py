"""From a user's table (CSV, Parquet, DuckDB) to staged rows: one INSERT per table, nothing read into Python."""

from collections.abc import Sequence
from dataclasses import dataclass

from tradewright.data.columns import match_columns
from tradewright.data.staging import INCOMING, Staging
from tradewright.data.stamps import typed_stamp
from tradewright.data.store import quote_name, quote_text
from tradewright.data.validate import BarsError


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of bars.

    Args:
        file: Name in messages.
        relation: SQL that can stand behind FROM.
        names: Column names as the user wrote them.
        columns: Column names in ``relation``, in the same order.
        kinds: SQL types, in the same order.
        symbol: Symbol of all rows if there is no symbol column.
        time_format: strptime layout of text stamps, or None to recognise it.
    """

    file: str
    relation: str
    names: Sequence[str]
    columns: Sequence[str]
    kinds: Sequence[str]
    symbol: str
    time_format: str | None = None


def describe_table(staging: Staging, relation: str, *, file: str, symbol: str, time_format: str | None) -> Table:
    """Return the description of a relation whose columns DuckDB knows."""
    shape = staging.connection.sql(f"SELECT * FROM {relation} LIMIT 0")
    return Table(
        file=file,
        relation=relation,
        names=shape.columns,
        columns=[quote_name(name) for name in shape.columns],
        kinds=[str(kind) for kind in shape.types],
        symbol=symbol,
        time_format=time_format,
    )


def stage_table(staging: Staging, table: Table) -> None:
    """Add the rows of ``table`` to ``staging``.

    Raises:
        BarsError: A column is missing, or the stamps are of a type that is no time.
    """
    matched = match_columns(table.file, table.names)
    columns = {role: table.columns[position] for role, position in matched.positions.items()}
    stamp = columns["ts"]
    kind = str(table.kinds[matched.positions["ts"]])
    if matched.time is not None:
        stamp = f"({stamp}::VARCHAR || ' ' || {table.columns[matched.time]}::VARCHAR)"
        kind = "VARCHAR"
    sample = staging.connection.sql(
        f"SELECT ({stamp})::VARCHAR FROM {table.relation} WHERE {stamp} IS NOT NULL LIMIT 1"
    ).fetchall()
    expressions = typed_stamp(stamp, kind=kind, sample=sample[0][0] if sample else "", time_format=table.time_format)
    if expressions is None:
        raise BarsError(
            f"{table.file}: column '{table.names[matched.positions['ts']]}' of type {kind} holds no date and "
            f"time; expected dates, timestamps or epochs",
            fault="unparsable",
            file=table.file,
        )
    if matched.unused:
        _remark(staging, f"columns not used: {', '.join(matched.unused)}")
    if "volume" not in columns:
        _remark(staging, "no volume column: volume is 0")

    def raw_value(row: int, name: str) -> str | None:
        column = stamp if name == "ts" else columns[name]
        query = f"SELECT ({column})::VARCHAR FROM {table.relation} LIMIT 1 OFFSET {row - 1}"
        found = staging.connection.sql(query).fetchall()
        return found[0][0] if found else None

    file = staging.add_file(table.file, raw_value)
    symbol = f"trim({columns['symbol']}::VARCHAR)" if "symbol" in columns else quote_text(table.symbol)
    numbers = [
        f"TRY_CAST({columns[name]} AS DOUBLE)" if name in columns else "0.0"
        for name in ("open", "high", "low", "close", "volume")
    ]
    values = dict(zip(INCOMING.split(", "), [symbol, *expressions, *numbers], strict=True))
    selected = ", ".join(f"{value} AS {name}" for name, value in values.items())
    staging.insert(f"SELECT {file}, row_number() OVER (), {selected} FROM {table.relation}")


def _remark(staging: Staging, text: str) -> None:
    if text not in staging.remarks:
        staging.remarks.append(text)
