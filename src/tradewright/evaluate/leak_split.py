"""Leaks of a split: ranges that share bars, lie out of order, or whose labels reach over the boundary."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tradewright.data.ranges import Range, Ranges
from tradewright.evaluate.evidence import Leak
from tradewright.evaluate.leak_search import Check

SPLIT, METHOD = "split", "ranges"

Rows = Range | Sequence[Range] | npt.NDArray[np.integer]


def check_split(
    ranges: Ranges | Mapping[str, Rows],
    ts_T: npt.NDArray[np.datetime64],
    *,
    embargo_bars: int = 0,
    reach_bars: int = 0,
    in_order: bool = True,
) -> Check:
    """Check that no bar serves two ranges and that what happens in one is not known in the other.

    Args:
        ranges: Train, validation and test; or rows by name in time order.
        ts_T: Times of the bars.
        embargo_bars: Bars that must lie unused between two ranges, >= 0.
        reach_bars: Bars ahead that a label uses, >= 0. The label of the last bar before a boundary must be known before
            the next range begins, so at least as many bars must lie unused.
        in_order: Earlier names must lie before later ones; False for cross-validation, which trains on both sides.

    Returns:
        One leak per pair of ranges, with the faulty bar.
    """
    if isinstance(ranges, Ranges):
        ranges = {"train": ranges.training, "validation": ranges.validation, "test": ranges.test}
    rows = {name: _rows(value) for name, value in ranges.items()}
    gap = max(embargo_bars, reach_bars)
    leaks = []
    for (first, a), (second, b) in combinations(rows.items(), 2):
        found = _fault(a, b, gap, in_order=in_order)
        if found is not None:
            bar, problem, expected = found
            ts = ts_T[bar]
            leaks.append(
                Leak(
                    kind=SPLIT,
                    name=f"{first}/{second}",
                    symbol="",
                    ts=ts,
                    cut_ts=ts,
                    method=METHOD,
                    before=problem,
                    after=expected,
                    first_ts=ts,
                )
            )
    return Check(kind=SPLIT, subject="split", num_values=len(rows), leaks=tuple(leaks))


def _rows(value: Rows) -> npt.NDArray[np.integer]:
    if isinstance(value, np.ndarray):
        return value
    parts = (value,) if isinstance(value, Range) else value
    return np.concatenate([np.arange(part.start, part.stop) for part in parts])


def _fault(
    a: npt.NDArray[np.integer], b: npt.NDArray[np.integer], gap: int, *, in_order: bool
) -> tuple[int, str, str] | None:
    """Return the bar, what is wrong there and what was expected."""
    shared = np.intersect1d(a, b)
    if len(shared):
        return int(shared[0]), f"{len(shared)} bars belong to both ranges", "expected none"
    if in_order and a.max() > b.min():
        late = int(a[a > b.min()].min())
        return late, "a bar of the earlier range lies after the start of the later one", "expected time order"
    # Rows of both in time order; neighbours of different ranges are boundaries.
    order = np.argsort(np.concatenate([a, b]), kind="stable")
    rows = np.concatenate([a, b])[order]
    is_second = (np.arange(len(rows)) >= len(a))[order]
    unused = np.diff(rows) - 1
    close = np.flatnonzero((is_second[1:] != is_second[:-1]) & (unused < gap))
    if len(close):
        at = int(close[0])
        return int(rows[at + 1]), f"{unused[at]} unused bars lie between the ranges", f"expected at least {gap}"
    return None
