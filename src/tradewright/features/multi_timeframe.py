"""``features=multi_timeframe``: one feature set on the panel's bars and on longer ones made of them.

A longer bar shows at the first bar that is known no earlier than it: a 5-minute bar from 9:30 to 9:35 at the bar that
closes at 9:35, never while it forms. Between two closes of a longer bar its features stay.
Legend: T bars, N instruments.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.resample import align, resample
from tradewright.data.timeframe import format_timeframe, parse_timeframe
from tradewright.errors import DataError
from tradewright.features.pipeline import FeatureSet

Float = npt.NDArray[np.float64]


class MultiTimeframe:
    """A feature set on several bar lengths; columns are called ``5m/return_1``.

    Args:
        base: What is computed on each of them; its ``normalise`` has no effect here.
        timeframes: Bar lengths, shortest first. The first is that of the data; each of the others a multiple of it.
        session_start: Time of day (UTC, ``HH:MM``) at which bars of a day or more begin, as ``data.session_start``.
        normalise: ``zscore`` (mean and deviation of the training range) or ``none``.

    Raises:
        ValueError: ``timeframes`` are not increasing multiples of the first, or another argument is malformed.
    """

    def __init__(
        self,
        *,
        base: FeatureSet,
        timeframes: Sequence[str] = ("1m", "5m", "15m"),
        session_start: str = "00:00",
        normalise: str = "zscore",
    ) -> None:
        self._lengths_s = _lengths(timeframes)
        clock = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", session_start)
        if clock is None:
            raise ValueError(f"session_start must be a time of day such as 22:00, was {session_start!r}")
        if normalise not in ("zscore", "none"):
            raise ValueError(f"normalise must be 'zscore' or 'none', was {normalise!r}")
        self._session_start_s = int(clock[1]) * 3600 + int(clock[2]) * 60
        self.base, self.timeframes, self.session_start = base, tuple(timeframes), session_start
        self.normalise = normalise

    @property
    def parameters(self) -> dict[str, Any]:
        """What decides the raw values; part of the cache key."""
        return {
            "base": f"{type(self.base).__module__}.{type(self.base).__qualname__}",
            "parameters": self.base.parameters,
            "timeframes": list(self.timeframes),
            "session_start": self.session_start,
        }

    @property
    def warmup_bars(self) -> int:
        """Bars of the data that an instrument needs before all its features are defined (not counted: the current one).

        With r bars to the longest bar and a warm-up of b of these: r (b + 2) - 2. Up to r - 1 bars come before the
        first whole long bar, b + 1 of these must close, and up to r - 1 bars of the next may have passed unseen. Where
        the market closes inside long bars they hold fewer bars, and features are defined before.
        """
        num_bars = self._lengths_s[-1] // self._lengths_s[0]
        return self.base.warmup_bars if num_bars == 1 else num_bars * (self.base.warmup_bars + 2) - 2

    def compute(self, panel: Panel) -> dict[str, Float]:
        """Return each feature of each bar length as ``[T, N]`` float64, NaN where not enough bars exist yet.

        Raises:
            DataError: The data have another bar length than the first timeframe.
        """
        if panel.timeframe_s != self._lengths_s[0]:
            found = format_timeframe(panel.timeframe_s)
            raise DataError(
                f"features.timeframes: the first must be the bar length of the data, {found}, was {self.timeframes[0]};"
                f" use data of {self.timeframes[0]} bars, or timeframes that begin with {found}"
            )
        own = self.base.compute(panel)
        table = {f"{self.timeframes[0]}/{name}": x_TN for name, x_TN in own.items()}
        for timeframe in self.timeframes[1:]:
            coarse = resample(panel, timeframe, session_start_s=self._session_start_s, require_all=False)
            index_T = align(panel, coarse)
            is_known_T1 = index_T[:, None] >= 0
            longer = self.base.compute(coarse) if coarse.num_bars else {}
            for name in own:
                seen_TN = longer[name][np.maximum(index_T, 0)] if longer else np.nan
                table[f"{timeframe}/{name}"] = np.where(is_known_T1, seen_TN, np.full(panel.close_TN.shape, np.nan))
        return table


def _lengths(timeframes: Sequence[str]) -> tuple[int, ...]:
    """Return the bar lengths in seconds."""
    try:
        lengths_s = tuple(parse_timeframe(timeframe) for timeframe in timeframes)
    except ValueError as error:
        raise ValueError(f"timeframes must be bar lengths such as [1m, 5m, 15m]: {error}") from None
    is_rising = all(short < long for short, long in pairwise(lengths_s))
    if not lengths_s or not is_rising or any(length_s % lengths_s[0] for length_s in lengths_s):
        raise ValueError(
            f"timeframes must rise and be multiples of the first, such as [1m, 5m, 15m], was {list(timeframes)}"
        )
    return lengths_s
