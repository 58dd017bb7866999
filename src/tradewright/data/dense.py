"""From rows of bars to the dense arrays of a ``Panel``, and the fingerprint of their content.

Legend: T bars, N instruments.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.market.instrument import Instrument

COLUMNS = ("open", "high", "low", "close", "volume")


def densify(
    rows: Mapping[str, Any], counts: list[int], columns: list[int]
) -> tuple[npt.NDArray[np.datetime64], dict[str, npt.NDArray[np.float64]]]:
    """Spread rows ordered by symbol and time over ``[T, N]`` arrays.

    Args:
        rows: Columns of the rows, as arrays.
        counts: Rows per symbol.
        columns: For each output column the symbol's place in ``counts``.
    """
    ts = rows["ts"].astype("datetime64[us]", copy=False)
    starts = np.concatenate([[0], np.cumsum(counts)])
    first = ts[: counts[0]]
    if all(count == counts[0] for count in counts) and bool((ts.reshape(len(counts), -1) == first).all()):
        dense = {name: rows[name].reshape(len(counts), -1)[columns].T for name in COLUMNS}
        return first, {name: np.ascontiguousarray(array) for name, array in dense.items()}
    ts_T = np.unique(ts)
    at = np.searchsorted(ts_T, ts)
    arrays = {name: np.full((len(ts_T), len(columns)), 0.0 if name == "volume" else np.nan) for name in COLUMNS}
    for column, place in enumerate(columns):
        part = slice(starts[place], starts[place + 1])
        for name in COLUMNS:
            arrays[name][at[part], column] = rows[name][part]
    return ts_T, arrays


def build_panel(
    dataset: str,
    instruments: tuple[Instrument, ...],
    length_s: int,
    ts_T: npt.NDArray[np.datetime64],
    arrays: dict[str, npt.NDArray[np.float64]],
) -> Panel:
    """Return the panel of dense arrays, with its fingerprint."""
    return Panel(
        dataset=dataset,
        instruments=instruments,
        timeframe_s=length_s,
        ts_T=ts_T,
        known_at_T=ts_T + np.timedelta64(length_s, "s"),
        open_TN=arrays["open"],
        high_TN=arrays["high"],
        low_TN=arrays["low"],
        close_TN=arrays["close"],
        volume_TN=arrays["volume"],
        tradable_TN=~np.isnan(arrays["close"]),
        fingerprint=content_fingerprint([i.symbol for i in instruments], length_s, ts_T, arrays),
    )


def content_fingerprint(
    symbols: list[str], length_s: int, ts_T: npt.NDArray[np.datetime64], arrays: dict[str, npt.NDArray[np.float64]]
) -> str:
    """Return a hex digest of the bars as they stand in the panel, whatever file or row order they came from."""
    digest = hashlib.blake2b(f"{length_s}|{'|'.join(symbols)}|".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(ts_T).view(np.uint8).data)
    for name in COLUMNS:
        digest.update(np.ascontiguousarray(arrays[name]).view(np.uint8).data)
    return digest.hexdigest()
