"""``IngestSummary``: what lies in a store after loading."""

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from tradewright.data.adjust import Action
from tradewright.data.store import read_meta


@dataclass(frozen=True, kw_only=True)
class SymbolSpan:
    """Bars of one symbol: how many, and the opens of the first and the last (naive UTC)."""

    symbol: str
    num_bars: int
    first: np.datetime64
    last: np.datetime64


@dataclass(frozen=True, kw_only=True)
class IngestSummary:
    """What a data set holds.

    Args:
        dataset: Name in the store.
        path: The store's file.
        kind: The source's kind.
        fingerprint: Digest of the raw input.
        timeframe_s: Length of the stored bars, seconds.
        spans: One entry per symbol, in alphabetical order.
        num_actions: Splits and dividends.
        remarks: What the user should know about the input.
        note: The data set's sentence for reports.
        is_synthetic: Whether the bars are generated.
        is_changed: False if the store held the same rows before.
    """

    dataset: str
    path: Path
    kind: str
    fingerprint: str
    timeframe_s: int
    spans: tuple[SymbolSpan, ...]
    num_actions: int
    remarks: tuple[str, ...]
    note: str
    is_synthetic: bool
    is_changed: bool

    @property
    def num_bars(self) -> int:
        """Bars of all symbols."""
        return sum(span.num_bars for span in self.spans)


def read_summary(connection: duckdb.DuckDBPyConnection, dataset: str, path: Path, *, is_changed: bool) -> IngestSummary:
    """Read the summary of an open store."""
    meta = read_meta(connection, path)
    rows = connection.sql(
        "SELECT symbol, count(*), min(ts), max(ts) FROM bars GROUP BY symbol ORDER BY symbol"
    ).fetchall()
    spans = [
        SymbolSpan(symbol=symbol, num_bars=count, first=np.datetime64(first, "us"), last=np.datetime64(last, "us"))
        for symbol, count, first, last in rows
    ]
    return IngestSummary(
        dataset=dataset,
        path=path,
        kind=meta["kind"],
        fingerprint=meta["fingerprint"],
        timeframe_s=int(meta["timeframe_s"]),
        spans=tuple(spans),
        num_actions=connection.sql("SELECT count(*) FROM actions").fetchall()[0][0],
        remarks=tuple(json.loads(meta["remarks"])),
        note=meta["note"],
        is_synthetic=meta["is_synthetic"] == "1",
        is_changed=is_changed,
    )


def read_actions(connection: duckdb.DuckDBPyConnection) -> tuple[Action, ...]:
    """Read the splits and dividends of an open store, by symbol and time."""
    rows = connection.sql(
        "SELECT symbol, ex_ts, kind, ratio, cash FROM actions ORDER BY symbol, ex_ts, kind"
    ).fetchall()
    return tuple(
        Action(symbol=symbol, ex_ts=np.datetime64(ex_ts, "us"), kind=kind, ratio=ratio, cash=cash)
        for symbol, ex_ts, kind, ratio, cash in rows
    )
