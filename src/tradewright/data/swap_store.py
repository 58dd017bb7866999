"""Swaps in a store: written with the bars that are made of them, read for the bars that were selected."""

import hashlib
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np

from tradewright.data.panel import Panel
from tradewright.data.store import insert_columns
from tradewright.data.swap_tape import SwapTape

FIELDS = {"ts": "ts_K", "block": "block_K", "price": "price_K", "amount": "amount_K", "liquidity": "liquidity_K"}


def write_tape(connection: duckdb.DuckDBPyConnection, tape: SwapTape) -> None:
    """Write the swaps of a new data set."""
    columns: dict[str, Any] = {name: getattr(tape, field) for name, field in FIELDS.items()}
    columns["place"] = np.arange(tape.num_swaps)
    insert_columns(connection, "swaps", columns)


def with_tape(panel: Panel, connection: duckdb.DuckDBPyConnection, fee_bps: str) -> Panel:
    """Return a panel with the swaps of its bars; as it is where the store holds none.

    Args:
        panel: The bars.
        connection: An open store.
        fee_bps: Fee of the pool as the store's facts have it; empty where they hold no pool.
    """
    if not fee_bps:
        return panel
    rows = connection.execute(
        f"SELECT {', '.join(FIELDS)} FROM swaps WHERE ts >= ? AND ts < ? ORDER BY place",
        [panel.ts_T[0].item(), panel.known_at_T[-1].item()],
    ).fetchnumpy()
    columns = {field: np.asarray(rows[name]) for name, field in FIELDS.items()}
    columns["ts_K"] = columns["ts_K"].astype("datetime64[us]")
    tape = SwapTape(**columns, fee_bps=float(fee_bps))
    digest = hashlib.blake2b((panel.fingerprint + tape.fingerprint).encode(), digest_size=16)
    return replace(panel, swaps=tape, fingerprint=digest.hexdigest())
