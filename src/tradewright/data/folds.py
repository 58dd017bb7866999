"""Cross-validation in time: what each fit trains on, is chosen on and is judged on.

Training bars whose outcome reaches into a test block are purged before it, and an embargo is left after it, because
features that look back carry test bars into what follows. Validation always comes out of the training bars.
Source: López de Prado, Advances in Financial Machine Learning (2018), ch. 7 (purging, embargo) and 12 (CPCV).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb
from typing import Protocol

import numpy as np

from tradewright.data.ranges import MIN_BARS, Range, Ranges
from tradewright.errors import DataError


@dataclass(frozen=True, kw_only=True)
class FoldPlan:
    """One fit.

    Args:
        name: Also the name of its folder.
        ranges: What it trains and is chosen on; ``test`` spans all of ``tests``.
        tests: Test blocks in time order.
    """

    name: str
    ranges: Ranges
    tests: tuple[Range, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All fits, and the paths that their test blocks are stitched into.

    Args:
        kind: ``walk_forward``, ``purged_k_fold`` or ``combinatorial``.
        folds: The fits.
        paths: Per path: (index of the fit, block) in time order; blocks join without a gap.
    """

    kind: str
    folds: tuple[FoldPlan, ...]
    paths: tuple[tuple[tuple[int, Range], ...], ...]

    @property
    def rows(self) -> Range:
        """All test bars."""
        first, last = self.paths[0][0][1], self.paths[0][-1][1]
        return Range(first.start, last.stop)


class Planner(Protocol):
    """Lays out folds over the bars ``rows``."""

    def plan(self, rows: Range) -> Plan:
        """Return the folds. Raises DataError when there are too few bars."""
        ...


def cut_validation(parts: Sequence[Range], fraction: float, embargo_bars: int) -> tuple[tuple[Range, ...], Range]:
    """Take the last bars of the longest part for validation; return what is left to train on, and validation.

    Args:
        parts: Training bars in time order.
        fraction: Of all bars of the parts.
        embargo_bars: Bars left out between training and validation; other parts lie beyond a test block anyway.

    Raises:
        DataError: Too few bars.
    """
    size = max(round(fraction * sum(map(len, parts))), MIN_BARS)
    at = max(range(len(parts)), key=lambda i: (len(parts[i]), i))
    longest = parts[at]
    validation = Range(longest.stop - size, longest.stop)
    rest = Range(longest.start, validation.start - embargo_bars)
    left = rest.stop - rest.start
    if left < MIN_BARS:
        raise DataError(
            f"evaluate.folds: {len(longest)} training bars leave {max(left, 0)} after {size} of validation and an"
            f" embargo of {embargo_bars}; use fewer folds or more data"
        )
    return (*parts[:at], rest, *parts[at + 1 :]), validation


def training_around(rows: Range, tests: Sequence[Range], purge_bars: int, embargo_bars: int) -> tuple[Range, ...]:
    """Return the bars of ``rows`` outside the test blocks, purged before each and embargoed after each.

    Args:
        rows: All bars.
        tests: Test blocks in time order.
        purge_bars: Bars left out before a block.
        embargo_bars: Bars left out after a block.
    """
    parts = []
    start = rows.start
    for test in tests:
        parts.append(Range(start, test.start - purge_bars))
        start = test.stop + embargo_bars
    parts.append(Range(start, rows.stop))
    return tuple(part for part in parts if part.stop - part.start >= MIN_BARS)


def equal_blocks(rows: Range, count: int) -> tuple[Range, ...]:
    """Cut ``rows`` into ``count`` blocks whose lengths differ by one bar at most.

    Raises:
        DataError: A block would be shorter than two bars.
    """
    if len(rows) < MIN_BARS * count:
        raise DataError(f"evaluate.folds: {len(rows)} bars cannot be cut into {count} blocks of {MIN_BARS} bars")
    edges = [rows.start + len(rows) * i // count for i in range(count + 1)]
    return tuple(Range(a, b) for a, b in pairwise(edges))


def successive_blocks(rows: Range, length: int) -> tuple[Range, ...]:
    """Cut ``rows`` into blocks of ``length`` bars, the last one with what is left; too little joins the one before.

    Raises:
        DataError: There are not two blocks.
    """
    starts = [start for start in range(rows.start, rows.stop, length) if rows.stop - start >= MIN_BARS]
    if len(starts) < 2:
        raise DataError(f"evaluate.folds: {len(rows)} bars make no two blocks of {length}; lower bars_per_fold")
    return tuple(Range(a, b) for a, b in pairwise([*starts, rows.stop]))


def fold_ranges(
    rows: Range, tests: Sequence[Range], *, purge_bars: int, embargo_bars: int, validation: float
) -> Ranges:
    """Return the ranges of a fit that is judged on ``tests`` and trains on what surrounds them.

    Raises:
        DataError: Too few training bars.
    """
    parts = training_around(rows, tests, purge_bars, embargo_bars)
    if not parts:
        raise DataError(
            f"evaluate.folds: purge_bars={purge_bars} and embargo_bars={embargo_bars} leave no training bars beside the"
            f" test blocks of {len(rows)} bars; lower them or use more data"
        )
    training, chosen = cut_validation(parts, validation, embargo_bars)
    return Ranges(
        train=Range(training[0].start, training[-1].stop),
        validation=chosen,
        test=Range(tests[0].start, tests[-1].stop),
        train_parts=training,
    )


def check_fold_settings(*, purge_bars: int, embargo_bars: int, validation: float) -> None:
    """Refuse settings out of range.

    Raises:
        ValueError: The message starts with the name.
    """
    for name, value in (("purge_bars", purge_bars), ("embargo_bars", embargo_bars)):
        if value < 0:
            raise ValueError(f"{name} must be >= 0, was {value}")
    if not 0 < validation < 1:
        raise ValueError(f"validation must be a fraction in (0, 1), was {validation}")


def combinatorial_paths(num_blocks: int, num_tests: int) -> tuple[tuple[tuple[int, ...], ...], np.ndarray]:
    """Return the test blocks of every fit, and for every path the fit that judges each block.

    ``C(N, k)`` fits give ``C(N, k) * k / N = C(N - 1, k - 1)`` paths.

    Args:
        num_blocks: N.
        num_tests: k, the test blocks of each fit.

    Returns:
        The combinations, and an int array ``[paths, N]``.
    """
    fits = tuple(combinations(range(num_blocks), num_tests))
    paths = np.empty((comb(num_blocks - 1, num_tests - 1), num_blocks), dtype=np.int64)
    used = [0] * num_blocks
    for fit, blocks in enumerate(fits):
        for block in blocks:
            paths[used[block], block] = fit
            used[block] += 1
    return fits, paths
