"""``data=planted_signal``: constant volatility, no drift, and a signal that every bar shows and the next one follows.

    s_t = persistence · s_{t-1} + noise, unit variance        the signal
    gap_t = SIGNAL_GAP · sigma · s_t                           from the close before to the open: what shows it
    move_t = sigma · (strength · s_{t-1} + sqrt(1 - strength²) · e_t)    from the open to the close: what it is worth

The signal of bar t is known at its close, and an order decided there fills at the open of t+1, right before the move
that it tells. Nothing else in the bars says anything about the future, so the best policy is known: side with the
signal, as far as costs allow. It is a test of learners, as ``data=synthetic_signal`` is, but one whose best Sharpe
ratio can be computed: with these defaults, at five basis points and for one instrument about 5.25 a year where both
sides may be held, 3.5 where only longs may (tests/algorithm/test_planted_signal.py).

Legend: T bars.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tradewright.data import generator as g
from tradewright.data.panel import Panel
from tradewright.data.synthetic import START_PRICE
from tradewright.data.synthetic_source import SyntheticSource

Float = npt.NDArray[np.float64]

SIGNAL_GAP = 0.02
"""Gap of a signal of one, in units of a bar's volatility: two hundredths of a percent at 16 % a year and daily bars,
too little to be worth trading and exact enough to be read."""


@dataclass(frozen=True, kw_only=True)
class PlantedSignal(SyntheticSource):
    """Independent instruments PLANTED1, PLANTED2, …; each one's path depends on the seed and its number only.

    Args:
        volatility: Standard deviation of log returns per year, > 0.
        signal_strength: Correlation of a bar's move with the signal of the bar before, in (-1, 1); 0: a random walk.
        persistence: Autocorrelation of the signal from bar to bar, in (-1, 1); less makes costs matter more.
    """

    kind: ClassVar[str] = "planted_signal"
    drift: float = 0.0
    volatility: float = 0.16
    signal_strength: float = 0.35
    persistence: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.volatility > 0:
            raise ValueError(f"volatility must be > 0, was {self.volatility}")
        for name in ("signal_strength", "persistence"):
            if not -1 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be in (-1, 1), was {getattr(self, name)}")

    def _parameters(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("volatility", "signal_strength", "persistence")}
        return {**super()._parameters(), **own}

    def _generate(self, clock: g.Clock) -> tuple[tuple[str, ...], tuple[Float, ...]]:
        streams = np.random.SeedSequence(self.seed).spawn(self.num_symbols)
        paths = [self._path(clock, np.random.Generator(np.random.PCG64(stream))) for stream in streams]
        symbols = tuple(f"PLANTED{number}" for number in range(1, self.num_symbols + 1))
        return symbols, tuple(np.stack(column, axis=1) for column in zip(*paths, strict=True))

    def _path(self, clock: g.Clock, rng: np.random.Generator) -> tuple[Float, ...]:
        """Return open, high, low, close, volume ``[T]`` of one instrument."""
        num_bars = len(clock.ts_T)
        sigma = self.volatility / np.sqrt(clock.bars_per_year)
        signal_T = g.autoregressive(rng.standard_normal(num_bars + 1), self.persistence)
        own_T = rng.standard_normal(num_bars)
        shock_T = self.signal_strength * signal_T[:-1] + np.sqrt(1 - self.signal_strength**2) * own_T
        drift = self.drift / clock.bars_per_year - sigma**2 / 2
        gap_T = SIGNAL_GAP * sigma * signal_T[1:]
        bars = g.prices(gap_T, sigma * shock_T + drift, np.full(num_bars, sigma), START_PRICE, rng)
        return (*bars, g.volumes(np.zeros(num_bars), np.ones(num_bars), rng))


def read_signal(panel: Panel, volatility: float) -> Float:
    """Return the signal ``[T, N]`` of planted bars, read back from their gaps; NaN at the first bar.

    Args:
        panel: Bars of ``PlantedSignal``.
        volatility: That of the source, per year.
    """
    signal_TN = np.full_like(panel.close_TN, np.nan)
    unit = SIGNAL_GAP * volatility / np.sqrt(panel.periods_per_year)
    signal_TN[1:] = np.log(panel.open_TN[1:] / panel.close_TN[:-1]) / unit
    return signal_TN
