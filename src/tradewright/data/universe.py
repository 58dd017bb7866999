"""``data=universe``: N synthetic stocks that move with a market, eleven sectors and themselves.

Return = beta * market + gamma * sector + own, each standardised shock scaled by its volatility; the market's
volatility follows regimes and GARCH, so correlations rise when markets storm. Stocks come in blocks of a fixed width,
each with its own stream, so a stock's bars do not depend on how many stocks there are.

Legend: T bars, N instruments, S sectors.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tradewright.data import generator as g
from tradewright.data.synthetic_source import SyntheticSource

Float = npt.NDArray[np.float64]

NUM_SECTORS = 11
BLOCK = 64
MARKET_VOLATILITY, SECTOR_VOLATILITY, OWN_VOLATILITY = 0.16, 0.10, 0.28
"""Annual standard deviations; together a typical large stock of 30 to 40 % a year, a third of it shared."""
LEAST_BARS = 2


@dataclass(frozen=True, kw_only=True)
class Universe(SyntheticSource):
    """Stocks S0001, S0002, …

    Args:
        late_listings: Fraction of stocks in [0, 1] that list after the first bar (their bars begin later).
    """

    kind: ClassVar[str] = "universe"
    num_bars: int = 2_500
    num_symbols: int = 50
    late_listings: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.late_listings <= 1:
            raise ValueError(f"late_listings must be in [0, 1], was {self.late_listings}")

    def _parameters(self) -> dict[str, Any]:
        return {**super()._parameters(), "late_listings": self.late_listings}

    def _generate(self, clock: g.Clock) -> tuple[tuple[str, ...], tuple[Float, ...]]:
        num_blocks = -(-self.num_symbols // BLOCK)
        shared, *streams = np.random.SeedSequence(self.seed).spawn(1 + num_blocks)
        rng = np.random.Generator(np.random.PCG64(shared))
        num_bars = len(clock.ts_T)
        market_T = rng.standard_normal(num_bars)
        level_T = g.regimes(num_bars, rng) * g.garch(market_T)
        sectors_TS = rng.standard_normal((num_bars, NUM_SECTORS))
        blocks = [
            self._block(clock, np.random.Generator(np.random.PCG64(stream)), market_T, level_T, sectors_TS)
            for stream in streams
        ]
        bars = tuple(np.concatenate(column, axis=1)[:, : self.num_symbols] for column in zip(*blocks, strict=True))
        return tuple(f"S{number:04d}" for number in range(1, self.num_symbols + 1)), bars

    def _block(
        self, clock: g.Clock, rng: np.random.Generator, market_T: Float, level_T: Float, sectors_TS: Float
    ) -> tuple[Float, ...]:
        """Return the bars of ``BLOCK`` stocks."""
        num_bars = len(market_T)
        shape = (num_bars, BLOCK)
        per_bar = 1 / np.sqrt(clock.bars_per_year)
        beta_N = MARKET_VOLATILITY * np.exp(rng.normal(0.0, 0.3, BLOCK))
        gamma_N = SECTOR_VOLATILITY * np.exp(rng.normal(0.0, 0.3, BLOCK))
        own_N = OWN_VOLATILITY * np.exp(rng.normal(0.0, 0.3, BLOCK))
        sector_TN = sectors_TS[:, rng.integers(0, NUM_SECTORS, BLOCK)]
        sigma_TN = per_bar * np.sqrt(beta_N**2 * level_T[:, None] ** 2 + gamma_N**2 + own_N**2)
        own_TN = rng.standard_normal(shape)
        total_TN = per_bar * (beta_N * (level_T * market_T)[:, None] + gamma_N * sector_TN + own_N * own_TN)
        share_T = g.gap_share(clock)[:, None]
        move_sigma_TN = sigma_TN * np.sqrt(1 - share_T)
        bridge_TN = np.sqrt(share_T * (1 - share_T)) * sigma_TN * rng.standard_normal(shape)
        # Gap and move add up to the total; given the total, the bridge noise makes them independent of each other.
        gap_TN = share_T * total_TN + bridge_TN
        move_TN = (1 - share_T) * total_TN - bridge_TN + self.drift / clock.bars_per_year - sigma_TN**2 / 2
        gap_TN = gap_TN + sigma_TN * g.jumps(shape, rng)
        start_price = np.exp(rng.normal(np.log(50.0), 0.6, BLOCK))
        bars = g.prices(gap_TN, move_TN, move_sigma_TN, start_price, rng)
        volume_TN = g.volumes(total_TN / sigma_TN, sigma_TN / sigma_TN.mean(axis=0), rng)
        latest = max(num_bars - LEAST_BARS, 1)
        first_N = np.where(rng.random(BLOCK) < self.late_listings, rng.integers(0, latest, BLOCK), 0)
        is_listed_TN = np.arange(num_bars)[:, None] >= first_N
        return tuple(np.where(is_listed_TN, column, np.nan) for column in (*bars, volume_TN))
