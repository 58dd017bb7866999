"""Compares what a function returned with and without (or with another) future.

Values are compared exactly, NaN equal to NaN, except for the rounding that a different number of rows may cause:
libraries sum in blocks, and a transform over all rows (an FFT, a matrix product) rounds relative to the largest value.
So floats may differ by ``ROUNDING`` times the largest value of their column; any real dependence on a future that
leaves all earlier prices behind is larger by orders of magnitude. Integers, booleans and texts must be equal.

Legend: T bars, N instruments, K numbers per bar and instrument.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Values = Mapping[str, Array]

ROUNDING = {2: 1e-2, 4: 1e-6, 8: 1e-9}
"""By bytes of a float: about ten units in the last place for the shorter ones, a safe margin for float64."""


class MalformedError(Exception):
    """A function returned something that is no value per bar; the message says what."""


@dataclass(frozen=True)
class Change:
    """How one value changed.

    Args:
        row: Bar of the largest change (the earliest of equal ones).
        column: Flat index into what follows the time axis.
        size: Relative to the column's largest value; 1 where a value appeared or vanished or a text changed.
        first_row: Earliest bar that changed.
        before: The value there with the whole data.
        after: The value there otherwise.
    """

    row: int
    column: int
    size: float
    first_row: int
    before: float | str
    after: float | str


def as_values(returned: Any, num_bars: int) -> dict[str, Array]:
    """Return what a function returned as arrays whose first axis is time; a single number holds at every bar.

    Raises:
        MalformedError: It is no mapping, or a value has another number of rows than there are bars.
    """
    if not isinstance(returned, Mapping):
        raise MalformedError(f"returned {type(returned).__name__}, expected a dict of values by name")
    values = {}
    for name, value in returned.items():
        array = np.array(value, dtype=object) if _is_texts(value) else np.asarray(value)
        if array.ndim == 0:
            array = np.broadcast_to(array.copy(), (num_bars,))
        if len(array) != num_bars:
            raise MalformedError(f"returned {len(array)} rows of '{name}' for {num_bars} bars, expected one per bar")
        values[str(name)] = array
    return values


def _is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(item, str) for item in value)


def compare(before: Array, after: Array, num_rows: int) -> Change | None:
    """Return how ``after`` differs from ``before`` in the first ``num_rows`` rows; None where it does not.

    Raises:
        MalformedError: The two differ in shape apart from time.
    """
    if before.shape[1:] != after.shape[1:]:
        raise MalformedError(f"returned shape {after.shape[1:]} per bar, {before.shape[1:]} with the whole data")
    a_TC, b_TC = (flat(array[:num_rows]) for array in (before, after))
    if before.dtype.kind == "f" and after.dtype.kind == "f":
        if np.array_equal(a_TC, b_TC, equal_nan=True):
            return None
        size_TC = _relative(a_TC, b_TC, np.fmax(_largest(flat(before)), _largest(flat(after))))
        bytes_ = min(before.dtype.itemsize, after.dtype.itemsize)
        size_TC[size_TC <= ROUNDING.get(bytes_, ROUNDING[8])] = 0.0
    else:
        size_TC = np.asarray(a_TC != b_TC, dtype=np.float64)
        if before.dtype.kind == "O":  # NaN among texts and objects
            size_TC[np.asarray((a_TC != a_TC) & (b_TC != b_TC), dtype=bool)] = 0.0
    if not size_TC.any():
        return None
    row, column = np.unravel_index(int(np.argmax(size_TC)), size_TC.shape)
    first = int(np.argmax(size_TC.any(axis=1)))
    old, new = _shown(a_TC[row, column], b_TC[row, column])
    return Change(int(row), int(column), float(size_TC[row, column]), first, old, new)


def flat(array: Array) -> Array:
    """Return ``[T, C]``: whatever follows the time axis as one axis."""
    return array.reshape(len(array), -1)


def _largest(x_TC: Array) -> Array:
    """Return each column's largest finite magnitude."""
    return np.where(np.isfinite(x_TC), np.abs(x_TC), 0.0).max(axis=0, initial=0.0)


def _relative(a_TC: Array, b_TC: Array, scale_C: Array) -> Array:
    """Return the change over the column's scale; 1 where a value appeared, vanished or became infinite."""
    with np.errstate(invalid="ignore", over="ignore"):
        size_TC = np.abs(a_TC.astype(np.float64) - b_TC) / np.where(scale_C > 0, scale_C, 1.0)
    is_same_TC = (a_TC == b_TC) | (np.isnan(a_TC) & np.isnan(b_TC))
    return np.where(is_same_TC, 0.0, np.where(np.isfinite(size_TC), size_TC, 1.0))


CONTEXT = 30
"""Characters shown around the place where two texts part."""


def _shown(old: Any, new: Any) -> tuple[float | str, float | str]:
    if not isinstance(old, str) and not isinstance(new, str):
        try:
            return float(old), float(new)
        except (TypeError, ValueError):
            pass  # an object: shown as text
    texts = str(old), str(new)
    at = next((i for i, (x, y) in enumerate(zip(*texts, strict=False)) if x != y), min(map(len, texts)))
    first, last = max(at - CONTEXT, 0), at + CONTEXT
    short = [f"{'…' if first else ''}{text[first:last]}{'…' if last < len(text) else ''}" for text in texts]
    return short[0], short[1]


def changes(column: Array) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return at which rows a column ``[T]`` rises and at which it falls, compared with its last defined value.

    The first defined value counts as a rise, and so does any change of what has no order.
    """
    is_defined = ~np.isnan(column) if column.dtype.kind == "f" else np.ones(len(column), dtype=bool)
    rows, kept = np.flatnonzero(is_defined), column[is_defined]
    is_new, is_lower = np.ones(len(kept), dtype=bool), np.zeros(len(kept), dtype=bool)
    is_new[1:] = np.asarray(kept[1:] != kept[:-1], dtype=bool)
    if column.dtype.kind in "fiub":
        is_lower[1:] = kept[1:] < kept[:-1]
    rises, falls = np.zeros((2, len(column)), dtype=bool)
    rises[rows[is_new & ~is_lower]] = True
    falls[rows[is_new & is_lower]] = True
    return rises, falls
