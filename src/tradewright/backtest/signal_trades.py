"""From signals to trades: where each is bought and sold, all accounts of a chunk one after another.

Legend: T bars, b accounts, K trades of all of them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Bool = npt.NDArray[np.bool_]


class Trades(NamedTuple):
    """Trades of b accounts, one account after another.

    Args:
        entry_K: Bar at whose open it is bought.
        exit_K: Bar at whose open it is sold; T while it is open.
        bounds: The trades of account i are ``bounds[i]`` to ``bounds[i + 1] - 1``, ``[b + 1]``.
    """

    entry_K: Index
    exit_K: Index
    bounds: Index


def find_trades(signal_bT: Bool) -> Trades:
    """Return the trades that signals decide at each close and fill at the next open; the last row never fills."""
    num_rows, num = signal_bT.shape
    is_change_bT = np.empty((num_rows, num), dtype=bool)  # column t: the open of bar t + 1; the last: the end
    is_change_bT[:, 0] = signal_bT[:, 0] if num > 1 else False
    if num > 1:
        np.not_equal(signal_bT[:, 1:-1], signal_bT[:, :-2], out=is_change_bT[:, 1:-1])
        is_change_bT[:, -1] = signal_bT[:, -2]
    at = np.flatnonzero(is_change_bT)  # purchase, sale, purchase, ...: every row ends flat
    bounds = np.searchsorted(at, np.arange(num_rows + 1) * num) // 2
    offset_K = np.repeat(np.arange(num_rows) * num - 1, np.diff(bounds))
    return Trades(at[0::2] - offset_K, at[1::2] - offset_K, bounds)


def accumulate_rows(operation: np.ufunc, values_K: Float, starts: Index, ends: Index) -> Float:
    """Accumulate within each row."""
    out_K = np.empty_like(values_K)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        operation.accumulate(values_K[start:end], out=out_K[start:end])
    return out_K


def shift_rows(values_K: Float, starts: Index, first: float) -> Float:
    """Return the value of the trade before, ``first`` for the first trade of a row."""
    out_K = np.empty_like(values_K)
    out_K[1:] = values_K[:-1]
    out_K[starts] = first
    return out_K
