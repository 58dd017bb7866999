"""Turns staged rows into the tables of a store, once they have passed every check."""

import json
from collections.abc import Sequence
from dataclasses import fields

import duckdb

from tradewright.data.adjust import Action
from tradewright.data.clock import check_zones, settle_clock
from tradewright.data.rolls import stitch
from tradewright.data.side_table import Rate, Roll, read_rates, read_rolls
from tradewright.data.staging import Staging
from tradewright.data.store import insert_columns
from tradewright.data.swap_store import write_tape
from tradewright.data.validate import check_order, check_rows
from tradewright.market.instrument import Instrument


def commit(staging: Staging, *, sort: bool, rates: str | None = None, rolls: str | None = None) -> dict[str, str]:
    """Check the staged rows, write all tables, and return facts for the meta table.

    Args:
        staging: Rows and what is known about them.
        sort: Accept rows that are not in time order.
        rates, rolls: Files of the tables that stand beside the bars; None: none.

    Raises:
        DataError: A row is malformed; named by file and row.
    """
    check_rows(staging)
    check_zones(staging)
    check_order(staging, sort=sort or not staging.has_order)
    length_s = settle_clock(staging)
    connection = staging.connection
    connection.execute(
        f"INSERT INTO bars SELECT symbol, {length_s}, ts, open, high, low, close, volume FROM incoming "
        "ORDER BY symbol, ts"
    )
    if rolls is not None:
        table = read_rolls(connection, rolls, _symbols(connection))
        stitch(staging, table, length_s)
        _insert(connection, "rolls", table)
        staging.remarks.append(f"{len(table)} rolls make {', '.join(sorted({roll.root for roll in table}))}")
    symbols = _symbols(connection)
    if rates is not None:
        paid = read_rates(connection, rates, symbols)
        _insert(connection, "rates", paid)
        staging.remarks.append(f"{len(paid)} rates of {', '.join(sorted({rate.symbol for rate in paid}))}")
    _insert(
        connection, "instruments", [staging.instruments.get(symbol, Instrument(symbol=symbol)) for symbol in symbols]
    )
    actions = [action for action in staging.actions if action.symbol in set(symbols)]
    _insert(connection, "actions", sorted(actions, key=lambda action: (action.symbol, action.ex_ts, action.kind)))
    if staging.swaps is not None:
        write_tape(connection, staging.swaps)
    return {
        "timeframe_s": str(length_s),
        "origin_s": str(staging.origin_s),
        "pool_fee_bps": "" if staging.swaps is None else repr(staging.swaps.fee_bps),
        "is_synthetic": str(int(staging.is_synthetic)),
        "note": staging.note,
        "remarks": json.dumps(staging.remarks),
    }


def _symbols(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [row[0] for row in connection.sql("SELECT DISTINCT symbol FROM bars ORDER BY symbol").fetchall()]


def _insert(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    items: Sequence[Instrument] | Sequence[Action] | Sequence[Rate] | Sequence[Roll],
) -> None:
    """Append dataclass values, whose fields are named like the table's columns."""
    if items:
        names = [field.name for field in fields(items[0])]
        insert_columns(connection, table, {name: [getattr(item, name) for item in items] for name in names})
