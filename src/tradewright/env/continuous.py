"""``env=continuous``: the action is the target weight itself, from ``lowest_weight`` to ``highest_weight``.

With ``entry_signal`` a second component says how strongly the agent wants to enter; without enough of it exposure is
never added, only reduced. Legend: B accounts, A action components.
"""

from typing import ClassVar

import torch
from torch import Tensor

from tradewright.env.trading import TradingEnv
from tradewright.env.view import AccountView


class Continuous(TradingEnv):
    """Component 0, a in [-1, 1], maps linearly to [``lowest_weight``, ``highest_weight``]; component 1 is the signal.

    A policy with unbounded support may propose |a| > 1; the environment squashes by clamping the *action*, which is the
    convention of Stable-Baselines3 and CleanRL. No money is clamped.
    Under ``entry_signal`` a target that opens, adds to or turns a position around is an order only where the signal,
    in [-1, 1] too, lies above ``entry_threshold``; elsewhere it is no order. Reductions and exits always pass.
    """

    action_kind: ClassVar[str] = "continuous"

    @property
    def num_actions(self) -> int:
        """The target weight, and the entry signal where it is asked for."""
        return 2 if self.entry_signal else 1

    def weights(self, action: Tensor, view: AccountView) -> Tensor:
        """Map component 0 of ``[B, A]`` actions to weights ``[B]``."""
        return linear_weight(action[:, 0], self.lowest_weight, self.highest_weight)

    def target_weights(self, action: Tensor, view: AccountView) -> Tensor:
        """Return the targets ``[B]`` that differ enough, those that add exposure only where the signal allows it."""
        weight_B = super().target_weights(action, view)
        if not self.entry_signal:
            return weight_B
        is_refused_B = adds_exposure(weight_B, view.weight_B) & ~(action[:, 1] > self.entry_threshold)
        return torch.where(is_refused_B, torch.nan, weight_B)


def linear_weight(component: Tensor, lowest: float, highest: float) -> Tensor:
    """Map -1 to ``lowest`` and +1 to ``highest``, float64; components beyond count as the nearest of the two."""
    unit = (component.to(torch.float64).clamp(-1.0, 1.0) + 1.0) * 0.5
    return lowest + unit * (highest - lowest)


def adds_exposure(target: Tensor, held: Tensor) -> Tensor:
    """Return where a target weight opens, adds to or turns around a position; False for no order (NaN) and for zero."""
    is_other_side = torch.sign(target) != torch.sign(held)
    return (target != 0) & ~torch.isnan(target) & (is_other_side | (torch.abs(target) > torch.abs(held)))
