"""What is odd about the bars of a panel, per instrument: gaps, stale or flat bars, missing volume, large moves.

Stored bars are valid (``validate``); this finds what is valid and still suspicious, for a person to judge.

Legend: T bars, N instruments.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.timeframe import DAY_S

CLOSED_DAYS = {"equity": 4, "futures": 4, "forex": 3, "crypto": 1}
"""Longest usual step between two daily bars, in days: a weekend and a holiday; weekends; no pause at all."""
QUIET_POOL = np.timedelta64(1, "h")
"""A pool has no bar for a block without a swap; this long without any deserves a look."""
LARGE_MOVE = 0.25
"""Close-to-close change that deserves a look: an event, a missed split or a bad tick."""
STALE_RUN = 5
"""So many opens in a row that equal the previous close are more than chance: such opens were probably not quoted."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A pause longer than the calendar explains: after the bar at ``after`` comes the one at ``before``."""

    symbol: str
    after: np.datetime64
    before: np.datetime64

    @property
    def days(self) -> float:
        """Length in days."""
        return float((self.before - self.after) / np.timedelta64(1, "s")) / DAY_S


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Findings on one instrument.

    Args:
        symbol: The instrument.
        num_bars: Bars that exist.
        first, last: Opens of the first and last bar, naive UTC.
        num_missing: Bars of the panel's clock between first and last that it lacks.
        gaps: Pauses longer than its calendar explains, in time order.
        num_zero_volume: Bars without volume.
        num_stale_opens: Bars whose open equals the previous close.
        longest_stale_run: Longest run of those.
        num_flat: Bars whose high equals their low.
        num_repeated: Bars equal to the previous one in all five numbers.
        num_large_moves: Bars whose close differs from the previous one by more than 25 %.
        largest_move: The largest such change (fraction, signed), and ``largest_move_at`` its bar; 0 for one bar.
    """

    symbol: str
    num_bars: int
    first: np.datetime64
    last: np.datetime64
    num_missing: int
    gaps: tuple[Gap, ...]
    num_zero_volume: int
    num_stale_opens: int
    longest_stale_run: int
    num_flat: int
    num_repeated: int
    num_large_moves: int
    largest_move: float
    largest_move_at: np.datetime64


def inspect_panel(panel: Panel) -> tuple[Quality, ...]:
    """Return the findings on each instrument, in column order."""
    return tuple(_inspect_column(panel, column) for column in range(len(panel.symbols)))


def _inspect_column(panel: Panel, column: int) -> Quality:
    at = np.flatnonzero(panel.tradable_TN[:, column])
    ts_T = panel.ts_T[at]
    bars_5T = np.stack(
        [getattr(panel, f"{name}_TN")[at, column] for name in ("open", "high", "low", "close", "volume")]
    )
    open_T, high_T, low_T, close_T, volume_T = bars_5T
    is_stale = open_T[1:] == close_T[:-1]
    changes = close_T[1:] / close_T[:-1] - 1
    largest = int(np.argmax(np.abs(changes))) if len(changes) else 0
    return Quality(
        symbol=panel.symbols[column],
        num_bars=len(at),
        first=ts_T[0],
        last=ts_T[-1],
        num_missing=int(at[-1] - at[0] + 1 - len(at)),
        gaps=_gaps(panel, column, ts_T),
        num_zero_volume=int((volume_T == 0).sum()),
        num_stale_opens=int(is_stale.sum()),
        longest_stale_run=_longest_run(is_stale),
        num_flat=int((high_T == low_T).sum()),
        num_repeated=int((bars_5T[:, 1:] == bars_5T[:, :-1]).all(axis=0).sum()),
        num_large_moves=int((np.abs(changes) > LARGE_MOVE).sum()),
        largest_move=float(changes[largest]) if len(changes) else 0.0,
        largest_move_at=ts_T[largest + 1] if len(changes) else ts_T[0],
    )


def _gaps(panel: Panel, column: int, ts_T: npt.NDArray[np.datetime64]) -> tuple[Gap, ...]:
    """Within a day every bar is expected; from day to day the calendar's longest usual step is allowed."""
    length = np.timedelta64(panel.timeframe_s, "s")
    closed = np.timedelta64(CLOSED_DAYS[panel.instruments[column].calendar], "D")
    steps = np.diff(ts_T)
    days = ts_T.astype("datetime64[D]")
    is_same_day = days[1:] == days[:-1]
    is_continuous = closed == np.timedelta64(1, "D")
    limit = np.where(is_same_day | is_continuous, length, np.maximum(closed, length))
    if panel.swaps is not None:
        limit = np.maximum(limit, QUIET_POOL)
    found = np.flatnonzero(steps > limit)
    return tuple(Gap(symbol=panel.symbols[column], after=ts_T[i], before=ts_T[i + 1]) for i in found)


def _longest_run(flags: npt.NDArray[np.bool_]) -> int:
    """Return the length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
