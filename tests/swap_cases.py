"""Small pools for tests: tapes and panels whose numbers are given, and files of events in the chain's integers.

Legend: K swaps.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tradewright.data.panel import Panel
from tradewright.data.pool_math import Pair
from tradewright.data.swap_generator import PoolModel, generate_swaps
from tradewright.data.swap_rows import Swap
from tradewright.data.swap_tape import SwapTape
from tradewright.data.swaps import block_bars
from tradewright.market.instrument import Instrument

HEADER = "block_number,block_timestamp,transaction_hash,log_index,amount0,amount1,sqrt_price_x96,liquidity,tick"
USDC_WETH = Pair(token0_decimals=6, token1_decimals=18, base="token1")
BLOCK = np.timedelta64(12, "s")
START = np.datetime64("2023-01-02T00:00:11", "us")


def make_tape(
    prices: Sequence[float],
    amounts: Sequence[float] | None = None,
    *,
    liquidity: float = 4e6,
    blocks: Sequence[int] | None = None,
) -> SwapTape:
    """Return swaps at given prices, one per block unless ``blocks`` says in which."""
    num = len(prices)
    block_K = np.arange(num) if blocks is None else np.asarray(blocks)
    return SwapTape(
        ts_K=START + block_K * BLOCK,
        block_K=block_K.astype(np.int64) + 100,
        price_K=np.asarray(prices, dtype=np.float64),
        amount_K=np.ones(num) if amounts is None else np.asarray(amounts, dtype=np.float64),
        liquidity_K=np.full(num, liquidity),
        fee_bps=5.0,
    )


def panel_of_tape(tape: SwapTape) -> Panel:
    """Return the panel of a tape's blocks."""
    ts_T, bars = block_bars(tape)
    open_TN, high_TN, low_TN, close_TN, volume_TN = (x_T[:, None] for x_T in bars)
    return Panel(
        dataset="test pool",
        instruments=(Instrument(symbol="ETH/USDC", kind="crypto", calendar="crypto"),),
        timeframe_s=12,
        ts_T=ts_T,
        known_at_T=ts_T + BLOCK,
        open_TN=open_TN,
        high_TN=high_TN,
        low_TN=low_TN,
        close_TN=close_TN,
        volume_TN=volume_TN,
        tradable_TN=np.ones(close_TN.shape, dtype=bool),
        fingerprint=tape.fingerprint,
        is_synthetic=True,
        swaps=tape,
    )


def random_tape(num_swaps: int = 600, seed: int = 0) -> SwapTape:
    """Return a random walk of swaps, one or several per block, with gaps and changing liquidity."""
    rng = np.random.default_rng(seed)
    block_K = np.cumsum(rng.choice([0, 1, 1, 2, 5], num_swaps))
    price_K = 2_000.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, num_swaps)))
    amounts = rng.choice([-1.0, 1.0], num_swaps) * rng.lognormal(1.0, 1.2, num_swaps)
    tape = make_tape(price_K, amounts, blocks=block_K)
    object.__setattr__(tape, "liquidity_K", 4e6 * np.exp(rng.normal(0.0, 0.2, num_swaps)))
    return tape


def random_swap_panel(num_swaps: int = 600, seed: int = 0) -> Panel:
    """Return the panel of a random tape."""
    return panel_of_tape(random_tape(num_swaps, seed))


def model_of(pair: Pair = USDC_WETH) -> PoolModel:
    """Return the default artificial pool."""
    return PoolModel(pair=pair, block_s=12, fee_bps=5.0, start_price=2_000.0, volatility=0.9, liquidity=4e6, noise=1.0)


def generated(num_swaps: int = 300, seed: int = 0, pair: Pair = USDC_WETH) -> list[Swap]:
    """Return swaps of the default artificial pool."""
    return generate_swaps(model_of(pair), num_swaps, seed)


def event_rows(swaps: Sequence[Swap]) -> list[str]:
    """Return the rows of a file of events."""
    from tradewright.data.pool_math import tick_of

    epoch = np.datetime64("1970-01-01", "s")
    return [
        f"{one.block},{int((np.datetime64(one.ts, 's') - epoch).astype(int))},{one.transaction},{one.log_index},"
        f"{one.amount0},{one.amount1},{one.sqrt_price},{one.liquidity},{tick_of(one.sqrt_price)}"
        for one in swaps
    ]


def write_events(path: Path, rows: Sequence[str], header: str = HEADER) -> Path:
    """Write a CSV file of events."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path
