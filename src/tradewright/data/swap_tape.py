"""``SwapTape``: the swaps of one pool behind the bars of a panel, transaction by transaction.

Bars say what a pool's price did; the tape says by whom: the size and side of every swap, the liquidity it met, and how
far apart swaps came. It travels with a panel like finer bars do and is cut with it, so that whatever is computed from a
cut panel has seen no later swap.
Legend: K swaps, T bars.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SwapTape:
    """Swaps in the order in which the chain executed them.

    Args:
        ts_K: ``datetime64[us]``, time of the swap's block, naive UTC; never falls.
        block_K: Number of the block.
        price_K: Price after the swap: units of the quote token per unit of the base token.
        amount_K: Base tokens that the trader bought (> 0) or sold (< 0).
        liquidity_K: Liquidity in force after the swap, ``sqrt(base x quote)`` in whole tokens: the pool then holds
            ``liquidity / sqrt(price)`` base tokens within the present tick range.
        fee_bps: Fee of the pool, basis points of what is paid in.
    """

    ts_K: npt.NDArray[np.datetime64]
    block_K: Int
    price_K: Float
    amount_K: Float
    liquidity_K: Float
    fee_bps: float

    @property
    def num_swaps(self) -> int:
        """K."""
        return len(self.ts_K)

    @property
    def volume_K(self) -> Float:
        """Base tokens traded, >= 0."""
        return np.abs(self.amount_K)

    @property
    def reserve_K(self) -> Float:
        """Base tokens that the pool holds within the present tick range after each swap."""
        return np.asarray(self.liquidity_K / np.sqrt(self.price_K), dtype=np.float64)

    def slice(self, start: int, stop: int) -> "SwapTape":
        """Return swaps ``start <= k < stop`` as views."""
        return replace(self, **{name: getattr(self, name)[start:stop] for name in COLUMNS})

    def between(self, first: np.datetime64, last: np.datetime64) -> "SwapTape":
        """Return the swaps with ``first <= ts < last`` as views."""
        start, stop = np.searchsorted(self.ts_K, np.array([first, last], dtype="datetime64[us]"), side="left")
        return self.slice(int(start), int(stop))

    def last_of_bars(self, known_at_T: npt.NDArray[np.datetime64]) -> Int:
        """Return the last swap before each of the given times, -1 where there is none yet."""
        return np.searchsorted(self.ts_K, known_at_T, side="left").astype(np.int64) - 1

    @property
    def fingerprint(self) -> str:
        """Hex digest of the swaps."""
        digest = hashlib.blake2b(repr(self.fee_bps).encode(), digest_size=16)
        for name in COLUMNS:
            digest.update(np.ascontiguousarray(getattr(self, name)).view(np.uint8).data)
        return digest.hexdigest()


COLUMNS = ("ts_K", "block_K", "price_K", "amount_K", "liquidity_K")
