"""Positions in another order: delayed, stitched from blocks, or moved to random times with the same turnover.

Legend: T bars, N instruments, K spells (runs of bars with one sign of the target).
"""

from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tradewright.market.positions import Positions

Float = npt.NDArray[np.float64]

NO_ROW = -1
"""Row number that gives no order."""
EXIT_ROW = -2
"""Row number that gives a target of zero."""
LEAST_FREE = 0.1
"""Share of the rows that must be free, or moving the spells would hardly move anything."""


def delay(positions: Positions, num_bars: int) -> Positions:
    """Return the same decisions, each made ``num_bars`` later; what would fall behind the end is left out."""
    num_rows = len(positions.weights_TN)
    return take(positions, np.maximum(np.arange(num_rows) - num_bars, NO_ROW))


def take(positions: Positions, rows_T: npt.NDArray[np.int64]) -> Positions:
    """Return the decisions of the given rows; ``NO_ROW`` gives no order, ``EXIT_ROW`` a target of zero."""
    columns = {}
    for entry in fields(positions):
        values_TN = getattr(positions, entry.name)
        if values_TN is None:
            continue
        taken_TN = values_TN[np.maximum(rows_T, 0)]
        taken_TN[rows_T < 0] = np.nan
        columns[entry.name] = taken_TN
    columns["weights_TN"][rows_T == EXIT_ROW] = 0.0
    return Positions(**columns)


def stitch(parts: Sequence[Positions]) -> Positions:
    """Join the decisions of successive blocks, each made by a strategy that believes it starts flat.

    The first row of a later block that gives no order closes what the block before has left, as its strategy assumes.
    """
    columns: dict[str, Float] = {}
    for entry in fields(Positions):
        given = [getattr(part, entry.name) for part in parts]
        if any(values_TN is not None for values_TN in given):
            columns[entry.name] = np.concatenate(
                [
                    np.full_like(part.weights_TN, np.nan) if values_TN is None else values_TN
                    for part, values_TN in zip(parts, given, strict=True)
                ]
            )
    starts = np.cumsum([len(part.weights_TN) for part in parts])[:-1]
    first_KN = columns["weights_TN"][starts]
    columns["weights_TN"][starts] = np.where(np.isnan(first_KN), 0.0, first_KN)
    return Positions(**columns)


def targets(weights_TN: Float) -> Float:
    """Return the target in force at each row: the last decided one, 0 before the first."""
    rows_TN = np.where(np.isnan(weights_TN), -1, np.arange(len(weights_TN))[:, None])
    last_TN = np.maximum.accumulate(rows_TN, axis=0)
    return np.where(last_TN < 0, 0.0, np.take_along_axis(weights_TN, np.maximum(last_TN, 0), axis=0))


def spells(weights_T: Float) -> list[tuple[int, int]]:
    """Return ``(start, stop)`` of every run of rows whose target has one sign and is not zero."""
    side_T = np.sign(targets(weights_T[:, None])[:, 0])
    edges = np.flatnonzero(np.diff(side_T)) + 1
    bounds = [0, *edges.tolist(), len(side_T)]
    return [(a, b) for a, b in pairwise(bounds) if side_T[a] != 0]


def shuffle_spells(weights_T: Float, generator: np.random.Generator) -> npt.NDArray[np.int64] | None:
    """Return row numbers that put the spells at random times in random order, each exactly as it was.

    Between two spells lies at least one flat row, so that every spell is entered and left as before.

    Args:
        weights_T: Decided weights of one instrument; NaN: no order.
        generator: Draws order and times.

    Returns:
        Rows for ``take``; None where there is no spell, or too few flat rows to move them among.
    """
    runs = spells(weights_T)
    num_flat = len(weights_T) - sum(stop - start for start, stop in runs)
    free = num_flat - (len(runs) - 1)
    if not runs or free < LEAST_FREE * len(weights_T):
        return None
    count = len(runs)
    before = np.sort(generator.choice(free + count, size=count, replace=False)) - np.arange(count)  # stars and bars
    gaps = np.diff(before, prepend=0)
    rows_T = np.full(len(weights_T), NO_ROW, dtype=np.int64)
    at = 0
    for order, which in enumerate(generator.permutation(len(runs))):
        start, stop = runs[which]
        at += int(gaps[order]) + (1 if order else 0)
        rows_T[at : at + stop - start] = np.arange(start, stop)
        at += stop - start
        if at < len(rows_T):
            rows_T[at] = EXIT_ROW
    return rows_T


def rotate(num_rows: int, shift: int) -> npt.NDArray[np.int64]:
    """Return row numbers that move every decision ``shift`` rows later, the last ones to the front."""
    return (np.arange(num_rows, dtype=np.int64) - shift) % num_rows
