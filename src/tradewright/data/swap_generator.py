"""An artificial pool, swap by swap, in the integers of the chain: who trades, how much, and what it does to the price.

Per block of ``block_s`` seconds: the value of the base token moves (its volatility clusters: GARCH within busy and
quiet spells); noise traders, who often follow the one before, push the pool's price away from it; informed traders push
it back where the difference pays for the fee. So prices overshoot and revert, volume comes with volatility, and the
flow that is informed is the one that lasts. Liquidity is added and withdrawn in steps. Every swap is that of
``pool_math``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from tradewright.data import generator as g
from tradewright.data.pool_math import FEE_UNIT, Q96, Pair, swap_in
from tradewright.data.swap_rows import Swap

START = datetime(2023, 1, 2, 0, 0, 11, tzinfo=UTC).replace(tzinfo=None)
"""A Monday; blocks of Ethereum come at 11 s of a minute and every 12 s after."""
FIRST_BLOCK = 16_308_190
YEAR_S = 365 * 86_400
NOISE_PER_BLOCK = 0.45
"""Noise trades per block in a calm market; with the informed ones about 0.7 swaps, as on the largest pool of 2023."""
MEDIAN_NOISE, NOISE_SPREAD = 8_000.0, 1.3
"""Median size of a noise trade in quote tokens, and the deviation of its logarithm."""
ACTIVITY_MEMORY, ACTIVITY_SPREAD = 0.998, 0.6
"""Autocorrelation from block to block of the logarithm of activity, and its deviation: busy and quiet spells last more
than an hour, and trades are then more, larger, and the value more volatile."""
FOLLOW = 0.65
"""Chance that a noise trader takes the side of the one before."""
INFORMED = 0.7
"""Chance that a difference that pays is traded away in its block."""
LEAST_GAIN = 2e-4
"""Part of the price that informed traders want on top of the fee: their gas."""
LARGEST_SHARE = 0.02
"""Largest part of the reserve that one trade moves: 4 % of price."""
CHANGE_OF_LIQUIDITY, STEP_OF_LIQUIDITY, PULL_OF_LIQUIDITY = 0.02, 0.05, 0.05
"""Chance per block, deviation of the logarithm, and the part of it that goes back to the mean."""
PRICE_BITS = 64


@dataclass(frozen=True, kw_only=True)
class PoolModel:
    """What is simulated.

    Args:
        pair: The tokens.
        block_s: Seconds per block.
        fee_bps: Fee of the pool.
        start_price: Quote tokens per base token at the beginning.
        volatility: Of the value, per year.
        liquidity: Mean of sqrt(base x quote) in whole tokens.
        noise: Factor on the size of noise trades.
    """

    pair: Pair
    block_s: int
    fee_bps: float
    start_price: float
    volatility: float
    liquidity: float
    noise: float

    @property
    def fee(self) -> int:
        """The fee in parts of a million."""
        return round(self.fee_bps * FEE_UNIT / 10_000)


def generate_swaps(model: PoolModel, num_swaps: int, seed: int) -> list[Swap]:
    """Return ``num_swaps`` swaps; a seed fixes every number."""
    rng = np.random.Generator(np.random.PCG64(seed))
    pool = _Pool(model)
    swaps: list[Swap] = []
    for block, (level, value) in enumerate(_values(model, num_swaps, rng)):
        if rng.random() < CHANGE_OF_LIQUIDITY:
            pool.change_liquidity(rng.normal(0.0, STEP_OF_LIQUIDITY))
        trades = [pool.noise(rng, level) for _ in range(rng.poisson(NOISE_PER_BLOCK * level))]
        if rng.random() < INFORMED:
            trades.append(pool.informed(value))
        made = [trade for trade in trades if trade is not None]
        for log_index, (amount0, amount1, sqrt_price) in enumerate(made, start=1):
            ts = START + timedelta(seconds=block * model.block_s)
            swaps.append(
                Swap(
                    "synthetic", len(swaps) + 1, ts, FIRST_BLOCK + block, log_index, amount0, amount1, sqrt_price,
                    pool.liquidity, f"0x{len(swaps) + 1:064x}",
                )
            )  # fmt: skip
            if len(swaps) == num_swaps:
                return swaps
    raise AssertionError("blocks end only with the swaps")


def _values(model: PoolModel, num_swaps: int, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Yield volatility relative to its mean and the value of the base token, block by block without end."""
    sigma, value = model.volatility * math.sqrt(model.block_s / YEAR_S), model.start_price
    while True:
        shocks = rng.standard_normal(2 * num_swaps)
        activity = ACTIVITY_SPREAD * g.autoregressive(rng.standard_normal(len(shocks)), ACTIVITY_MEMORY)
        levels = np.exp(activity - ACTIVITY_SPREAD**2 / 2) * g.garch(shocks)
        for level, shock in zip(levels.tolist(), shocks.tolist(), strict=True):
            value *= math.exp(sigma * level * shock - (sigma * level) ** 2 / 2)
            yield level, value


class _Pool:
    """A pool within one wide tick range; its price and liquidity are the chain's integers."""

    def __init__(self, model: PoolModel) -> None:
        self.model = model
        self.sqrt_price = self._sqrt_price(model.start_price)
        self.log_change = 0.0
        self.liquidity = self._raw_liquidity()
        self.side = 1

    def change_liquidity(self, step: float) -> None:
        """Add or withdraw liquidity."""
        self.log_change += step - PULL_OF_LIQUIDITY * self.log_change
        self.liquidity = self._raw_liquidity()

    def noise(self, rng: np.random.Generator, level: float) -> tuple[int, int, int] | None:
        """Trade for no reason; more so when the market is volatile."""
        if rng.random() > FOLLOW:
            self.side = -self.side
        model, price = self.model, self.model.pair.price(self.sqrt_price)
        money = model.noise * level * MEDIAN_NOISE * math.exp(rng.normal(0.0, NOISE_SPREAD))
        largest = LARGEST_SHARE * model.pair.liquidity(self.liquidity) * math.sqrt(price)
        amount = min(money, largest)
        if self.side < 0:
            amount /= price
        return self._pay(int(amount * 10 ** self._decimals(self.side)), self.side)

    def informed(self, value: float) -> tuple[int, int, int] | None:
        """Trade the price to the edge of the fee around the value, where that pays."""
        fee = self.model.fee / FEE_UNIT
        gap = math.log(value / self.model.pair.price(self.sqrt_price))
        if abs(gap) < fee + LEAST_GAIN:
            return None
        side = 1 if gap > 0 else -1
        after, before = self._sqrt_price(value * math.exp(-side * fee)), self.sqrt_price
        if after < before:
            paid = self.liquidity * Q96 * (before - after) // after // before
        else:
            paid = self.liquidity * (after - before) // Q96
        return self._pay(paid * FEE_UNIT // (FEE_UNIT - self.model.fee), side)

    def _pay(self, amount: int, side: int) -> tuple[int, int, int] | None:
        """Swap a raw amount of the quote token (side 1: buy the base token) or of the base token (-1)."""
        if amount <= 0:
            return None
        is_base_token0 = self.model.pair.base == "token0"
        is_token0 = is_base_token0 == (side < 0)
        fee = self.model.fee
        self.sqrt_price, out = swap_in(self.sqrt_price, self.liquidity, amount, is_token0=is_token0, fee=fee)
        return (amount, -out, self.sqrt_price) if is_token0 else (-out, amount, self.sqrt_price)

    def _decimals(self, side: int) -> int:
        """Decimals of the token that is paid."""
        pair = self.model.pair
        base, both = pair.base_decimals, pair.token0_decimals + pair.token1_decimals
        return both - base if side > 0 else base

    def _raw_liquidity(self) -> int:
        pair = self.model.pair
        unit = math.isqrt(10 ** (pair.token0_decimals + pair.token1_decimals))
        return max(int(self.model.liquidity * math.exp(self.log_change)) * unit, 1)

    def _sqrt_price(self, price: float) -> int:
        pair = self.model.pair
        scaled = int(price * (1 << PRICE_BITS))
        raw0, raw1 = 10**pair.token0_decimals, 10**pair.token1_decimals
        if pair.base == "token0":
            return math.isqrt(((scaled * raw1) << (192 - PRICE_BITS)) // raw0)
        return math.isqrt(((1 << (192 + PRICE_BITS)) * raw1) // (raw0 * scaled))
