"""``Panel``: dense float64 bars of N instruments on one clock, the only form in which market data leaves ``data/``.

Legend: T bars, N instruments. ``ts_T`` is the bar's open in naive UTC; the bar is known at ``known_at_T``.
A bar that does not exist has NaN prices, zero volume and ``tradable_TN`` False. A panel is what is *traded*; where its
prices jump without a gain or loss (splits, dividends, rolls), ``for_signals`` gives the series that does not.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.data.swap_tape import SwapTape
from tradewright.errors import DataError
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
        split_TN: New shares per old share before the open of the bar, 1: none. None: no splits, likewise below.
        dividend_TN: Money per share (before the split of the same bar) paid to holders before the open, 0: none.
        borrow_TN: Annual rate on the notional of shorts for the time since the previous bar; NaN: the rules' rate.
        funding_TN: Fraction of the notional that longs pay, and shorts receive, before the open, 0: none.
        roll_from_TN: Price of the contract that is left before the open of the bar; NaN: no roll.
        roll_to_TN: Price of the contract that is entered at the same moment; NaN: no roll.
        finer: Shorter bars of the same instruments, which decide what happened first inside a bar; None: unknown.
        swaps: The swaps of the pool that the one instrument is; None: it is no pool, or its swaps are unknown.
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
    split_TN: Float | None = None
    dividend_TN: Float | None = None
    borrow_TN: Float | None = None
    funding_TN: Float | None = None
    roll_from_TN: Float | None = None
    roll_to_TN: Float | None = None
    finer: "Panel | None" = None
    swaps: SwapTape | None = None

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
        start, stop, _ = slice(start, stop).indices(self.num_bars)
        finer = self.finer
        if finer is not None and start < stop:
            first, last = np.searchsorted(finer.ts_T, [self.ts_T[start], self.known_at_T[stop - 1]])
            finer = finer.slice(int(first), int(last))
        swaps = self.swaps
        if swaps is not None:
            swaps = swaps.between(self.ts_T[start], self.known_at_T[stop - 1]) if start < stop else swaps.slice(0, 0)
        arrays = {name: getattr(self, name) for name in (*TIMES, *BARS, *EVENTS)}
        cut = {name: array[start:stop] for name, array in arrays.items() if array is not None}
        return replace(self, **cut, finer=finer, swaps=swaps)

    @cached_property
    def signal_factor_TN(self) -> Float | None:
        """What the traded prices are multiplied with to be free of jumps that are no gain or loss; None: nothing.

        The product of ``ratio`` over a bar's and all earlier events: a split has its new shares per old one, a dividend
        ``1 / (1 - cash / last close)``, a roll ``from / to``. So the first bar keeps its price, the factor of a bar
        depends on no later bar, and returns are those of a holder who reinvests.

        Raises:
            DataError: A dividend is not below the last close.
        """
        if self.split_TN is None and self.dividend_TN is None and self.roll_from_TN is None:
            return None
        ratio_TN = np.ones(self.close_TN.shape)
        if self.split_TN is not None:
            ratio_TN *= self.split_TN
        if self.dividend_TN is not None:
            share_TN = np.where(self.dividend_TN > 0, self.dividend_TN / self._last_close_TN(), 0.0)
            if (share_TN >= 1).any():
                t, n = np.argwhere(share_TN >= 1)[0]
                raise DataError(
                    f"{self.symbols[n]}: the dividend {self.dividend_TN[t, n]} before the bar at {self.ts_T[t]} is not "
                    f"below the last close; correct the actions of '{self.dataset}'"
                )
            ratio_TN /= 1.0 - share_TN
        if self.roll_from_TN is not None and self.roll_to_TN is not None:
            ratio_TN *= np.where(np.isnan(self.roll_from_TN), 1.0, self.roll_from_TN / self.roll_to_TN)
        return np.asarray(np.cumprod(ratio_TN, axis=0), dtype=np.float64)

    def _last_close_TN(self) -> npt.NDArray[np.float64]:
        """Return the last close before each bar; infinite before the first, where no dividend can be told from it."""
        row_TN = np.where(self.tradable_TN, np.arange(self.num_bars)[:, None], -1)
        last_TN = np.maximum.accumulate(row_TN, axis=0)
        last_TN = np.concatenate([np.full((1, last_TN.shape[1]), -1), last_TN[:-1]])
        return np.where(last_TN < 0, np.inf, np.take_along_axis(self.close_TN, np.maximum(last_TN, 0), axis=0))

    def for_signals(self) -> "Panel":
        """Return the bars that features and rules should read: prices times ``signal_factor_TN``; itself if they agree.

        Volumes are divided by the product of the splits. Prices that a strategy orders at are those of this panel.
        """
        return self._signals

    @cached_property
    def _signals(self) -> "Panel":
        factor_TN = self.signal_factor_TN
        if factor_TN is None:
            return self
        volume_TN = self.volume_TN
        if self.split_TN is not None:
            volume_TN = volume_TN / np.cumprod(self.split_TN, axis=0)
        changed: dict[str, Any] = dict.fromkeys(("split_TN", "dividend_TN", "roll_from_TN", "roll_to_TN", "finer"))
        changed |= {name: getattr(self, name) * factor_TN for name in ("open_TN", "high_TN", "low_TN", "close_TN")}
        return replace(self, **changed, volume_TN=volume_TN)


TIMES = ("ts_T", "known_at_T")
BARS = ("open_TN", "high_TN", "low_TN", "close_TN", "volume_TN", "tradable_TN")
EVENTS = ("split_TN", "dividend_TN", "borrow_TN", "funding_TN", "roll_from_TN", "roll_to_TN")
