"""``Codec``: between the spaces of a Gymnasium environment and the plain tensors of a ``World``.

Observations become one float32 vector: a Box flattened, a Discrete as one-hot. Actions of a Discrete space are numbers
from 0; those of a Box are components in [-1, 1] that map linearly to its bounds, as beyond them the bound itself.
Legend: B environments, S numbers of an observation, A action components.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from tradewright.errors import ConfigError


@dataclass(frozen=True)
class Codec:
    """The two spaces of one environment.

    Args:
        observation: Box or Discrete.
        action: Box with finite bounds, or Discrete.
    """

    observation: spaces.Box | spaces.Discrete
    action: spaces.Box | spaces.Discrete

    @classmethod
    def of(cls, env: gymnasium.Env[Any, Any], name: str) -> "Codec":
        """Return the codec of an environment.

        Args:
            env: The environment.
            name: Its id, for messages.

        Raises:
            ConfigError: A space is of another kind, or an action has no bounds.
        """
        for what, space in (("observations", env.observation_space), ("actions", env.action_space)):
            if not isinstance(space, spaces.Box | spaces.Discrete):
                raise ConfigError(
                    f"env.id: {what} of {name} are a {type(space).__name__} space; supported are Box and Discrete,"
                    " so wrap the environment under an id of your own (gymnasium.wrappers.FlattenObservation)"
                )
        if isinstance(env.action_space, spaces.Box) and not env.action_space.is_bounded():
            raise ConfigError(f"env.id: actions of {name} have no finite bounds, to which [-1, 1] could be mapped")
        return cls(env.observation_space, env.action_space)  # type: ignore[arg-type] # checked in the loop

    @property
    def action_kind(self) -> str:
        """``discrete`` or ``continuous``."""
        return "discrete" if isinstance(self.action, spaces.Discrete) else "continuous"

    @property
    def num_actions(self) -> int:
        """Choices, or components."""
        return int(self.action.n) if isinstance(self.action, spaces.Discrete) else int(np.prod(self.action.shape))

    @property
    def state_size(self) -> int:
        """S."""
        space = self.observation
        return int(space.n) if isinstance(space, spaces.Discrete) else int(np.prod(space.shape))

    def encode(self, observation: Any) -> Tensor:
        """Return observations of B environments, stacked, as ``[B, S]`` float32."""
        if isinstance(self.observation, spaces.Discrete):
            number_B = torch.as_tensor(np.asarray(observation, np.int64) - int(self.observation.start))
            return torch.nn.functional.one_hot(number_B, self.state_size).to(torch.float32)
        state = np.asarray(observation, np.float32)
        return torch.from_numpy(state.reshape(len(state), -1).copy())

    def decode(self, action: Tensor) -> NDArray[Any]:
        """Return actions ``[B]`` or ``[B, A]`` as the action space's own, stacked over B."""
        if isinstance(self.action, spaces.Discrete):
            return action.cpu().numpy().astype(np.int64) + int(self.action.start)
        unit = np.clip(action.detach().cpu().numpy().astype(np.float64), -1.0, 1.0)
        low, high = (bound.astype(np.float64) for bound in (self.action.low, self.action.high))
        inside = low + (unit.reshape(-1, *self.action.shape) + 1.0) / 2.0 * (high - low)
        return inside.astype(self.action.dtype)
