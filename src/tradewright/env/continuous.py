"""``env=continuous``: the action is the target weight itself, from ``lowest_weight`` to ``highest_weight``."""

from typing import ClassVar

import torch
from torch import Tensor

from tradewright.env.trading import TradingEnv
from tradewright.env.view import AccountView


class Continuous(TradingEnv):
    """One action component a in [-1, 1], mapped linearly to [``lowest_weight``, ``highest_weight``].

    A policy with unbounded support may propose |a| > 1; the environment squashes by clamping the *action*, which is the
    convention of Stable-Baselines3 and CleanRL. No money is clamped.
    """

    action_kind: ClassVar[str] = "continuous"

    @property
    def num_actions(self) -> int:
        """One component: the target weight."""
        return 1

    def weights(self, action: Tensor, view: AccountView) -> Tensor:
        """Map ``[B, 1]`` actions to weights ``[B]``."""
        unit_B = (action[:, 0].to(torch.float64).clamp(-1.0, 1.0) + 1.0) * 0.5
        return self.lowest_weight + unit_B * (self.highest_weight - self.lowest_weight)
