"""``env=cartpole``: Gymnasium's CartPole-v1 for B carts at once.

A pole stands on a cart that is pushed left or right; every step that it stays up pays 1.
Source: Barto, Sutton and Anderson, "Neuronlike adaptive elements that can solve difficult learning control problems",
1983; constants and Euler integration of Gymnasium's CartPole-v1.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor

from tradewright.env.classic import ClassicEnv, uniform

GRAVITY = 9.8
MASS_POLE = 0.1
MASS_TOTAL = 1.1
HALF_LENGTH = 0.5
POLE_MOMENT = MASS_POLE * HALF_LENGTH
FORCE = 10.0
STEP_S = 0.02
MAX_ANGLE = 12 * 2 * math.pi / 360
MAX_POSITION = 2.4
START = 0.05


class CartPole(ClassicEnv):
    """Actions: 0 pushes left, 1 right. State: position, velocity, angle, angular velocity.

    Args:
        max_steps: Steps after which an episode is cut off, >= 1.
    """

    action_kind: ClassVar[str] = "discrete"
    gym_id: ClassVar[str] = "CartPole-v1"

    def __init__(self, *, max_steps: int = 500) -> None:
        super().__init__(max_steps=max_steps)

    @property
    def num_actions(self) -> int:
        """Two."""
        return 2

    @property
    def state_size(self) -> int:
        """Four."""
        return 4

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Return states near the upright rest."""
        return uniform(num, (START,) * 4, generator)

    def advance(self, state_BP: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Push every cart for one step; see ``ClassicEnv.advance``."""
        x_B, speed_B, angle_B, spin_B = state_BP.unbind(-1)
        force_B = torch.where(action == 1, FORCE, -FORCE).to(torch.float64)
        cos_B, sin_B = torch.cos(angle_B), torch.sin(angle_B)
        push_B = (force_B + POLE_MOMENT * torch.square(spin_B) * sin_B) / MASS_TOTAL
        angular_B = (GRAVITY * sin_B - cos_B * push_B) / (
            HALF_LENGTH * (4.0 / 3.0 - MASS_POLE * torch.square(cos_B) / MASS_TOTAL)
        )
        linear_B = push_B - POLE_MOMENT * angular_B * cos_B / MASS_TOTAL
        columns = (
            x_B + STEP_S * speed_B,
            speed_B + STEP_S * linear_B,
            angle_B + STEP_S * spin_B,
            spin_B + STEP_S * angular_B,
        )
        fallen_B = (columns[0].abs() > MAX_POSITION) | (columns[2].abs() > MAX_ANGLE)
        return torch.stack(columns, dim=-1), torch.ones_like(x_B), fallen_B

    def show(self, state_BP: Tensor) -> Tensor:
        """Return the state in single precision."""
        return state_BP.to(torch.float32)
