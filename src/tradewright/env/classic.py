"""Environments without a market whose whole state is one float64 vector, stepped for B copies at once on tensors.

Physics are those of Gymnasium's environment of the same id, operation for operation, so that what is learnt here is
scored there. ``StateEnv`` is also the base of foreign environments: they too show one key, ``state``.
Legend: B environments, S numbers of an observation, P numbers of the physical state, A action components.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import gymnasium
import torch
from torch import Tensor

from tradewright.env.market_tensors import MarketTensors
from tradewright.env.spaces import Codec
from tradewright.env.world import Env, Stage, Transition


class StateEnv(Env):
    """Base of the config nodes whose observation is ``state`` ``[B, S]``, float32."""

    is_market: ClassVar[bool] = False

    @property
    def in_keys(self) -> tuple[str, ...]:
        """``state``."""
        return ("state",)

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name in titles: the Gymnasium id."""

    @property
    @abstractmethod
    def state_size(self) -> int:
        """S."""

    @abstractmethod
    def make(self) -> gymnasium.Env[Any, Any]:
        """Return one Gymnasium environment with the same rules, on which agents are judged."""

    @property
    @abstractmethod
    def codec(self) -> Codec:
        """How observations and actions of ``make()`` map to ours."""


class ClassicEnv(StateEnv):
    """Base of the native environments.

    Args:
        max_steps: Steps after which an episode is cut off, >= 1; Gymnasium's own limit gives Gymnasium's task.

    Raises:
        ValueError: An argument is out of range.
    """

    gym_id: ClassVar[str]

    def __init__(self, *, max_steps: int) -> None:
        if max_steps < 1:
            raise ValueError(f"max_steps must be >= 1, was {max_steps}")
        self.max_steps = max_steps

    @property
    def name(self) -> str:
        """The id of Gymnasium's environment with the same rules."""
        return self.gym_id

    def make(self) -> gymnasium.Env[Any, Any]:
        """Return Gymnasium's own environment with ``max_steps``."""
        return gymnasium.make(self.gym_id, max_episode_steps=self.max_steps)

    @property
    def codec(self) -> Codec:
        """Taken from Gymnasium's spaces."""
        env = self.make()
        env.close()
        return Codec.of(env, self.gym_id)

    def episode_steps(self, stage: Stage | None) -> int:
        """Return ``max_steps``."""
        return self.max_steps

    def world(
        self, *, num_envs: int, generator: torch.Generator, stage: Stage | None, market: MarketTensors | None
    ) -> "ClassicWorld":
        """Return B environments."""
        return ClassicWorld(env=self, num_envs=num_envs, generator=generator)

    @abstractmethod
    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Return starting states ``[num, P]``, float64."""

    @abstractmethod
    def advance(self, state_BP: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the next state ``[B, P]``, rewards ``[B]`` (float64) and whether the episode is over by its rules."""

    @abstractmethod
    def show(self, state_BP: Tensor) -> Tensor:
        """Return the observation ``[B, S]``, float32."""


class ClassicWorld:
    """B copies of a ``ClassicEnv`` on the generator's device.

    Args:
        env: The rules.
        num_envs: B.
        generator: Draws starting states.
    """

    def __init__(self, *, env: ClassicEnv, num_envs: int, generator: torch.Generator) -> None:
        self.env, self.num_envs, self.generator = env, num_envs, generator
        self.device = generator.device
        self.reset()

    def reset(self) -> None:
        """Start every environment anew."""
        self.state_BP = self.env.draw(self.num_envs, self.generator)
        self.steps_B = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)

    def restart(self, done_B: Tensor) -> None:
        """Start the environments of ``done_B`` anew; as many numbers are drawn whatever is done."""
        fresh_BP = self.env.draw(self.num_envs, self.generator)
        self.state_BP = torch.where(done_B[:, None], fresh_BP, self.state_BP)
        self.steps_B = torch.where(done_B, 0, self.steps_B)

    def observe(self) -> dict[str, Tensor]:
        """Return ``state`` ``[B, S]``."""
        return {"state": self.env.show(self.state_BP)}

    def step(self, action: Tensor) -> Transition:
        """Take one step everywhere."""
        self.state_BP, reward_B, terminated_B = self.env.advance(self.state_BP, action)
        self.steps_B = self.steps_B + 1
        return Transition(reward_B, terminated_B, (self.steps_B >= self.env.max_steps) & ~terminated_B)

    def drain_terms(self) -> dict[str, float]:
        """Rewards are of one piece."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return states, step counts and the generator."""
        return {"state_BP": self.state_BP, "steps_B": self.steps_B, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.state_BP = state["state_BP"].to(self.device)
        self.steps_B = state["steps_B"].to(self.device)
        self.generator.set_state(state["generator"].cpu())


def uniform(num: int, bounds: tuple[float, ...], generator: torch.Generator) -> Tensor:
    """Return ``[num, P]`` float64 numbers, column p uniform in [-bounds[p], bounds[p])."""
    bounds_P = torch.tensor(bounds, dtype=torch.float64, device=generator.device)
    unit = torch.rand(num, len(bounds), dtype=torch.float64, device=generator.device, generator=generator)
    return (2.0 * unit - 1.0) * bounds_P
