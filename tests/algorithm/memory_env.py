"""A task that only a memory solves: the cue is shown at the first step of an episode, and asked for at every step."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tradewright.env.classic import StateEnv
from tradewright.env.world import Transition

STEPS = 6
"""Steps of an episode; a policy without memory knows the answer at one of them and guesses at the others."""


class CueWorld:
    """Environment b ends its first episode after 1 + b % STEPS steps, so that episodes end at different times."""

    device = torch.device("cpu")

    def __init__(self, num_envs: int, generator: torch.Generator) -> None:
        self.num_envs, self.generator = num_envs, generator
        self.reset()

    def reset(self) -> None:
        self.cue_B = self._draw()
        self.step_B = STEPS - 1 - torch.arange(self.num_envs) % STEPS
        self.is_new_B = torch.ones(self.num_envs, dtype=torch.bool)

    def _draw(self) -> Tensor:
        return torch.randint(2, (self.num_envs,), generator=self.generator)

    def restart(self, done_B: Tensor) -> None:
        self.cue_B = torch.where(done_B, self._draw(), self.cue_B)
        self.step_B = torch.where(done_B, 0, self.step_B)
        self.is_new_B = self.is_new_B | done_B

    def observe(self) -> dict[str, Tensor]:
        return {"state": torch.where(self.is_new_B, self.cue_B * 2.0 - 1.0, 0.0)[:, None]}

    def step(self, action: Tensor) -> Transition:
        reward_B = (action == self.cue_B).double()
        self.step_B, self.is_new_B = self.step_B + 1, torch.zeros_like(self.is_new_B)
        return Transition(reward_B, torch.zeros_like(self.is_new_B), self.step_B >= STEPS)

    def drain_terms(self) -> dict[str, float]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        names = ("cue_B", "step_B", "is_new_B")
        return {**{name: getattr(self, name) for name in names}, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self.cue_B, self.step_B, self.is_new_B = state["cue_B"], state["step_B"], state["is_new_B"]


class CueEnv(StateEnv):
    """Two actions, one number to see."""

    action_kind: ClassVar[str] = "discrete"
    num_actions = 2
    state_size = 1
    make = codec = None  # never judged on Gymnasium
    name = "cue"

    def episode_steps(self, stage) -> int:
        return STEPS

    def world(self, *, num_envs, generator, stage, market) -> CueWorld:
        return CueWorld(num_envs, generator)
