"""``data=synthetic_swaps``: the swaps of a seeded artificial pool, through the same integers as those of a real one."""

from dataclasses import dataclass
from typing import Any, ClassVar

from tradewright.data.source import Progress, digest
from tradewright.data.staging import Staging
from tradewright.data.swap_generator import PoolModel, generate_swaps
from tradewright.data.swap_rows import to_tape
from tradewright.data.swaps import PoolSource

VERSION = 1
"""Raise when the numbers of a seed change; data sets of another version are generated anew."""


@dataclass(frozen=True, kw_only=True)
class SyntheticSwaps(PoolSource):
    """Swaps of an artificial pool, see ``swap_generator``. ``path`` and ``sort`` have no effect.

    Args:
        num_swaps: Swaps in all, >= 200.
        seed: Seed of PCG64, >= 0.
        start_price: Quote tokens per base token at the beginning, > 0.
        volatility: Of the value that informed traders follow, per year, > 0.
        liquidity: Mean of sqrt(base x quote) in whole tokens, > 0.
        noise: Factor on the size of noise trades, >= 0.
    """

    kind: ClassVar[str] = "synthetic_swaps"
    note: ClassVar[str] = "Synthetic swaps from a seeded generator: no result on them says anything about a real pool."
    num_swaps: int = 20_000
    seed: int = 0
    start_price: float = 2_000.0
    volatility: float = 0.9
    liquidity: float = 4_000_000.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("num_swaps", 200), ("seed", 0), ("noise", 0)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be >= {least}, was {getattr(self, name)}")
        for name in ("start_price", "volatility", "liquidity"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, was {getattr(self, name)}")

    @property
    def name(self) -> str:
        """Name in the store: the given name (or the kind) and a hash of the parameters."""
        return f"{self.dataset or self.kind}-{digest([self.kind, self._parameters()])[:8]}"

    def _parameters(self) -> dict[str, Any]:
        own = ("num_swaps", "seed", "start_price", "volatility", "liquidity", "noise")
        return {**super()._parameters(), "version": VERSION, **{name: getattr(self, name) for name in own}}

    def _state(self) -> list[Any]:
        return []

    def _content(self) -> list[Any]:
        return []

    def _stage(self, staging: Staging, progress: Progress) -> None:
        progress(0, 1, self.name)
        staging.is_synthetic = True
        staging.note = self.note
        swaps = generate_swaps(self.model(), self.num_swaps, self.seed)
        self._stage_tape(staging, self.name, to_tape(swaps, self.pair(), self.fee_bps), "synthetic")
        progress(1, 1, "")

    def model(self) -> PoolModel:
        """Return what is simulated."""
        return PoolModel(
            pair=self.pair(),
            block_s=self.block_s,
            fee_bps=self.fee_bps,
            start_price=self.start_price,
            volatility=self.volatility,
            liquidity=self.liquidity,
            noise=self.noise,
        )
