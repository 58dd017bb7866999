"""``FilledBars``: bars without holes, as indicators read them, and the intermediate series that several share.

A missing bar is read as the last close with no volume, as in ``price_volume``; rows before an instrument's first bar
stay NaN. Legend: T bars, N instruments.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.features.windows import forward_fill, lag, ratio

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class FilledBars:
    """Bars of N instruments.

    Args:
        ts_T: Bar opens, naive UTC.
        open_TN: Prices (likewise high, low, close); NaN before the first bar.
        volume_TN: Volume; 0 where no bar exists.
        memory: Bars that exponential averages remember.
    """

    ts_T: npt.NDArray[np.datetime64]
    open_TN: Float
    high_TN: Float
    low_TN: Float
    close_TN: Float
    volume_TN: Float
    memory: int

    @classmethod
    def of(cls, panel: Panel, memory: int) -> "FilledBars":
        """Fill the holes of a panel."""
        close_TN = forward_fill(panel.close_TN)
        open_TN, high_TN, low_TN = (
            np.where(panel.tradable_TN, x_TN, close_TN) for x_TN in (panel.open_TN, panel.high_TN, panel.low_TN)
        )
        return cls(
            ts_T=panel.ts_T,
            open_TN=open_TN,
            high_TN=high_TN,
            low_TN=low_TN,
            close_TN=close_TN,
            volume_TN=panel.volume_TN,
            memory=memory,
        )

    def slice(self, start: int, stop: int) -> "FilledBars":
        """Return bars ``start <= t < stop``."""
        rows = slice(start, stop)
        return FilledBars(
            ts_T=self.ts_T[rows],
            open_TN=self.open_TN[rows],
            high_TN=self.high_TN[rows],
            low_TN=self.low_TN[rows],
            close_TN=self.close_TN[rows],
            volume_TN=self.volume_TN[rows],
            memory=self.memory,
        )

    @cached_property
    def log_close_TN(self) -> Float:
        """ln close."""
        return np.log(self.close_TN)

    @cached_property
    def previous_close_TN(self) -> Float:
        """Close of the bar before."""
        return lag(self.close_TN, 1)

    @cached_property
    def change_TN(self) -> Float:
        """Close less the close before."""
        return self.close_TN - self.previous_close_TN

    @cached_property
    def return_TN(self) -> Float:
        """Log return of the bar, close to close."""
        return self.log_close_TN - lag(self.log_close_TN, 1)

    @cached_property
    def typical_TN(self) -> Float:
        """(high + low + close) / 3."""
        return (self.high_TN + self.low_TN + self.close_TN) / 3.0

    @cached_property
    def true_high_TN(self) -> Float:
        """The higher of high and the close before."""
        return np.maximum(self.high_TN, self.previous_close_TN)

    @cached_property
    def true_low_TN(self) -> Float:
        """The lower of low and the close before."""
        return np.minimum(self.low_TN, self.previous_close_TN)

    @cached_property
    def true_range_TN(self) -> Float:
        """True high less true low. Source: Wilder (1978)."""
        return self.true_high_TN - self.true_low_TN

    @cached_property
    def close_location_TN(self) -> Float:
        """((close - low) - (high - close)) / (high - low), -1 at the low to 1 at the high; 0 without a range."""
        distance_TN = (self.close_TN - self.low_TN) - (self.high_TN - self.close_TN)
        return ratio(distance_TN, self.high_TN - self.low_TN, 0.0)
