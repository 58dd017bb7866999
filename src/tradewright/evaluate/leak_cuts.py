"""Where the leak detector cuts: at random bars, one per stratum of the range, and where rare values change.

A leak that reaches one bar ahead shows only at the bar of the cut itself. A continuous feature shows it at any bar; an
order or a flag only at the few bars where it is given, or where it is withheld. So for columns that change rarely the
data are also cut at some of the bars at which they change, and just before these. That also places cuts inside the
buckets of longer timeframes: a bucket's value changes at its edge.

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
"""Columns looked at for rare changes, drawn at random where there are more."""
MAX_EVENTS = 32
"""Changes cut at by default, two cuts each."""


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


def choose_cuts(
    values: Values, rows: Range, num_cuts: int, rng: np.random.Generator, *, max_events: int = MAX_EVENTS
) -> list[int]:
    """Return at least ``num_cuts`` different bars of ``rows`` in ascending order.

    Args:
        values: What the function returned for all bars.
        rows: Bars that may be chosen.
        num_cuts: Random bars; there are as many changes of rare values, or more where many columns have some.
        rng: Draws them.
        max_events: Most of these changes.
    """
    edges = np.linspace(rows.start, rows.stop, num_cuts + 1).astype(int)
    cuts = {int(rng.integers(start, stop)) for start, stop in pairwise(edges)}
    kinds = [rng.permutation(kind) for kind in _rare_changes(values, rows, rng)]
    for number in range(min(max(num_cuts, 2 * len(kinds)), max_events) if kinds else 0):
        turn, kind = divmod(number, len(kinds))
        row = int(kinds[kind][turn % len(kinds[kind])])
        cuts.update({row, max(row - 1, rows.start)})
    return sorted(cuts)


def _rare_changes(values: Values, rows: Range, rng: np.random.Generator) -> list[npt.NDArray[np.intp]]:
    """Return, for each column that changes rarely, the rows at which it rises and those at which it falls."""
    columns = [(array_TC, column) for array_TC in map(flat, values.values()) for column in range(array_TC.shape[1])]
    found = []
    for index in rng.permutation(len(columns))[:MAX_COLUMNS]:
        array_TC, column = columns[index]
        rises_T, falls_T = changes(array_TC[:, column])
        inside = slice(rows.start, rows.stop)
        if (rises_T | falls_T)[inside].mean() < SPARSE:
            found += [rows.start + np.flatnonzero(kind_T[inside]) for kind_T in (rises_T, falls_T)]
    return [kind for kind in found if len(kind)]
