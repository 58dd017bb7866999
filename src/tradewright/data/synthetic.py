"""``data=synthetic``: independent seeded price paths with the habits of real ones, and a signal to learn on request.

A bar's log return is a gap (previous close to open) plus a move (open to close), scaled by a regime and a GARCH
volatility; rare jumps fall into the gap. ``signal_strength`` is the autocorrelation of the standardised move: what bar
t does between open and close then predicts bar t+1's, which an agent that decides at the close of t and fills at the
open of t+1 can earn.

Legend: T bars, N instruments.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tradewright.data import generator as g
from tradewright.data.synthetic_source import SyntheticSource

Float = npt.NDArray[np.float64]

START_PRICE = 100.0


@dataclass(frozen=True, kw_only=True)
class Synthetic(SyntheticSource):
    """Independent instruments SYN1, SYN2, …; each one's path depends on the seed and its number only.

    Args:
        volatility: Standard deviation of log returns per year, > 0.
        signal_strength: Autocorrelation of standardised moves in (-1, 1); 0: nothing can be predicted.
    """

    kind: ClassVar[str] = "synthetic"
    volatility: float = 0.2
    signal_strength: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.volatility > 0:
            raise ValueError(f"volatility must be > 0, was {self.volatility}")
        if not -1 < self.signal_strength < 1:
            raise ValueError(f"signal_strength must be in (-1, 1), was {self.signal_strength}")

    def _parameters(self) -> dict[str, Any]:
        own = {"volatility": self.volatility, "signal_strength": self.signal_strength}
        return {**super()._parameters(), **own}

    def _generate(self, clock: g.Clock) -> tuple[tuple[str, ...], tuple[Float, ...]]:
        streams = np.random.SeedSequence(self.seed).spawn(self.num_symbols)
        paths = [self._path(clock, np.random.Generator(np.random.PCG64(stream))) for stream in streams]
        symbols = tuple(f"SYN{number}" for number in range(1, self.num_symbols + 1))
        return symbols, tuple(np.stack(column, axis=1) for column in zip(*paths, strict=True))

    def _path(self, clock: g.Clock, rng: np.random.Generator) -> tuple[Float, ...]:
        """Return open, high, low, close, volume ``[T]`` of one instrument."""
        num_bars = len(clock.ts_T)
        level_T = g.regimes(num_bars, rng)
        shocks_T = g.autoregressive(rng.standard_normal(num_bars), self.signal_strength)
        level_T = level_T * g.garch(shocks_T)
        sigma_T = self.volatility / np.sqrt(clock.bars_per_year) * level_T
        share_T = g.gap_share(clock)
        move_sigma_T = sigma_T * np.sqrt(1 - share_T)
        gap_T = sigma_T * (np.sqrt(share_T) * rng.standard_normal(num_bars) + g.jumps((num_bars,), rng))
        drift_T = self.drift / clock.bars_per_year - sigma_T**2 / 2
        bars = g.prices(gap_T, move_sigma_T * shocks_T + drift_T, move_sigma_T, START_PRICE, rng)
        return (*bars, g.volumes(shocks_T, level_T, rng))
