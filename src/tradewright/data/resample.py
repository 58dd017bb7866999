"""Aggregates bars to a longer length and joins lengths on *known-at* time, so that no bar is seen while it is forming.

A bucket takes the first open, the highest high, the lowest low, the last close and the summed volume of its bars.
Buckets at the edges of the data are dropped if incomplete, by rules that never look ahead, so longer data only adds:

* the first bucket of a symbol, unless a bar opens with it (a first *day* made of intraday bars is kept: when its
  session opens is not known);
* the last bucket, unless it is over when the last bar is known (a last *day* made of intraday bars is kept if it
  reaches as late as the day before).

Inner buckets with missing bars are kept, because a minute without a trade has no bar; ``partial="drop"`` keeps none
that holds fewer than all its bars.

Legend: T bars, N instruments.
"""

from dataclasses import replace
from typing import Literal

import duckdb
import numpy as np
import numpy.typing as npt

from tradewright.data.dense import COLUMNS, build_panel, densify
from tradewright.data.events import carried_events
from tradewright.data.panel import Panel
from tradewright.data.timeframe import DAY_S, format_timeframe, parse_timeframe
from tradewright.errors import DataError

Partial = Literal["edges", "drop"]


def aggregate_query(bars: str, *, stored_s: int, length_s: int, offset_s: int = 0, partial: Partial = "edges") -> str:
    """Return a query that aggregates table ``bars`` (symbol, ts, open, high, low, close, volume) into buckets.

    Args:
        bars: Name of a table or view.
        stored_s: Length of its bars, seconds.
        length_s: Length of a bucket, seconds, a multiple of ``stored_s``.
        offset_s: Seconds by which buckets start after their natural origin (midnight UTC; Monday for weeks).
        partial: Which incomplete buckets to drop.
    """
    bucket = f"time_bucket(INTERVAL '{length_s} seconds', ts, INTERVAL '{offset_s} seconds')"
    has_sessions = stored_s < DAY_S <= length_s
    begins = "TRUE" if has_sessions else "(place > 1 OR first_ts = bucket)"
    ends = f"(bucket + INTERVAL '{length_s} seconds' <= known" + (" OR reach >= reach_before)" if has_sessions else ")")
    is_kept = f"{begins} AND {ends}" if partial == "edges" else f"n = {length_s // stored_s}"
    return (
        "SELECT symbol, bucket AS ts, open, high, low, close, volume FROM ("
        "SELECT *, row_number() OVER moves AS place, last_ts - bucket AS reach, "
        "lag(last_ts - bucket) OVER moves AS reach_before, "
        f"(SELECT max(ts) FROM {bars}) + INTERVAL '{stored_s} seconds' AS known FROM ("
        f"SELECT symbol, {bucket} AS bucket, arg_min(open, ts) AS open, max(high) AS high, min(low) AS low, "
        "arg_max(close, ts) AS close, sum(volume) AS volume, count(*) AS n, min(ts) AS first_ts, max(ts) AS last_ts "
        f"FROM {bars} GROUP BY symbol, bucket) WINDOW moves AS (PARTITION BY symbol ORDER BY bucket)) "
        f"WHERE {is_kept}"
    )


def check_grid(
    connection: duckdb.DuckDBPyConnection, bars: str, stored_s: int, length_s: int, offset_s: int = 0
) -> None:
    """Refuse bars that reach over the end of their bucket: the bucket would be known before they are.

    Raises:
        DataError: The first such bar.
    """
    bucket = f"time_bucket(INTERVAL '{length_s} seconds', ts, INTERVAL '{offset_s} seconds')"
    found = connection.sql(
        f"SELECT symbol, ts FROM {bars} WHERE ts + INTERVAL '{stored_s} seconds' > {bucket} + "
        f"INTERVAL '{length_s} seconds' ORDER BY ts, symbol LIMIT 1"
    ).fetchall()
    if found:
        symbol, ts = found[0]
        raise DataError(
            f"{symbol} {ts}: this {format_timeframe(stored_s)} bar reaches over the end of its "
            f"{format_timeframe(length_s)} bar; keep the stored bar length or set data.session_start to the time of "
            f"day at which bars begin"
        )


def resample(panel: Panel, timeframe: str, *, session_start_s: int = 0, partial: Partial = "edges") -> Panel:
    """Return ``panel`` aggregated to a longer bar length.

    Args:
        panel: Bars.
        timeframe: Length of the new bars, a multiple of the panel's.
        session_start_s: Second of the UTC day at which days begin; used for lengths of a day or more.
        partial: Which incomplete bars to drop: the first and last of a symbol (``edges``) or any (``drop``).

    Raises:
        DataError: The length is no multiple, or a bar reaches over the end of its new bar.
    """
    stored_s, length_s = panel.timeframe_s, parse_timeframe(timeframe)
    if length_s % stored_s:
        raise DataError(f"timeframe {timeframe} must be a multiple of the panel's {format_timeframe(stored_s)}")
    offset_s = session_start_s if length_s >= DAY_S else 0
    exists = panel.tradable_TN.T.ravel()
    num_symbols = len(panel.symbols)
    columns = {name: getattr(panel, f"{name}_TN").T.ravel()[exists] for name in COLUMNS}
    columns["ts"] = np.tile(panel.ts_T, num_symbols)[exists]
    columns["symbol"] = np.repeat(np.arange(num_symbols, dtype=np.int32), panel.num_bars)[exists]
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("bars", columns)
        check_grid(connection, "bars", stored_s, length_s, offset_s)
        query = aggregate_query("bars", stored_s=stored_s, length_s=length_s, offset_s=offset_s, partial=partial)
        rows = connection.sql(f"SELECT * FROM ({query}) ORDER BY symbol, ts").fetchnumpy()
    codes, counts = np.unique(rows["symbol"], return_counts=True)
    if len(codes) < num_symbols:
        lost = next(symbol for code, symbol in enumerate(panel.symbols) if code not in codes)
        raise DataError(f"{lost}: its bars fill no complete {timeframe} bar; load a longer span")
    ts_T, arrays = densify(rows, counts.tolist(), list(range(num_symbols)))
    coarse = build_panel(panel.dataset, panel.instruments, length_s, ts_T, arrays)
    return replace(coarse, **carried_events(panel, coarse), is_synthetic=panel.is_synthetic, note=panel.note)


def align(fine: Panel, coarse: Panel) -> npt.NDArray[np.int64]:
    """Return, for each bar of ``fine``, the last bar of ``coarse`` that is known when it is.

    Returns:
        Indices into ``coarse``, shape ``[T]`` of ``fine``: the last bar with ``coarse.known_at <= fine.known_at``; -1
        where none is known yet. A bar that is still forming is never chosen.
    """
    return np.searchsorted(coarse.known_at_T, fine.known_at_T, side="right").astype(np.int64) - 1
