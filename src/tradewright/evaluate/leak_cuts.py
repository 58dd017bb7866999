"""Where the leak detector cuts: one bar per stratum of the range, half of them where a rare value changes.

A leak that reaches one bar ahead shows only at the bar of the cut itself. A continuous feature shows it at any bar; an
order or a flag only at the few bars where it is given. So every second cut falls on a bar at which some sparse column
takes a new value. That also places cuts inside the buckets of longer timeframes: a bucket's value changes at its edge.

Legend: T bars.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.evaluate.leak_values import Values, changes, flat

MIN_CUTS = 8
"""A single cut misses a binary signal up to three times out of four (measured); eight leave nothing to chance."""
SPARSE = 0.5
"""A column that changes at fewer than this share of bars is sparse."""
MAX_COLUMNS = 64
"""Sparse columns looked at, drawn at random where there are more."""


def check_num_cuts(num_cuts: int) -> None:
    """Refuse fewer cuts than the detector's promise rests on.

    Raises:
        ValueError: ``num_cuts`` is below ``MIN_CUTS``.
    """
    if num_cuts < MIN_CUTS:
        raise ValueError(f"num_cuts must be >= {MIN_CUTS}, was {num_cuts}; fewer miss leaks that show as a sign only")


def cut_range(num_bars: int, warmup_bars: int, num_cuts: int, subject: str) -> Range:
    """Return the bars at which a cut may fall: not closer to the ends than the warm-up, if the bars allow it.

    Raises:
        DataError: There are fewer bars after the warm-up than cuts.
    """
    last = num_bars - 1 - max(warmup_bars, 1)
    if last - warmup_bars < num_cuts:
        last = num_bars - 1  # the last cut keeps at least one bar of future
    if last - warmup_bars < num_cuts:
        raise DataError(
            f"{subject}: {num_bars} bars leave {max(last - warmup_bars, 0)} for {num_cuts} cuts after a warm-up of"
            f" {warmup_bars}; use more data"
        )
    return Range(warmup_bars, last)


def choose_cuts(values: Values, rows: Range, num_cuts: int, rng: np.random.Generator) -> list[int]:
    """Return ``num_cuts`` different bars of ``rows`` in ascending order.

    Args:
        values: What the function returned for all bars.
        rows: Bars that may be chosen.
        num_cuts: How many.
        rng: Draws them.
    """
    edges = np.linspace(rows.start, rows.stop, num_cuts + 1).astype(int)
    sparse = _sparse_columns(values, rows, rng)
    offset = int(rng.integers(2))
    cuts = []
    for stratum, (start, stop) in enumerate(pairwise(edges)):
        cut = _informative(sparse, int(start), int(stop), rng) if (stratum + offset) % 2 else None
        cuts.append(int(rng.integers(start, stop)) if cut is None else cut)
    return cuts


def _sparse_columns(values: Values, rows: Range, rng: np.random.Generator) -> list[npt.NDArray[np.bool_]]:
    """Return, for columns that change rarely, at which rows they do."""
    columns = [(array_TC, column) for array_TC in map(flat, values.values()) for column in range(array_TC.shape[1])]
    chosen = rng.permutation(len(columns))[:MAX_COLUMNS]
    found = [changes(array_TC[:, column]) for array_TC, column in (columns[index] for index in chosen)]
    return [is_new for is_new in found if 0 < is_new[rows.start : rows.stop].mean() < SPARSE]


def _informative(sparse: list[npt.NDArray[np.bool_]], start: int, stop: int, rng: np.random.Generator) -> int | None:
    """Return a bar of the stratum at which a sparse column changes; each column is used once before any is again."""
    for position, is_new in enumerate(sparse):
        rows = np.flatnonzero(is_new[start:stop])
        if len(rows):
            sparse.append(sparse.pop(position))
            return start + int(rng.choice(rows))
    return None
