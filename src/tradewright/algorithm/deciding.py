"""``Decider``: an agent at work on environments that somebody else steps: a backtest, episodes of a test.

Legend: B environments.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tradewright.algorithm.networks import Actor
from tradewright.strategy.policy import Acted

Choose = Callable[[dict[str, Tensor], torch.Generator | None], Acted]


class Decider:
    """Decides step after step, each by its observation alone.

    Args:
        choose: The agent's own.
    """

    def __init__(self, choose: Choose) -> None:
        self._choose = choose

    def __call__(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        """Return the action of every environment; ``generator`` None means the best or most probable one."""
        return self._choose(observation, generator)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these of the environments only, in this order."""


class RememberingDecider(Decider):
    """Carries the memory of a recurrent actor from step to step; the first step begins an episode everywhere.

    Args:
        actor: The policy network.
    """

    def __init__(self, actor: Actor) -> None:
        super().__init__(self._carry)
        self.actor = actor
        self._memory_BH: Tensor | None = None

    def _carry(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        body = self.actor.body
        values = [observation[key] for key in body.inputs.in_keys]
        num_envs, device = values[0].shape[0], values[0].device
        memory_BH = body.memory(num_envs, device) if self._memory_BH is None else self._memory_BH
        nowhere_B = torch.zeros(num_envs, dtype=torch.bool, device=device)
        self._memory_BH = body.step(*values, nowhere_B, memory_BH)
        action, _, log_prob_BA = self.actor.chosen(self.actor.parameters_of(self._memory_BH), generator)
        return Acted(action, None if log_prob_BA is None else log_prob_BA.exp())

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these of the environments only, in this order."""
        if self._memory_BH is not None:
            self._memory_BH = self._memory_BH[list(places)]
