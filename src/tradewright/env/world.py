"""``Env``, ``Stage`` and ``World``: what the options of group ``env`` give every algorithm, market or not.

A config node is an ``Env``: it knows its actions and builds a ``World``, a batch of environments that step together on
tensors. A world never restarts by itself: the caller looks at what a step returned, may observe the final state, and
then restarts what is done. All randomness comes from the generator that it was given; its state continues bit for bit.
Legend: B environments.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.market_tensors import MarketTensors
from tradewright.features.features import Features
from tradewright.market.rules import AccountRules
from tradewright.reward.reward import Reward


class Transition(NamedTuple):
    """What one step returns, before anything is restarted."""

    reward_B: Tensor
    """float64; 0 without a reward."""
    terminated_B: Tensor
    """True where nothing follows (bankrupt, fallen): values do not bootstrap."""
    truncated_B: Tensor
    """True where the episode ran out of time: the future goes on without us, values bootstrap."""


class World(Protocol):
    """B environments on one device."""

    num_envs: int
    device: torch.device

    def reset(self) -> None:
        """Start every environment anew."""
        ...

    def restart(self, done_B: Tensor) -> None:
        """Start the environments of ``done_B`` (bool) anew and leave the others as they are."""
        ...

    def observe(self) -> dict[str, Tensor]:
        """Return the observation by key, every tensor with leading dimension B."""
        ...

    def step(self, action: Tensor) -> Transition:
        """Take ``[B]`` int64 action numbers or ``[B, A]`` float components in [-1, 1]."""
        ...

    def drain_terms(self) -> dict[str, float]:
        """Return the mean of every reward term per step since the last call, by name; {} where rewards have none."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return everything a bit-exact continuation needs: tensors, numbers and texts in plain dictionaries."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        ...


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The market that an environment is set on.

    Args:
        panel: All bars.
        features: Scaled features of the panel.
        rows: The parts of the training bars.
        rules: The backtester's account rules.
        reward: The reward function.
    """

    panel: Panel
    features: Features
    rows: tuple[Range, ...]
    rules: AccountRules
    reward: Reward


class Env(ABC):
    """Base of the config nodes of group ``env``."""

    action_kind: ClassVar[str]
    """``discrete`` or ``continuous``."""
    is_market: ClassVar[bool]
    """Whether it trades a ``Stage``; if not, it brings a world of its own."""

    @property
    def label(self) -> str:
        """How messages name it: the key that chose it."""
        return f"env={type(self).__name__.lower()}"

    def on(self, stage: Stage | None) -> "Env":
        """Return the environment as it is on a market, whose instruments may say how many actions there are."""
        return self

    @property
    @abstractmethod
    def in_keys(self) -> tuple[str, ...]:
        """Keys of an observation, in the order in which networks take them."""

    @property
    @abstractmethod
    def num_actions(self) -> int:
        """Number of choices (discrete) or of components (continuous)."""

    @abstractmethod
    def episode_steps(self, stage: Stage | None) -> int:
        """Return the most steps that an episode can have."""

    @abstractmethod
    def world(
        self, *, num_envs: int, generator: torch.Generator, stage: Stage | None, market: MarketTensors | None
    ) -> World:
        """Return B training environments that start at random.

        Args:
            num_envs: B.
            generator: Source of all randomness, on the device of the world.
            stage: The market; None exactly where ``is_market`` is False.
            market: The stage's panel and features as tensors on that device.
        """
