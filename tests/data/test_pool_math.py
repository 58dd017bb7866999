"""Prices of pools from their integers: published figures, exact fractions, both orders of tokens, exact swaps."""

from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swap_cases import USDC_WETH, generated
from tradewright.data.pool_math import MAX_SQRT_PRICE, MIN_SQRT_PRICE, Pair, swap_in, tick_of

PUBLISHED = 2_018_382_873_588_440_326_581_633_304_624_437
"""sqrtPriceX96 of the USDC/WETH pool in Uniswap's primer on v3 math (2023), which finds 1540.82 USDC per WETH."""


@pytest.mark.row("R12")
def test_price_of_the_published_pool() -> None:
    assert USDC_WETH.price(PUBLISHED) == pytest.approx(1540.82, abs=5e-3)
    inverse = Pair(token0_decimals=6, token1_decimals=18, base="token0").price(PUBLISHED)
    assert inverse == pytest.approx(0.000649004842701370, rel=1e-15)


@pytest.mark.row("R12")
@given(
    st.integers(MIN_SQRT_PRICE, MAX_SQRT_PRICE - 1),
    st.integers(0, 24),
    st.integers(0, 24),
    st.sampled_from(["token0", "token1"]),
)
@settings(max_examples=150, deadline=None)
def test_price_is_the_nearest_float_of_the_exact_fraction(sqrt_price: int, d0: int, d1: int, base: str) -> None:
    exact = Fraction(sqrt_price, 1 << 96) ** 2 * Fraction(10) ** (d0 - d1)
    exact = exact if base == "token0" else 1 / exact
    found = Pair(token0_decimals=d0, token1_decimals=d1, base=base).price(sqrt_price)
    assert abs(Fraction(found) - exact) <= abs(exact) * Fraction(1, 1 << 53)


@pytest.mark.row("R12")
def test_integers_above_two_to_the_53_keep_every_digit() -> None:
    """Two roots that one float cannot tell apart have the prices that their difference asks for."""
    root = (1 << 140) + 1
    assert float(root) == float(root + 2**60)
    pair = Pair(token0_decimals=18, token1_decimals=18, base="token0")
    assert pair.price(root) < pair.price(root + 2**90)
    getcontext().prec = 80
    exact = (Decimal(root) / Decimal(2) ** 96) ** 2
    assert pair.price(root) == pytest.approx(float(exact), rel=1e-15)


def test_liquidity_and_amounts_are_whole_tokens() -> None:
    assert USDC_WETH.liquidity(5 * 10**18) == 5e6
    assert Pair(token0_decimals=6, token1_decimals=17, base="token1").liquidity(10**12) == pytest.approx(10**0.5)
    assert USDC_WETH.bought(3_000_000_000, -(10**18)) == 1.0  # paid 3,000 USDC, took a WETH
    assert USDC_WETH.bought(-3_000_000_000, 10**18) == -1.0
    assert Pair(token0_decimals=6, token1_decimals=18, base="token0").bought(-(10**6), 1) == 1.0


@pytest.mark.parametrize("tick", [-887_000, -12, 0, 1, 200_000, 887_000])
def test_tick_of_a_price_is_the_power_of_its_base(tick: int) -> None:
    getcontext().prec = 80
    root = int((Decimal("1.0001") ** tick).sqrt() * Decimal(2) ** 96 * Decimal("1.00002"))  # inside the tick
    assert tick_of(root) == tick


@pytest.mark.parametrize("is_token0", [True, False])
def test_swap_keeps_the_product_of_the_reserves(is_token0: bool) -> None:
    """x = L / sqrt(p), y = L sqrt(p): after a swap without fee the reserves have changed by what was paid and got."""
    liquidity, before = 10**19, PUBLISHED
    amount = 10**13 if is_token0 else 10**21
    after, out = swap_in(before, liquidity, amount, is_token0=is_token0, fee=0)
    x, y = (
        [Fraction(liquidity << 96, root) for root in (before, after)],
        [Fraction(liquidity * root, 1 << 96) for root in (before, after)],
    )
    paid, got = (x[1] - x[0], y[0] - y[1]) if is_token0 else (y[1] - y[0], x[0] - x[1])
    assert float(paid) == pytest.approx(amount, rel=1e-9)
    assert float(got) == pytest.approx(out, rel=1e-9)
    with_fee, less = swap_in(before, liquidity, amount, is_token0=is_token0, fee=500)
    assert less < out
    assert abs(with_fee - before) < abs(after - before)


@pytest.mark.parametrize("base", ["token0", "token1"])
def test_generated_pools_mean_the_same_in_either_order_of_tokens(base: str) -> None:
    d0, d1 = (18, 6) if base == "token0" else (6, 18)
    pair = Pair(token0_decimals=d0, token1_decimals=d1, base=base)
    swaps = generated(300, pair=pair)
    prices = np.array([pair.price(one.sqrt_price) for one in swaps])
    assert prices[0] == pytest.approx(2_000.0, rel=0.01)
    moved = np.sign(np.diff(prices))
    bought = np.sign([pair.bought(one.amount0, one.amount1) for one in swaps])[1:]
    assert (moved * bought >= 0).all()  # who buys raises the price


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"token0_decimals": -1}, "token0_decimals must be in 0..36"),
        ({"base": "weth"}, "base must be token0 or token1"),
    ],
)
def test_impossible_pairs_are_refused(keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Pair(**{"token0_decimals": 6, "token1_decimals": 18, "base": "token1", **keys})
