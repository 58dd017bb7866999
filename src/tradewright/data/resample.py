"""Aggregates bars to a longer length and joins lengths on *known-at* time, so that no bar is seen while it is forming.

Once for tables of a database (``aggregate_query``) and once for panels (``resample``); a test proves the two equal.

A bucket takes the first open, the highest high, the lowest low, the last close and the summed volume of its bars.
Buckets at the edges of the data are dropped if incomplete, by rules that never look ahead, so longer data only adds:

* the first bucket of a symbol, unless a bar opens with it (a first *day* made of intraday bars is kept: when its
  session opens is not known);
* the last bucket, unless it is over when the last bar is known (a last *day* made of intraday bars is kept if it
  reaches as late as the day before).

Inner buckets with missing bars are kept, because a minute without a trade has no bar; ``partial="drop"`` keeps none
that holds fewer than all its bars.

Legend: T bars, N instruments, K buckets.
"""

from dataclasses import replace
from typing import Any, Literal

import duckdb
import numpy as np
import numpy.typing as npt

from tradewright.data.dense import build_panel
from tradewright.data.events import carried_events
from tradewright.data.panel import Panel
from tradewright.data.timeframe import DAY_S, format_timeframe, parse_timeframe
from tradewright.errors import DataError

Partial = Literal["edges", "drop"]
ORIGIN = np.datetime64("2000-01-03", "us")
"""A Monday, 00:00 UTC, as DuckDB's ``time_bucket`` counts from."""


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
        raise _straddles(symbol, ts, stored_s, length_s)


def _straddles(symbol: str, ts: Any, stored_s: int, length_s: int) -> DataError:
    return DataError(
        f"{symbol} {ts}: this {format_timeframe(stored_s)} bar reaches over the end of its "
        f"{format_timeframe(length_s)} bar; keep the stored bar length or set data.session_start to the time of "
        f"day at which bars begin"
    )


def resample(
    panel: Panel,
    timeframe: str,
    *,
    session_start_s: int = 0,
    partial: Partial = "edges",
    require_all: bool = True,
) -> Panel:
    """Return ``panel`` aggregated to a longer bar length.

    Args:
        panel: Bars.
        timeframe: Length of the new bars, a multiple of the panel's.
        session_start_s: Second of the UTC day at which days begin; used for lengths of a day or more.
        partial: Which incomplete bars to drop: the first and last of a symbol (``edges``) or any (``drop``).
        require_all: Refuse a symbol without a complete bar; else it has none, and where none has any there are no bars.

    Raises:
        DataError: The length is no multiple, a bar reaches over the end of its new bar, or a symbol has no new bar.
    """
    stored_s, length_s = panel.timeframe_s, parse_timeframe(timeframe)
    if length_s % stored_s:
        raise DataError(f"timeframe {timeframe} must be a multiple of the panel's {format_timeframe(stored_s)}")
    origin = ORIGIN + np.timedelta64(session_start_s if length_s >= DAY_S else 0, "s")
    length, stored = np.timedelta64(length_s, "s"), np.timedelta64(stored_s, "s")
    bucket_T = origin + (panel.ts_T - origin) // length * length
    straddling_TN = (panel.ts_T + stored > bucket_T + length)[:, None] & panel.tradable_TN
    if straddling_TN.any():
        t, n = np.argwhere(straddling_TN)[0]
        raise _straddles(panel.symbols[n], panel.ts_T[t], stored_s, length_s)
    starts_K = np.flatnonzero(np.concatenate([[True], bucket_T[1:] != bucket_T[:-1]]))
    whole_KN, arrays = _aggregate(panel, bucket_T[starts_K], starts_K, length, partial)
    if require_all and not whole_KN.any(axis=0).all():
        lost = panel.symbols[int(np.argmin(whole_KN.any(axis=0)))]
        raise DataError(f"{lost}: its bars fill no complete {timeframe} bar; load a longer span")
    kept_K = whole_KN.any(axis=1)
    ts_T, arrays = bucket_T[starts_K][kept_K], {name: x_KN[kept_K] for name, x_KN in arrays.items()}
    coarse = build_panel(panel.dataset, panel.instruments, length_s, ts_T, arrays)
    swaps = panel.swaps
    if swaps is not None and coarse.num_bars:
        swaps = swaps.between(coarse.ts_T[0], coarse.known_at_T[-1])
    events = carried_events(panel, coarse)
    return replace(coarse, **events, is_synthetic=panel.is_synthetic, note=panel.note, swaps=swaps)


def _aggregate(
    panel: Panel,
    bucket_K: npt.NDArray[np.datetime64],
    starts_K: npt.NDArray[np.intp],
    length: np.timedelta64,
    partial: Partial,
) -> tuple[npt.NDArray[np.bool_], dict[str, npt.NDArray[np.float64]]]:
    """Return which buckets are kept, and their columns (NaN and no volume elsewhere), each ``[K, N]``.

    Args:
        panel: Bars.
        bucket_K: When each bucket begins.
        starts_K: Its first row.
        length: Of a bucket.
        partial: As in ``resample``.
    """
    exists_TN, row_T1 = panel.tradable_TN, np.arange(panel.num_bars)[:, None]

    def reduce(function: np.ufunc, x_TN: npt.NDArray[Any], missing: float) -> npt.NDArray[Any]:
        reduced: npt.NDArray[Any] = function.reduceat(np.where(exists_TN, x_TN, missing), starts_K, axis=0)
        return reduced

    num_KN = np.add.reduceat(exists_TN.astype(np.int64), starts_K, axis=0)
    first_KN = np.minimum(reduce(np.minimum, row_T1, panel.num_bars - 1), panel.num_bars - 1)
    last_KN = reduce(np.maximum, row_T1, 0)
    stored = np.timedelta64(panel.timeframe_s, "s")
    if partial == "drop":
        whole_KN = num_KN == length // stored
    else:
        reach_KN = panel.ts_T[last_KN] - bucket_K[:, None]
        whole_KN = _inner_or_complete(panel, bucket_K, length, num_KN > 0, panel.ts_T[first_KN], reach_KN)
    columns = {
        "open": np.take_along_axis(panel.open_TN, first_KN, axis=0),
        "high": reduce(np.maximum, panel.high_TN, -np.inf),
        "low": reduce(np.minimum, panel.low_TN, np.inf),
        "close": np.take_along_axis(panel.close_TN, last_KN, axis=0),
        "volume": reduce(np.add, panel.volume_TN, 0.0),
    }
    return whole_KN, {name: np.where(whole_KN, x, 0.0 if name == "volume" else np.nan) for name, x in columns.items()}


def _inner_or_complete(
    panel: Panel,
    bucket_K: npt.NDArray[np.datetime64],
    length: np.timedelta64,
    exists_KN: npt.NDArray[np.bool_],
    first_KN: npt.NDArray[np.datetime64],
    reach_KN: npt.NDArray[np.timedelta64],
) -> npt.NDArray[np.bool_]:
    """Return which buckets the rules for the edges keep; see the module.

    Args:
        panel: Bars.
        bucket_K: When each bucket begins.
        length: Of a bucket.
        exists_KN: Where a bucket has bars.
        first_KN: When the first of them opens.
        reach_KN: From the bucket's beginning to the opening of the last of them.
    """
    day = np.timedelta64(DAY_S, "s")
    has_sessions = np.timedelta64(panel.timeframe_s, "s") < day <= length
    row_KN = np.where(exists_KN, np.arange(len(bucket_K))[:, None], -1)
    before_KN = np.maximum.accumulate(row_KN, axis=0)
    before_KN = np.concatenate(
        [np.full((1, before_KN.shape[1]), -1), before_KN[:-1]]
    )  # the last bucket before with bars
    begins_KN = has_sessions | (before_KN >= 0) | (first_KN == bucket_K[:, None])
    ends_KN = np.broadcast_to((bucket_K + length <= panel.known_at_T[-1])[:, None], exists_KN.shape)
    if has_sessions:
        reach_before_KN = np.take_along_axis(reach_KN, np.maximum(before_KN, 0), axis=0)
        ends_KN = ends_KN | ((before_KN >= 0) & (reach_KN >= reach_before_KN))
    return np.asarray(exists_KN & begins_KN & ends_KN, dtype=np.bool_)


def align(fine: Panel, coarse: Panel) -> npt.NDArray[np.int64]:
    """Return, for each bar of ``fine``, the last bar of ``coarse`` that is known when it is.

    Returns:
        Indices into ``coarse``, shape ``[T]`` of ``fine``: the last bar with ``coarse.known_at <= fine.known_at``; -1
        where none is known yet. A bar that is still forming is never chosen.
    """
    return np.searchsorted(coarse.known_at_T, fine.known_at_T, side="right").astype(np.int64) - 1
