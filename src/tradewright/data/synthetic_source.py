"""``SyntheticSource``: what the options whose bars are generated have in common: names, fingerprints, the label."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tradewright.data.generator import Clock, trading_clock
from tradewright.data.source import Progress, Source, digest
from tradewright.data.staging import Staging
from tradewright.data.timeframe import parse_timeframe
from tradewright.market.instrument import CALENDAR_PERIODS, Instrument

Float = npt.NDArray[np.float64]

GENERATOR_VERSION = 1
"""Raise when the numbers of a seed change; data sets of another version are generated anew."""


@dataclass(frozen=True, kw_only=True)
class SyntheticSource(Source):
    """Generated bars. The name in the store always carries a hash of the parameters, so two sets never collide.

    ``timeframe`` is the length of the generated bars. ``path``, ``timezone`` and ``sort`` have no effect.

    Args:
        num_bars: Bars per symbol, >= 2.
        num_symbols: Symbols, >= 1.
        seed: Seed of PCG64, >= 0.
        drift: Expected growth per year, a fraction.
    """

    note: ClassVar[str] = "Synthetic bars from a seeded generator: no result on them says anything about a real market."

    timeframe: str | None = "1d"
    num_bars: int = 5_000
    num_symbols: int = 1
    seed: int = 0
    drift: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("num_bars", 2), ("num_symbols", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be >= {least}, was {getattr(self, name)}")
        self._clock()

    @abstractmethod
    def _generate(self, clock: Clock) -> tuple[tuple[str, ...], tuple[Float, ...]]:
        """Return symbols and open, high, low, close, volume, each ``[T, N]``; NaN where a bar does not exist."""

    @property
    def name(self) -> str:
        """Name in the store: the given name (or the kind) and a hash of the parameters."""
        return f"{self.dataset or self.kind}-{digest([self.kind, self._parameters()])[:8]}"

    def _parameters(self) -> dict[str, Any]:
        return {
            "version": GENERATOR_VERSION,
            "timeframe_s": self._length_s(),
            "calendar": self.calendar or "equity",
            "num_bars": self.num_bars,
            "num_symbols": self.num_symbols,
            "seed": self.seed,
            "drift": self.drift,
        }

    def _state(self) -> list[Any]:
        return []

    def _content(self) -> list[Any]:
        return []

    def _length_s(self) -> int:
        return parse_timeframe(self.timeframe or "1d")

    def _clock(self) -> Clock:
        calendar = self.calendar or "equity"
        return trading_clock(self.num_bars, self._length_s(), calendar, CALENDAR_PERIODS[calendar])

    def _stage(self, staging: Staging, progress: Progress) -> None:
        progress(0, 1, self.name)
        clock = self._clock()
        symbols, bars = self._generate(clock)
        staging.timeframe_s = self._length_s()
        staging.is_synthetic = True
        staging.note = self.note
        for symbol in symbols:
            staging.instruments[symbol] = Instrument(
                symbol=symbol, kind="synthetic", calendar=self.calendar or "equity"
            )
        staging.add_arrays(self.name, symbols_N=symbols, ts_T=clock.ts_T, bars_5TN=bars)
        progress(1, 1, "")
