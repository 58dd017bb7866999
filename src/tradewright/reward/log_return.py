"""``reward=log_return``: the growth of equity over the bar.

r_t = scale · ln(E_t / E_{t-1}); their sum over an episode is scale · ln(final equity / initial equity).
"""

from typing import ClassVar

import torch

from tradewright.reward.reward import BarChange, Rewarded, RewardState, check_terms


class LogReturn:
    """Log return of equity; the fastest reward: it keeps no state and asks nothing of the bar.

    Args:
        scale: Factor on the reward; 100 expresses percent, which suits value networks.
        bankrupt_reward: Reward of the bar in which the account ends (a log return does not exist there), <= 0.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, *, scale: float = 100.0, bankrupt_reward: float = -100.0) -> None:
        check_terms(scale=scale, bankrupt_reward=bankrupt_reward)
        self.scale = scale
        self.bankrupt_reward = bankrupt_reward

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """This reward keeps no state."""
        return {}

    def __call__(self, state: RewardState, change: BarChange) -> Rewarded:
        """Return the scaled log return ``[B]``."""
        if not change.can_end:
            return Rewarded(self.scale * torch.log(change.after_B / change.before_B), state, {})
        ratio_B = torch.where(change.ended_B, 1.0, change.after_B / change.before_B)
        reward_B = torch.where(change.ended_B, self.bankrupt_reward, self.scale * torch.log(ratio_B))
        return Rewarded(reward_B, state, {})
