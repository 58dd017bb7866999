"""What an order may assume about its market, from the bars before it: Wilder's average true range, volume, volatility.

Each instrument is measured on the bars that it has, on the series for signals (``Panel.for_signals``), so that a split
or roll is no move. Legend: T bars, N instruments, K bars of one instrument.
Source: Wilder, New Concepts in Technical Trading Systems (1978), ch. 3; Almgren, Thum, Hauptmann, Li, "Direct
estimation of equity market impact" (2005), for market impact as a power of the traded share of the volume.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel

Float = npt.NDArray[np.float64]


def relative_true_range(panel: Panel, num_bars: int) -> Float:
    """Return the average true range over the close, a fraction, as known at each close.

    The first average is the plain mean of ``num_bars`` true ranges, of which the first needs a close before it; then
    ``(average * (num_bars - 1) + true range) / num_bars``.

    Args:
        panel: Bars.
        num_bars: Length of the average, >= 1.

    Returns:
        ``[T, N]``; the last known value where an instrument has no bar; NaN before ``num_bars + 1`` bars are known, and
        while nothing moves (a distance of zero is none).
    """
    bars = panel.for_signals()
    out_TN: Float = np.full_like(bars.close_TN, np.nan)
    for n in range(len(bars.instruments)):
        rows = np.flatnonzero(bars.tradable_TN[:, n])
        high_K, low_K, close_K = (x_TN[rows, n] for x_TN in (bars.high_TN, bars.low_TN, bars.close_TN))
        if len(rows) <= num_bars:
            continue
        true_K = np.maximum(high_K[1:], close_K[:-1]) - np.minimum(low_K[1:], close_K[:-1])
        average = float(true_K[:num_bars].mean())
        averages = [average]
        for true_range in true_K[num_bars:].tolist():
            average = (average * (num_bars - 1) + true_range) / num_bars
            averages.append(average)
        average_K = np.array(averages)
        out_TN[rows[num_bars:], n] = np.where(average_K > 0, average_K / close_K[num_bars:], np.nan)
    return _held(out_TN, bars)


class Liquidity(NamedTuple):
    """Volume and volatility for orders that fill in bar t, known at the close of bar t-1; both ``[T, N]``.

    Args:
        volume_TN: Mean volume per bar in shares of bar t; NaN before an instrument's first bar is known.
        volatility_TN: Root mean square of the moves per bar, a fraction; NaN likewise.
    """

    volume_TN: Float
    volatility_TN: Float


def liquidity(panel: Panel, num_bars: int) -> Liquidity:
    """Return mean volume and volatility of the last ``num_bars`` bars, or of as many as there are.

    A move is ``close / last close - 1``; of an instrument's first bar ``close / open - 1``. Both figures are per bar:
    the ratio ``volatility / sqrt(volume)`` of the square-root law is the same for bars of any length.
    """
    bars = panel.for_signals()
    volume_TN: Float = np.full_like(bars.close_TN, np.nan)
    square_TN: Float = np.full_like(bars.close_TN, np.nan)
    for n in range(len(bars.instruments)):
        rows = np.flatnonzero(bars.tradable_TN[:, n])
        if not len(rows):
            continue
        close_K = bars.close_TN[rows, n]
        move_K = close_K / np.concatenate([bars.open_TN[rows[:1], n], close_K[:-1]]) - 1.0
        volume_TN[rows, n] = _trailing_mean(bars.volume_TN[rows, n], num_bars)
        square_TN[rows, n] = _trailing_mean(move_K**2, num_bars)
    volume_TN, square_TN = _next(_held(volume_TN, bars)), _next(_held(square_TN, bars))
    if panel.split_TN is not None:
        volume_TN = volume_TN * np.cumprod(panel.split_TN, axis=0)
    return Liquidity(volume_TN, np.sqrt(square_TN))


def _trailing_mean(x_K: Float, window: int) -> Float:
    """Return the mean of the last ``window`` values, or of as many as there are."""
    padded = np.concatenate([np.zeros(window - 1), x_K])
    sums_K = np.lib.stride_tricks.sliding_window_view(padded, window).sum(axis=-1)
    return np.asarray(sums_K / np.minimum(np.arange(1, len(x_K) + 1), window), dtype=np.float64)


def _held(x_TN: Float, bars: Panel) -> Float:
    """Return x with the rows of missing bars taken from the last bar that exists."""
    if bars.tradable_TN.all():
        return x_TN
    rows_TN = np.where(bars.tradable_TN, np.arange(bars.num_bars)[:, None], 0)
    return np.take_along_axis(x_TN, np.maximum.accumulate(rows_TN, axis=0), axis=0)


def _next(x_TN: Float) -> Float:
    """Return what is known one bar later; NaN in the first row."""
    return np.concatenate([np.full((1, x_TN.shape[1]), np.nan), x_TN[:-1]])
