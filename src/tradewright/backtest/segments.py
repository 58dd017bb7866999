"""Highest, lowest and worst fall of a price inside any run of bars, in constant time per question.

A disjoint sparse table: level v cuts the bars into blocks of 2**v and keeps, for every bar, what lies between it and
the middle of its block. A run from a to b is answered by two entries of the level at which a and b part, so the answer
for many runs is a handful of gathers, however long they are.
Legend: T bars, V levels (log2 T + 1), K runs.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

MAX_BARS = 2**18
"""Longest series that is worth a table: 19 levels of three columns take 120 MB, and gathers leave every cache."""


class Segments(NamedTuple):
    """The table, its levels one after another; every field has shape ``[V * T]`` but the last.

    Args:
        high: Highest price between the bar and the middle of its block.
        low: Lowest one.
        fall: Lowest ``price_v / price_u`` over u <= v there; 1 for a price that never falls.
        level: Where the level of two bars begins, by the exclusive or of their numbers.
    """

    high: Float
    low: Float
    fall: Float
    level: Index

    def query(self, first_K: Index, last_K: Index) -> tuple[Float, Float, Float]:
        """Return highest price, lowest price and worst fall of the runs ``first <= t <= last``, ``[K]`` each."""
        level_K = self.level.take(first_K ^ last_K)
        left_K, right_K = level_K + first_K, level_K + last_K
        high_K, low_K = self.high.take(left_K), self.low.take(right_K)
        fall_K = np.minimum(self.fall.take(left_K), self.fall.take(right_K))
        np.minimum(fall_K, low_K / high_K, out=fall_K)
        return np.maximum(high_K, self.high.take(right_K)), np.minimum(low_K, self.low.take(left_K)), fall_K


def build_segments(price_T: Float) -> Segments:
    """Return the table of a price > 0, at most ``MAX_BARS`` long."""
    num = len(price_T)
    num_levels = max(num - 1, 1).bit_length() + 1
    size = 1 << (num_levels - 1)
    padded = np.concatenate([price_T, np.full(size - num, price_T[-1])])
    table = np.empty((3, num_levels, num))
    table[:2, 0], table[2, 0] = price_T, 1.0
    for level in range(1, num_levels):
        half = 1 << (level - 1)
        blocks = np.ascontiguousarray(padded.reshape(-1, 2, half).transpose(1, 2, 0))  # [side, bar, block]
        before, after = blocks[0, ::-1], blocks[1]
        out = np.empty((3, 2, half, size // (2 * half)))
        for side, prices in ((0, before), (1, after)):
            high = np.maximum.accumulate(prices, axis=0)
            low = np.minimum.accumulate(prices, axis=0)
            falls = low / prices if side == 0 else prices / high
            for kind, values in enumerate((high, low, np.minimum.accumulate(falls, axis=0))):
                out[kind, side] = values[::-1] if side == 0 else values
        table[:, level] = out.transpose(0, 3, 1, 2).reshape(3, -1)[:, :num]
    starts = np.zeros(size, dtype=np.intp)
    for level in range(1, num_levels):
        starts[1 << (level - 1) : 1 << level] = level * num
    high, low, fall = table.reshape(3, -1)
    return Segments(high, low, fall, starts)
