"""What a Uniswap-v3-like pool's integers mean: price, liquidity, amounts, and what a swap does to them, all exact.

A pool stores sqrt(price) as a fixed-point number with 96 fractional bits; the square has up to 320 bits and would lose
everything behind the sixteenth digit in floats, so it is divided as integers and rounded once.
Source: Adams et al., Uniswap v3 Core (2021), sections 6.1 to 6.2.
"""

import math
from dataclasses import dataclass
from typing import Literal

Q96 = 1 << 96
MIN_SQRT_PRICE, MAX_SQRT_PRICE = 4_295_128_739, 1_461_446_703_485_210_103_287_273_052_203_988_822_378_723_970_342
"""Square roots at the ticks -887272 and 887272, the ends of what a pool can store."""
LOG_TICK = math.log(1.0001)
MAX_DECIMALS = 36
FEE_UNIT = 1_000_000
"""Fees are parts of a million in the protocol."""

Base = Literal["token0", "token1"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The two tokens of a pool, in the order of their addresses, and which of them is priced.

    Args:
        token0_decimals, token1_decimals: Digits behind the point of one whole token, 0 to 36: 6 of USDC, 18 of WETH.
        base: The token whose price is given, in units of the other.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    token0_decimals: int
    token1_decimals: int
    base: Base

    def __post_init__(self) -> None:
        for name in ("token0_decimals", "token1_decimals"):
            if not 0 <= getattr(self, name) <= MAX_DECIMALS:
                raise ValueError(f"{name} must be in 0..{MAX_DECIMALS}, was {getattr(self, name)}")
        if self.base not in ("token0", "token1"):
            raise ValueError(f"base must be token0 or token1, was {self.base!r}")

    @property
    def base_decimals(self) -> int:
        """Decimals of the priced token."""
        return self.token1_decimals if self.base == "token1" else self.token0_decimals

    def price(self, sqrt_price_x96: int) -> float:
        """Return whole quote tokens per whole base token, the nearest float.

        price of token0 = (sqrt_price_x96 / 2^96)^2 * 10^decimals0 / 10^decimals1; that of token1 is its inverse.
        """
        above = sqrt_price_x96 * sqrt_price_x96 * 10**self.token0_decimals
        below = (1 << 192) * 10**self.token1_decimals
        return above / below if self.base == "token0" else below / above  # int / int rounds once

    def liquidity(self, liquidity: int) -> float:
        """Return sqrt(base x quote) in whole tokens: the raw number over 10^((decimals0 + decimals1) / 2)."""
        half, is_odd = divmod(self.token0_decimals + self.token1_decimals, 2)
        return liquidity / 10**half / (math.sqrt(10.0) if is_odd else 1.0)

    def bought(self, amount0: int, amount1: int) -> float:
        """Return the whole base tokens that the trader bought (> 0) or sold (< 0); a pool counts what it receives."""
        return -(amount1 if self.base == "token1" else amount0) / 10**self.base_decimals


def tick_of(sqrt_price_x96: int) -> int:
    """Return the tick of a price, floor(log(price) / log(1.0001)); at a tick's edge it may be one off."""
    return math.floor(2.0 * (math.log(sqrt_price_x96) - 96.0 * math.log(2.0)) / LOG_TICK)


def swap_in(sqrt_price_x96: int, liquidity: int, amount_in: int, *, is_token0: bool, fee: int) -> tuple[int, int]:
    """Return sqrt(price) after a swap within one tick range, and how much of the other token the pool pays.

    Args:
        sqrt_price_x96: Before.
        liquidity: Raw liquidity of the range.
        amount_in: Raw amount that the trader pays, > 0.
        is_token0: Whether it is token0; this lowers the price of token0.
        fee: Part of a million that stays outside the curve.
    """
    paid = amount_in * (FEE_UNIT - fee) // FEE_UNIT
    if is_token0:
        scaled = liquidity * Q96
        after = -(-scaled * sqrt_price_x96 // (scaled + paid * sqrt_price_x96))
        return after, liquidity * (sqrt_price_x96 - after) // Q96
    after = sqrt_price_x96 + paid * Q96 // liquidity
    return after, liquidity * Q96 * (after - sqrt_price_x96) // after // sqrt_price_x96
