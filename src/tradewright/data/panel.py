"""``Panel``: dense float64 bars of N instruments on one clock, the only form in which market data leaves ``data/``.

Legend: T bars, N instruments. ``ts_T`` is the bar's open in naive UTC; the bar is known at ``known_at_T``.
A bar that does not exist has NaN prices, zero volume and ``tradable_TN`` False.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tradewright.market.instrument import CALENDAR_PERIODS, Instrument

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Bars of N instruments at T common times.

    Args:
        dataset: Name of the data set.
        instruments: N instruments, in column order.
        timeframe_s: Bar length in seconds.
        ts_T: ``datetime64[us]``, strictly increasing bar opens (naive UTC).
        known_at_T: ``datetime64[us]``, ``ts_T + timeframe_s``.
        open_TN: Prices; NaN where no bar exists (likewise high, low, close).
        volume_TN: Volume; 0 where no bar exists.
        tradable_TN: True where a bar exists.
        fingerprint: Hex digest of the content of the bars.
        is_synthetic: True for generated data; every report says so.
        note: One sentence for reports, e.g. that an index is not itself tradable. May be empty.
    """

    dataset: str
    instruments: tuple[Instrument, ...]
    timeframe_s: int
    ts_T: npt.NDArray[np.datetime64]
    known_at_T: npt.NDArray[np.datetime64]
    open_TN: Float
    high_TN: Float
    low_TN: Float
    close_TN: Float
    volume_TN: Float
    tradable_TN: npt.NDArray[np.bool_]
    fingerprint: str = ""
    is_synthetic: bool = False
    note: str = ""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The N symbols, in column order."""
        return tuple(instrument.symbol for instrument in self.instruments)

    @property
    def num_bars(self) -> int:
        """T."""
        return len(self.ts_T)

    @property
    def periods_per_year(self) -> float:
        """Trading days per year of the panel's calendar (the largest where several are mixed)."""
        return max(CALENDAR_PERIODS[instrument.calendar] for instrument in self.instruments)

    def slice(self, start: int, stop: int) -> "Panel":
        """Return bars ``start <= t < stop`` as views; nothing is copied."""
        rows = slice(start, stop)
        return replace(
            self,
            ts_T=self.ts_T[rows],
            known_at_T=self.known_at_T[rows],
            open_TN=self.open_TN[rows],
            high_TN=self.high_TN[rows],
            low_TN=self.low_TN[rows],
            close_TN=self.close_TN[rows],
            volume_TN=self.volume_TN[rows],
            tradable_TN=self.tradable_TN[rows],
        )
