"""Signals of many SMA crosses on one price, chunk by chunk, bit for bit those of ``strategy.sma_cross``.

A pair is long where ``mean of the last fast closes > mean of the last slow closes``. Ties and near ties must fall as
they do in the strategy, so the means are not taken from running sums, whose rounding depends on all bars before, but
added in the order in which ``numpy.mean`` adds one window: up to 7 values in turn, up to 128 as eight interleaved
partial sums, beyond as two parts. All windows share their partial sums: a mean costs one or two passes over the bars.
Legend: T bars, b rows of a chunk.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tradewright.data.ranges import Range

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

CHUNK_BYTES = 2**19
"""Size of a chunk of signals: a part of a core's second-level cache, so that the next passes find it there."""

LANES, BLOCK = 8, 128
"""Partial sums and largest undivided block of NumPy's pairwise summation."""


def sma_signals(close_T: Float, pairs: Sequence[tuple[int, int]], rows: Range) -> Iterator[Bool]:
    """Yield where each SMA cross is long, in chunks of rows.

    Args:
        close_T: Closes of one instrument that has every bar, of the series for signals (``Panel.for_signals``); bars
            before ``rows.start`` serve as warm-up.
        pairs: Fast and slow window of every row, in bars, ``1 <= fast < slow``.
        rows: Bars decided on.

    Yields:
        bool ``[b, len(rows)]``, the decision at each close; False until ``slow`` bars are known. The same memory is
        used again for the next chunk.

    Raises:
        ValueError: A pair is out of range.
    """
    for fast, slow in pairs:
        if not 1 <= fast < slow:
            raise ValueError(f"pairs must have 1 <= fast < slow, was ({fast}, {slow})")
    close_T = np.ascontiguousarray(close_T[: rows.stop], dtype=np.float64)
    means = window_means(close_T, {window for pair in pairs for window in pair})
    means = {window: mean_T[rows.start :] for window, mean_T in means.items()}
    num_rows = min(len(pairs), max(1, CHUNK_BYTES // len(rows)))
    signals_bT = np.empty((num_rows, len(rows)), dtype=bool)
    for first in range(0, len(pairs), num_rows):
        chunk = pairs[first : first + num_rows]
        for row, (fast, slow) in enumerate(chunk):
            np.greater(means[fast], means[slow], out=signals_bT[row])
        yield signals_bT[: len(chunk)]


def window_means(x_T: Float, windows: set[int]) -> dict[int, Float]:
    """Return the mean of the last ``window`` values for every window, ``[T]`` each, NaN before there are so many.

    Bit for bit ``x_T[t - window + 1 : t + 1].mean()`` of NumPy.
    """
    sums = _WindowSums(x_T)
    means = {}
    for window in sorted(windows):
        mean_T = means[window] = np.full(len(x_T), np.nan)
        if window <= len(x_T):
            np.divide(sums.of(window), window, out=mean_T[window - 1 :])
    return means


class _WindowSums:
    """Sums of all windows of one length, by the number of their first value; lengths build on shorter ones."""

    def __init__(self, x_T: Float) -> None:
        self.x_T = x_T
        self.sums: dict[int, Float] = {1: x_T}
        self.strides: dict[int, Float] = {1: x_T}

    def of(self, window: int) -> Float:
        """Return the sums, ``[T - window + 1]``."""
        if window not in self.sums:
            if window > BLOCK:
                left = window // 2
                left -= left % LANES
                first, second = self.of(left), self.of(window - left)
                self.sums[window] = first[: len(self.x_T) - window + 1] + second[left:]
            elif window % LANES == 0:
                self.sums[window] = _add_lanes(self._strided(window // LANES))
            else:
                self.sums[window] = self.of(window - 1)[:-1] + self.x_T[window - 1 :]
        return self.sums[window]

    def _strided(self, num: int) -> Float:
        """Return ``x_t + x_{t+8} + ...``, ``num`` values in turn."""
        if num not in self.strides:
            before = self._strided(num - 1)
            self.strides[num] = before[: len(before) - LANES] + self.x_T[LANES * (num - 1) :]
        return self.strides[num]


def _add_lanes(lane: Float) -> Float:
    """Return the sum of eight neighbouring partial sums, by pairs of pairs."""
    twos = lane[:-1] + lane[1:]
    fours = twos[:-2] + twos[2:]
    return np.asarray(fours[:-4] + fours[4:])
