"""``env=gym``: any Gymnasium environment by its id, stepped one by one in this process.

It is slow beside the native environments (a Python call per environment and step) and its inside cannot be saved: when
a run is resumed, networks, optimizer, replay and random state continue, but the episodes begin anew.
Legend: B environments, S numbers of an observation, A action components.
"""

from typing import Any

import gymnasium
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import Tensor

from tradewright.env.classic import StateEnv
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.spaces import Codec
from tradewright.env.world import Stage, Transition
from tradewright.errors import ConfigError

LARGEST_SEED = 2**31 - 1


class GymEnv(StateEnv):
    """Makes the environments of an id; observations and actions map as ``env.spaces.Codec`` says.

    Args:
        id: A registered id such as ``Acrobot-v1``; ``module:id`` imports the module that registers it.
        max_steps: Steps after which an episode is cut off; None: the id's own limit.
        arguments: Passed to ``gymnasium.make``.

    Raises:
        ConfigError: There is no such environment, a package is missing, or its spaces are not supported.
    """

    def __init__(self, *, id: str, max_steps: int | None = None, arguments: dict[str, Any] | None = None) -> None:
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"max_steps must be >= 1 or null, was {max_steps}")
        self.id, self.max_steps, self.arguments = id, max_steps, dict(arguments or {})
        example = self.make()
        self._limit = max_steps or (example.spec.max_episode_steps if example.spec else None)
        self._codec = Codec.of(example, id)
        example.close()

    @property
    def action_kind(self) -> str:  # type: ignore[override] # known only once the environment is made
        """``discrete`` or ``continuous``, as the action space is."""
        return self._codec.action_kind

    @property
    def name(self) -> str:
        """The id."""
        return self.id

    @property
    def label(self) -> str:
        """The id with its key."""
        return f"env.id={self.id}"

    @property
    def num_actions(self) -> int:
        """Choices, or components."""
        return self._codec.num_actions

    @property
    def state_size(self) -> int:
        """S."""
        return self._codec.state_size

    @property
    def codec(self) -> Codec:
        """Taken from the environment's spaces."""
        return self._codec

    def make(self) -> gymnasium.Env[Any, Any]:
        """Return one environment.

        Raises:
            ConfigError: There is none of this id, or it needs a package that is not installed.
        """
        try:
            return gymnasium.make(self.id, max_episode_steps=self.max_steps, **self.arguments)
        except (gymnasium.error.Error, ImportError) as error:
            raise ConfigError(f"env.id={self.id}: {' '.join(str(error).split())}") from None

    def episode_steps(self, stage: Stage | None) -> int:
        """Return the limit of an episode.

        Raises:
            ConfigError: It has none.
        """
        if self._limit is None:
            raise ConfigError(f"algorithm.episodes: episodes of {self.id} have no limit; give algorithm.total_frames")
        return self._limit

    def world(
        self, *, num_envs: int, generator: torch.Generator, stage: Stage | None, market: MarketTensors | None
    ) -> "GymWorld":
        """Return B environments."""
        return GymWorld(env=self, num_envs=num_envs, generator=generator)


class GymWorld:
    """B environments behind Gymnasium's ``SyncVectorEnv``; tensors are on the generator's device.

    Args:
        env: Makes them.
        num_envs: B.
        generator: Seeds them; from then on each draws from its own.
    """

    def __init__(self, *, env: GymEnv, num_envs: int, generator: torch.Generator) -> None:
        self.env, self.num_envs, self.generator = env, num_envs, generator
        self.device = generator.device
        self.vector = SyncVectorEnv([env.make] * num_envs, autoreset_mode=AutoresetMode.DISABLED)
        self.reset()

    def reset(self) -> None:
        """Start every environment anew, with a new seed."""
        drawn = torch.randint(LARGEST_SEED, (self.num_envs,), generator=self.generator, device=self.device)
        self._see(self.vector.reset(seed=drawn.tolist())[0])

    def restart(self, done_B: Tensor) -> None:
        """Start the environments of ``done_B`` anew and leave the others as they are."""
        if bool(done_B.any()):
            self._see(self.vector.reset(options={"reset_mask": done_B.cpu().numpy()})[0])

    def observe(self) -> dict[str, Tensor]:
        """Return ``state`` ``[B, S]``."""
        return {"state": self._state_BS}

    def step(self, action: Tensor) -> Transition:
        """Take one step everywhere."""
        shown, reward, terminated, truncated, _ = self.vector.step(self.env.codec.decode(action))
        self._see(shown)
        reward_B = torch.as_tensor(reward, dtype=torch.float64, device=self.device)
        terminated_B = torch.as_tensor(terminated, device=self.device)
        return Transition(reward_B, terminated_B, torch.as_tensor(truncated, device=self.device) & ~terminated_B)

    def drain_terms(self) -> dict[str, float]:
        """Rewards are of one piece."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the generator: the inside of the environments cannot be saved."""
        return {"generator": self.generator.get_state(), "begins_anew": True}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start all episodes anew, with seeds that follow from the saved state."""
        self.generator.set_state(state["generator"].cpu())
        self.reset()

    def _see(self, shown: Any) -> None:
        self._state_BS = self.env.codec.encode(shown).to(self.device)
