"""``env=pendulum``: Gymnasium's Pendulum-v1 for B pendulums at once.

A pendulum is swung up by a weak motor; a step costs angle² + 0.1 speed² + 0.001 torque², the angle measured from
upright in (-π, π]. Episodes never end by themselves.
Source: constants and integration of Gymnasium's Pendulum-v1.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor

from tradewright.env.classic import ClassicEnv, uniform

GRAVITY = 10.0
MASS = 1.0
LENGTH = 1.0
STEP_S = 0.05
MAX_SPEED = 8.0
MAX_TORQUE = 2.0
START = (math.pi, 1.0)


class Pendulum(ClassicEnv):
    """One action component: the torque as a fraction of ``MAX_TORQUE``; beyond [-1, 1] the motor gives its most.

    State: angle and speed; observed as its cosine and sine, and the speed.

    Args:
        max_steps: Steps after which an episode is cut off, >= 1.
    """

    action_kind: ClassVar[str] = "continuous"
    gym_id: ClassVar[str] = "Pendulum-v1"

    def __init__(self, *, max_steps: int = 200) -> None:
        super().__init__(max_steps=max_steps)

    @property
    def num_actions(self) -> int:
        """One component."""
        return 1

    @property
    def state_size(self) -> int:
        """Three."""
        return 3

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Return any angle at a low speed."""
        return uniform(num, START, generator)

    def advance(self, state_BP: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn every motor for one step; see ``ClassicEnv.advance``."""
        angle_B, speed_B = state_BP.unbind(-1)
        torque_B = torch.clamp(MAX_TORQUE * action[:, 0].to(torch.float64), -MAX_TORQUE, MAX_TORQUE)
        from_top_B = torch.remainder(angle_B + math.pi, 2 * math.pi) - math.pi
        cost_B = torch.square(from_top_B) + 0.1 * torch.square(speed_B) + 0.001 * torch.square(torque_B)
        pull_B = 3 * GRAVITY / (2 * LENGTH) * torch.sin(angle_B) + 3.0 / (MASS * LENGTH**2) * torque_B
        next_speed_B = torch.clamp(speed_B + pull_B * STEP_S, -MAX_SPEED, MAX_SPEED)
        next_BP = torch.stack((angle_B + next_speed_B * STEP_S, next_speed_B), dim=-1)
        return next_BP, -cost_B, torch.zeros_like(angle_B, dtype=torch.bool)

    def show(self, state_BP: Tensor) -> Tensor:
        """Return cosine and sine of the angle, and the speed."""
        angle_B, speed_B = state_BP.unbind(-1)
        return torch.stack((torch.cos(angle_B), torch.sin(angle_B), speed_B), dim=-1).to(torch.float32)
