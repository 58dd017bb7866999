"""``Priorities``: which transitions are replayed how often.

P(i) = p_i^α / Σ p^α with p_i = |δ_i| + ε, δ the temporal-difference error; new transitions get the largest priority so
far. What is drawn too often is weighted down by w_i = (N P(i))^-β, divided by the largest weight of the batch.
TorchRL's sampler needs a compiled tree that does not load beside every torch; sums of blocks do the same in tensors.
Source: Schaul et al., "Prioritized experience replay", arXiv 1511.05952.
Legend: C capacity, K blocks, S slots of a block, M drawn.
"""

from typing import Any

import torch
from torch import Tensor

EPSILON = 1e-6
"""Keeps transitions without an error in play."""
BLOCK = 512
"""S: a draw searches the block sums, then one block; both are short."""


class Priorities:
    """Priorities of the slots of a replay.

    Args:
        capacity: C.
        alpha: How much priorities matter, in [0, 1]; 0 draws uniformly.
        device: Where priorities are kept.

    Raises:
        ValueError: ``alpha`` is out of range.
    """

    def __init__(self, *, capacity: int, alpha: float, device: torch.device | str = "cpu") -> None:
        if not 0 <= alpha <= 1:
            raise ValueError(f"priority_alpha must be in [0, 1], was {alpha}")
        self.capacity, self.alpha = capacity, alpha
        num_blocks = -(-capacity // BLOCK)
        self.p_KS = torch.zeros(num_blocks, BLOCK, dtype=torch.float64, device=device)
        """Priorities with the exponent; zero where nothing was added."""
        self.sum_K = torch.zeros(num_blocks, dtype=torch.float64, device=device)
        self.largest = torch.ones((), dtype=torch.float64, device=device)
        """Largest p so far, before the exponent."""

    def add(self, slots_M: Tensor) -> None:
        """Give new transitions the largest priority so far."""
        self._set(slots_M, self.largest.pow(self.alpha).expand(len(slots_M)))

    def update(self, slots_M: Tensor, error_M: Tensor) -> None:
        """Set the priorities of replayed transitions from their errors; their signs do not matter."""
        p_M = error_M.detach().abs().to(torch.float64) + EPSILON
        self.largest = torch.maximum(self.largest, p_M.max())
        self._set(slots_M, p_M.pow(self.alpha))

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Return ``num`` slots, int64: one from each of ``num`` equal parts of the total, as in the source."""
        device = self.p_KS.device
        unit_M = torch.rand(num, dtype=torch.float64, generator=generator, device=device)
        part_M = (torch.arange(num, device=device) + unit_M) / num
        upto_K = self.sum_K.cumsum(0)
        mass_M = part_M * upto_K[-1]
        # A mass at the very end may be rounded to the total: it belongs to the last block and slot that have any.
        block_M = torch.minimum(torch.searchsorted(upto_K, mass_M, right=True), _last_positive(self.sum_K))
        upto_MS = self.p_KS[block_M].cumsum(1)
        rest_M = mass_M - (upto_K - self.sum_K)[block_M]
        slot_M = torch.searchsorted(upto_MS, rest_M[:, None], right=True)[:, 0]
        return block_M * BLOCK + torch.minimum(slot_M, _last_positive(self.p_KS[block_M]))

    def weights(self, slots_M: Tensor, size: int, beta: float) -> Tensor:
        """Return the importance weights of drawn slots, float32, the largest 1.

        Args:
            slots_M: Drawn slots.
            size: N, transitions kept.
            beta: How much of the bias is corrected, in [0, 1].
        """
        probability_M = self.p_KS.view(-1)[slots_M] / self.sum_K.sum()
        weight_M = (size * probability_M).pow(-beta)
        return (weight_M / weight_M.max()).to(torch.float32)

    def state_dict(self) -> dict[str, Any]:
        """Return the priorities; block sums follow from them."""
        return {"p": self.p_KS.view(-1)[: self.capacity].clone(), "largest": self.largest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state of the same capacity."""
        self.p_KS.view(-1)[: self.capacity] = state["p"].to(self.p_KS.device)
        self.sum_K = self.p_KS.sum(1)
        self.largest = state["largest"].to(self.p_KS.device)

    def _set(self, slots_M: Tensor, p_M: Tensor) -> None:
        """Write priorities and add up the blocks anew, so that no rounding gathers."""
        self.p_KS.view(-1)[slots_M] = p_M
        block_M = slots_M // BLOCK
        self.sum_K[block_M] = self.p_KS[block_M].sum(1)


def _last_positive(p: Tensor) -> Tensor:
    """Return the index of the last positive number along the last dimension."""
    size = p.shape[-1]
    return size - 1 - (p > 0).flip(-1).to(torch.uint8).argmax(-1)
