"""``RewardMeter``: pays a simulator's accounts for each bar and keeps the means of the reward's terms for logging.

Legend: B accounts, N instruments.
"""

from typing import Any

import torch
from torch import Tensor

from tradewright.env.bar_change import BarChanges, Moved
from tradewright.reward.reward import Reward, RewardState, needs_of


class RewardMeter:
    """Runs one reward function.

    Args:
        reward: The reward function; None pays nothing.
        num_accounts: B.
        num_instruments: N.
        device: Where the accounts live.
    """

    def __init__(self, reward: Reward | None, num_accounts: int, num_instruments: int, device: torch.device) -> None:
        self.reward = reward
        self._num, self._device = num_accounts, device
        self._changes = BarChanges(needs_of(reward), num_accounts, num_instruments, device)
        self.state: RewardState = {}
        self._terms: dict[str, Tensor] = {}
        self._num_paid = 0
        self.reset()

    @property
    def has_detail(self) -> bool:
        """Whether the bar step must tell fills."""
        return self._changes.has_detail

    def reset(self) -> None:
        """Begin the episodes of all accounts."""
        self._changes.reset()
        self.state = self.reward.initial(self._num, self._device) if self.reward else {}

    def restart(self, done_B: Tensor) -> None:
        """Begin the episodes of ``done_B`` anew."""
        self._changes.restart(done_B)
        fresh = self.reward.initial(self._num, self._device) if self.reward else {}
        for name, kept in self.state.items():
            self.state[name] = torch.where(done_B.reshape(-1, *(1,) * (kept.ndim - 1)), fresh[name], kept)

    def pay(self, moved: Moved) -> Tensor:
        """Return the reward of one step ``[B]``, float64; 0 without a reward."""
        if self.reward is None:
            return torch.zeros_like(moved.before_B)
        reward_B, self.state, terms = self.reward(self.state, self._changes.add(moved))
        self._num_paid += self._num
        for name, term_B in terms.items():
            self._terms[name] = self._terms.get(name, 0.0) + term_B.sum()
        return reward_B

    def drain_terms(self) -> dict[str, float]:
        """Return the mean of every reward term per step since the last call."""
        means = {name: float(total) / self._num_paid for name, total in self._terms.items()}
        self._terms, self._num_paid = {}, 0
        return means

    def state_dict(self) -> dict[str, Any]:
        """Return what a bit-exact continuation needs."""
        return {"state": dict(self.state), "changes": self._changes.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.state = {name: value.to(self._device) for name, value in state["state"].items()}
        self._changes.load_state_dict(state["changes"])
