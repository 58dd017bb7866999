"""``data=swaps``: the swap events of one Uniswap-v3-like pool, as bars of one block each with the swaps behind them.

A bar is a block that has swaps; its open is the price after the first of them. ``data.timeframe`` makes longer bars,
which keep the swaps. Longer bars begin with a block: the blocks of a chain keep a rhythm (on Ethereum every 12 s at 11,
23, 35, 47 and 59 s), and a minute that began elsewhere would cut one in two.
Legend: K swaps, T bars.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from tradewright.data.files import file_states, find_files, hash_files
from tradewright.data.pool_math import Pair
from tradewright.data.source import Progress, Source
from tradewright.data.staging import Staging
from tradewright.data.swap_rows import check_blocks, read_swaps, to_tape
from tradewright.data.swap_tape import SwapTape
from tradewright.data.timeframe import is_bar_length
from tradewright.market.instrument import Instrument

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq")


@dataclass(frozen=True, kw_only=True)
class PoolSource(Source):
    """Keys of every source of swaps.

    Args:
        pool: Name of the pool, the symbol of the panel.
        token0_decimals, token1_decimals: Digits behind the point of one whole token: 6 of USDC, 18 of WETH.
        base: The token that is priced and traded, ``token0`` or ``token1``; the other one is money.
        currency: What the other token is worth: ISO code of the account's currency.
        fee_bps: Fee of the pool, basis points; what the account pays is ``backtest.costs.fee_bps``.
        block_s: Least time between two blocks, seconds: 12 on Ethereum since September 2022, 1 before; must divide a
            day.
    """

    pool: str = "ETH/USDC"
    token0_decimals: int = 6
    token1_decimals: int = 18
    base: Literal["token0", "token1"] = "token1"
    currency: str = "USD"
    fee_bps: float = 5.0
    block_s: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        self.pair()
        if not self.pool.strip():
            raise ValueError(f"pool must be a name, was {self.pool!r}")
        if not 0 <= self.fee_bps < 10_000:
            raise ValueError(f"fee_bps must be in [0, 10000), was {self.fee_bps}")
        for name in ("contract", "rolls"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} must be null, was {getattr(self, name)!r}: a pool is no future")
        if not is_bar_length(self.block_s):
            raise ValueError(f"block_s must be seconds that divide a day, was {self.block_s}")

    def pair(self) -> Pair:
        """Return the tokens."""
        return Pair(token0_decimals=self.token0_decimals, token1_decimals=self.token1_decimals, base=self.base)

    def _parameters(self) -> dict[str, Any]:
        names = ("pool", "token0_decimals", "token1_decimals", "base", "currency", "fee_bps", "block_s", "calendar")
        return {name: getattr(self, name) for name in names}

    def _stage_tape(self, staging: Staging, name: str, tape: SwapTape, kind: str) -> None:
        """Put swaps and the bars of their blocks into ``staging``."""
        staging.timeframe_s = self.block_s
        staging.origin_s = int(tape.ts_K[0].astype("datetime64[s]").astype(np.int64)) % self.block_s
        staging.swaps = tape
        instrument = Instrument(symbol=self.pool, kind=kind, currency=self.currency, calendar=self.calendar or "crypto")
        staging.instruments[self.pool] = instrument
        ts_T, bars_5T = block_bars(tape)
        staging.add_arrays(name, symbols_N=(self.pool,), ts_T=ts_T, bars_5TN=tuple(x_T[:, None] for x_T in bars_5T))


@dataclass(frozen=True, kw_only=True)
class Swaps(PoolSource):
    """Swap events of one pool from CSV or Parquet files; several files continue each other in the order of their names.

    Args:
        time_format: strptime layout of the stamps; None recognises seconds since 1970 and ISO 8601.
    """

    kind: ClassVar[str] = "swaps"
    time_format: str | None = None

    def _parameters(self) -> dict[str, Any]:
        return {**super()._parameters(), "time_format": self.time_format}

    def _state(self) -> list[Any]:
        return file_states(find_files(self.path, SUFFIXES))

    def _content(self) -> list[Any]:
        return hash_files(find_files(self.path, SUFFIXES))

    def _stage(self, staging: Staging, progress: Progress) -> None:
        files = find_files(self.path, SUFFIXES)
        progress(0, len(files), files[0].name)
        swaps = read_swaps(files, sort=self.sort, time_format=self.time_format)
        check_blocks(swaps, self.block_s)
        self._stage_tape(staging, files[0].name, to_tape(swaps, self.pair(), self.fee_bps), "crypto")
        progress(len(files), len(files), "")


def block_bars(tape: SwapTape) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return the times ``[T]`` of the blocks, and open, high, low, close and volume of each, ``[T]``."""
    starts_T = np.flatnonzero(np.append(True, tape.ts_K[1:] != tape.ts_K[:-1]))
    last_T = np.append(starts_T[1:], tape.num_swaps) - 1
    price_K = tape.price_K
    bars = (
        price_K[starts_T],
        np.maximum.reduceat(price_K, starts_T),
        np.minimum.reduceat(price_K, starts_T),
        price_K[last_T],
        np.add.reduceat(tape.volume_K, starts_T),
    )
    return tape.ts_K[starts_T], bars
