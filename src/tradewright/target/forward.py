"""``target=direction`` and ``target=return``: what an order decided at a bar would have met after it.

return_t = close_{t+h} / open_{t+1} - 1, from the fill at the next open to the close h bars after the decision. It is
known h bars later only: nothing may decide by it, and an embargo of at least h bars must lie between the ranges.
Legend: T bars, N instruments.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.target.labels import Labels

Float = npt.NDArray[np.float64]


class ForwardReturn:
    """The return after the decision; its sign is the side.

    Args:
        horizon_bars: Bars ahead, >= 1.
        threshold: Returns not larger than this are no side, >= 0; 0.001 leaves out what costs would eat.
        size: Fraction of equity per entry, in (0, 1].

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    def __init__(self, *, horizon_bars: int = 10, threshold: float = 0.0, size: float = 0.05) -> None:
        if horizon_bars < 1:
            raise ValueError(f"horizon_bars must be >= 1, was {horizon_bars}")
        if not threshold >= 0:
            raise ValueError(f"threshold must be >= 0, was {threshold}")
        if not 0 < size <= 1:
            raise ValueError(f"size must be in (0, 1], was {size}")
        self._horizon_bars = horizon_bars
        self.threshold = threshold
        self.size = size

    @property
    def horizon_bars(self) -> int:
        """Bars ahead that a label looks."""
        return self._horizon_bars

    @property
    def facts(self) -> dict[str, Any]:
        """Parameters."""
        return {"horizon_bars": self.horizon_bars, "threshold": self.threshold, "size": self.size}

    def fit(self, panel: Panel, training: Sequence[Range]) -> "ForwardReturn":
        """Return itself: it takes nothing from the training bars."""
        return self

    def label(self, panel: Panel) -> Labels:
        """Return the labels; unknown in the last ``horizon_bars`` bars and where a bar is missing."""
        value_TN = forward_return(panel, self.horizon_bars)
        side_TN = np.sign(np.where(np.abs(value_TN) > self.threshold, value_TN, value_TN * 0.0))
        return Labels(
            side_TN=side_TN,
            size_TN=np.where(np.abs(side_TN) == 1, self.size, 0.0),
            cause_TN=np.zeros(side_TN.shape, dtype=np.int64),
            value_TN=value_TN,
        )


class Direction(ForwardReturn):
    """The side of the return after the decision alone, without its size: a target of classifiers."""

    def label(self, panel: Panel) -> Labels:
        """Return the labels; their value is the side."""
        labels = super().label(panel)
        return Labels(side_TN=labels.side_TN, size_TN=labels.size_TN, cause_TN=labels.cause_TN, value_TN=labels.side_TN)


def forward_return(panel: Panel, horizon_bars: int) -> Float:
    """Return ``close_{t+h} / open_{t+1} - 1``, ``[T, N]``, on prices that splits and rolls do not move."""
    bars = panel.for_signals()
    value_TN = np.full(bars.close_TN.shape, np.nan)
    num_known = bars.num_bars - horizon_bars
    if num_known > 0:
        value_TN[:num_known] = bars.close_TN[horizon_bars:] / bars.open_TN[1 : num_known + 1] - 1.0
    return value_TN
