"""Logged decisions: the target weights that somebody decided, bar by bar, in a file ``ts, symbol, weight``.

It is what ``tradewright predict`` writes as ``predictions.csv``; Parquet is read as well. ``ts`` is the open of the
decision bar, ``weight`` the signed target fraction of the equity of the whole account, and no weight means no order.
Legend: T bars, N instruments.
"""

from collections.abc import Sequence

import duckdb
import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.data.side_table import read_rows
from tradewright.errors import DataError, suggest

KEY = "algorithm.decisions"


def read_decisions(path: str, panel: Panel, parts: Sequence[Range]) -> npt.NDArray[np.float64]:
    """Return the weights ``[T, N]`` of a file, NaN where nothing was ordered.

    Args:
        path: A CSV or Parquet file.
        panel: All bars.
        parts: The training bars; the file may hold no others.

    Raises:
        DataError: A row is malformed, out of order, doubled, of another symbol or of a bar that is not trained on;
            named by file and row.
    """
    weights_TN = np.full((panel.num_bars, len(panel.symbols)), np.nan)
    columns = {symbol: n for n, symbol in enumerate(panel.symbols)}
    newest: dict[str, np.datetime64] = {}
    first, last = panel.ts_T[parts[0].start], panel.ts_T[parts[-1].stop - 1]
    with duckdb.connect() as connection:
        rows = read_rows(connection, path, KEY, "decisions", ("symbol",), ("weight",))
    if not rows:
        raise DataError(f"{KEY}={path}: holds no decision; expected rows of ts, symbol, weight")
    for place, row in rows:
        symbol, ts = row["symbol"], np.datetime64(row["ts"], "us")
        if symbol not in columns:
            raise DataError(f"{place}: symbol '{symbol}' has no bars{suggest(symbol, columns)}")
        if symbol in newest and ts <= newest[symbol]:
            if ts == newest[symbol]:
                raise DataError(f"{place}: {symbol} {ts} was there before; keep one of them")
            raise DataError(f"{place}: {symbol} {ts} comes after {newest[symbol]}; sort the file by ts")
        newest[symbol] = ts
        t = int(np.searchsorted(panel.ts_T, ts))
        if t == panel.num_bars or panel.ts_T[t] != ts:
            raise DataError(f"{place}: {symbol} {ts} is no bar of '{panel.dataset}'; give the open of a bar as ts")
        if not any(part.start <= t < part.stop for part in parts):
            raise DataError(
                f"{place}: {symbol} {ts} is outside the training bars {first} to {last}, and learning from it would be"
                " a leak; cut the file or move data.split"
            )
        if row["weight"] is not None:
            weights_TN[t, columns[symbol]] = row["weight"]
    return weights_TN
