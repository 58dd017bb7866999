"""Reads a selection of a store into a ``Panel``: adjust, aggregate, align on the union of all stamps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np

from tradewright.data.adjust import adjusted_query
from tradewright.data.dense import COLUMNS, build_panel, densify
from tradewright.data.events import rolled_contracts, with_events
from tradewright.data.panel import Panel
from tradewright.data.resample import aggregate_query, check_grid
from tradewright.data.store import quote_text
from tradewright.data.swap_store import with_tape
from tradewright.data.timeframe import DAY_S, format_timeframe
from tradewright.errors import DataError, suggest
from tradewright.market.contracts import find_contract
from tradewright.market.instrument import Instrument


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What to read.

    Args:
        symbols: Columns in this order; None: all, in alphabetical order.
        timeframe_s: Bar length in seconds; None: as stored.
        start, stop: Bars with ``start <= ts < stop`` (naive UTC); None: unbounded.
        adjust: ``all``, ``splits`` or ``none``.
        calendar: Replaces the instruments' calendar; None: as stored.
        contract: Futures contract that every symbol is; None: as stored.
        session_start_s: Second of the UTC day at which aggregated days begin.
    """

    symbols: tuple[str, ...] | None = None
    timeframe_s: int | None = None
    start: np.datetime64 | None = None
    stop: np.datetime64 | None = None
    adjust: str = "all"
    calendar: str | None = None
    contract: str | None = None
    session_start_s: int = 0


def read_panel(connection: duckdb.DuckDBPyConnection, dataset: str, selection: Selection) -> Panel:
    """Read the selected bars of an open store.

    Raises:
        DataError: A symbol is unknown, no bar matches, or stored bars are longer than asked for.
    """
    facts = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    instruments = _instruments(connection, dataset, selection)
    stored_s = int(facts["timeframe_s"])
    length_s = selection.timeframe_s or stored_s
    if length_s % stored_s:
        raise DataError(
            f"data.timeframe={format_timeframe(length_s)} cannot be made from the {format_timeframe(stored_s)} bars of "
            f"data set '{dataset}'; ask for {format_timeframe(stored_s)} or a multiple of it"
        )
    query = adjusted_query(connection, _bars_query(selection, instruments), selection.adjust)
    if length_s > stored_s:
        connection.execute(f"CREATE TEMP TABLE chosen AS {query}")
        offset_s = selection.session_start_s if length_s >= DAY_S else 0
        offset_s += int(facts.get("origin_s", "0"))
        check_grid(connection, "chosen", stored_s, length_s, offset_s)
        query = aggregate_query("chosen", stored_s=stored_s, length_s=length_s, offset_s=offset_s)
    counts = dict(connection.execute(f"SELECT symbol, count(*) FROM ({query}) GROUP BY symbol").fetchall())
    kept = [instrument for instrument in instruments if instrument.symbol in counts]
    if not kept or (selection.symbols and len(kept) < len(instruments)):
        raise _nothing(connection, dataset, next((i.symbol for i in instruments if i.symbol not in counts), None))
    rows = connection.execute(f"SELECT ts, {', '.join(COLUMNS)} FROM ({query}) ORDER BY symbol, ts").fetchnumpy()
    order = sorted(counts)
    ts_T, arrays = densify(rows, [counts[symbol] for symbol in order], [order.index(i.symbol) for i in kept])
    panel = with_events(build_panel(dataset, tuple(kept), length_s, ts_T, arrays), connection, selection.adjust)
    panel = replace(panel, is_synthetic=facts["is_synthetic"] == "1", note=facts["note"])
    return with_tape(panel, connection, facts.get("pool_fee_bps", ""))


def _instruments(connection: duckdb.DuckDBPyConnection, dataset: str, selection: Selection) -> list[Instrument]:
    rows = connection.execute(
        "SELECT symbol, kind, multiplier, tick, lot, currency, calendar FROM instruments ORDER BY symbol"
    ).fetchall()
    names = ("symbol", "kind", "multiplier", "tick", "lot", "currency", "calendar")
    known = {row[0]: _instrument(dict(zip(names, row, strict=True)), selection) for row in rows}
    wanted = selection.symbols
    if wanted is None:
        contracts = rolled_contracts(connection)
        wanted = tuple(symbol for symbol in known if symbol not in contracts)
    for symbol in wanted:
        if symbol not in known:
            raise DataError(f"data.symbols: data set '{dataset}' has no symbol '{symbol}'{suggest(symbol, known)}")
    return [known[symbol] for symbol in wanted]


def _instrument(stored: dict[str, Any], selection: Selection) -> Instrument:
    """Return the facts of a symbol, those of the selection before those that are stored."""
    instrument = Instrument(**stored)
    if selection.contract is not None:
        instrument = find_contract(selection.contract).instrument(instrument.symbol)
    return replace(instrument, calendar=selection.calendar) if selection.calendar else instrument


def _bars_query(selection: Selection, instruments: Sequence[Instrument]) -> str:
    names = ", ".join(quote_text(instrument.symbol) for instrument in instruments)
    conditions = [f"symbol IN ({names})"]
    if selection.start is not None:
        conditions.append(f"ts >= TIMESTAMP '{selection.start}'")
    if selection.stop is not None:
        conditions.append(f"ts < TIMESTAMP '{selection.stop}'")
    return f"SELECT symbol, ts, {', '.join(COLUMNS)} FROM bars WHERE {' AND '.join(conditions)}"


def _nothing(connection: duckdb.DuckDBPyConnection, dataset: str, symbol: str | None) -> DataError:
    condition = f"WHERE symbol = {quote_text(symbol)}" if symbol else ""
    first, last = connection.execute(f"SELECT min(ts), max(ts) FROM bars {condition}").fetchall()[0]
    return DataError(
        f"data.start, data.end: no bars of '{symbol or dataset}' in this span; data set '{dataset}' has {first} to "
        f"{last} UTC"
    )
