"""Turn target weights into orders that are given only when a target changes; in between shares are held.

Repeating a constant weight would rebalance at every bar and pay for it. Legend: T bars, N instruments.
"""

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range

Float = npt.NDArray[np.float64]


def orders_at_changes(target_TN: Float, panel: Panel, rows: Range) -> Float:
    """Return the weights of the rows, NaN (no order) where the target is as before or unknown.

    The first row of the range always orders, since the account starts flat there. An order that could not fill because
    its instrument had no bar is given again until it has one.

    Args:
        target_TN: Targets for bars ``0 <= t < rows.stop``; NaN: not known yet.
        panel: The panel, for the bars that exist.
        rows: The bars decided on.

    Returns:
        ``[len(rows), N]``.
    """
    target_TN = _filled_forward(target_TN)[rows.start :]
    row_T1 = np.arange(len(rows))[:, None]
    is_change_TN = np.ones_like(target_TN, dtype=bool)
    is_change_TN[1:] = target_TN[1:] != target_TN[:-1]
    changed_TN = np.maximum.accumulate(np.where(is_change_TN, row_T1, 0), axis=0)
    has_bar_TN = panel.tradable_TN[rows.start : rows.stop]
    last_bar_TN = np.maximum.accumulate(np.where(has_bar_TN, row_T1, 0), axis=0)
    return np.where(last_bar_TN <= changed_TN, target_TN, np.nan)


def on_own_bars(panel: Panel, stop: int, n: int) -> tuple[npt.NDArray[np.intp], Float]:
    """Return the rows before ``stop`` at which instrument n has a bar, and its closes for signals there."""
    rows = np.flatnonzero(panel.tradable_TN[:stop, n])
    return rows, panel.for_signals().close_TN[rows, n]


def _filled_forward(x_TN: Float) -> Float:
    """Return x with NaN replaced by the last value before it; leading NaN stay."""
    row_TN = np.where(np.isnan(x_TN), 0, np.arange(len(x_TN))[:, None])
    return np.take_along_axis(x_TN, np.maximum.accumulate(row_TN, axis=0), axis=0)
