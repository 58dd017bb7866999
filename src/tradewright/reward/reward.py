"""The ``Reward`` protocol: how a bar's change of equity becomes the number an agent learns from.

Legend: B accounts. A reward sees money only (returns, equity, peak), never the action, so every reward composes with
every environment and algorithm. Rewards are float64; a non-finite one raises, none is clamped.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from tradewright.errors import MarketError

RewardState = dict[str, Tensor]


@dataclass(frozen=True)
class BarChange:
    """What one bar did to the accounts; all float64 ``[B]``.

    Args:
        before_B: Equity at the previous close, > 0.
        after_B: Equity at this close; <= 0 only where ``ended_B``.
        peak_B: Highest equity of the episode, this close included.
        ended_B: True where the account went bankrupt in this bar (bool).
    """

    before_B: Tensor
    after_B: Tensor
    peak_B: Tensor
    ended_B: Tensor

    @property
    def return_B(self) -> Tensor:
        """Simple return of the bar."""
        return self.after_B / self.before_B - 1.0


class Rewarded(NamedTuple):
    """What a reward returns for one bar.

    Args:
        reward_B: The reward, float64.
        state: The next state.
        terms: The parts that add up to the reward where the account did not end, by name, for logging; {} where there
            is only one.
    """

    reward_B: Tensor
    state: RewardState
    terms: dict[str, Tensor]


class Reward(Protocol):
    """Config node of group ``reward``."""

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return the state at the start of an episode, every tensor ``[B]``."""
        ...

    def __call__(self, state: RewardState, change: BarChange) -> Rewarded:
        """Return the reward of the bar."""
        ...


def check_terms(*, scale: float, bankrupt_reward: float) -> None:
    """Check the two keys that every reward has.

    Raises:
        ValueError: ``scale`` is not positive, or ``bankrupt_reward`` is positive.
    """
    if not scale > 0:
        raise ValueError(f"scale must be > 0, was {scale}")
    if not bankrupt_reward <= 0:
        raise ValueError(f"bankrupt_reward must be <= 0, was {bankrupt_reward}")


def require_finite(reward: Tensor, name: str) -> None:
    """Raise if any reward is NaN or infinite.

    Raises:
        MarketError: Names the reward and counts the bad values.
    """
    if not bool(torch.isfinite(reward).all()):
        bad = int((~torch.isfinite(reward)).sum())
        raise MarketError(f"reward={name}: {bad} of {reward.numel()} rewards are not finite numbers")
