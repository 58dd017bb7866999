"""``algorithm=bc``: behaviour cloning: the policy under which the logged decisions are most probable.

L = -E[log π(a | s)]: for discrete actions the cross-entropy, for continuous ones a normal whose deviation does not
depend on the state. It copies what it is shown, good or bad: no reward is learned from.
Source: Pomerleau, "ALVINN", NeurIPS 1 (1988).
"""

from typing import ClassVar

import torch
from torch import Tensor

from tradewright.algorithm.networks import Actor, ModelFactory
from tradewright.algorithm.offline import OfflineModule
from tradewright.algorithm.setting import Setting
from tradewright.algorithm.transitions import Batch
from tradewright.config.runtime import Runtime
from tradewright.strategy.policy import Acted
from tradewright.strategy.strategy import Strategy


class BC(OfflineModule):
    """Behaviour cloning; takes the keys of ``OfflineModule``.

    Args:
        log_deviation: Initial log-deviation of continuous actions.

    Raises:
        ValueError: An argument is out of range.
    """

    learns_from_reward: ClassVar[bool] = False

    def __init__(
        self,
        *,
        setting: Runtime[Setting],
        model: Runtime[ModelFactory],
        total_frames: int,
        episodes: int | None = None,
        num_envs: int = 64,
        iterations_per_epoch: int = 5,
        updates_per_iteration: int = 20,
        batch_size: int = 256,
        lr: float = 1e-3,
        gamma: float = 0.99,
        decisions: str | None = None,
        behaviours: dict[str, Strategy],
        log_frames: int = 20_000,
        exploration: float = 0.1,
        log_deviation: float = -0.5,
        compile: bool = False,
    ) -> None:
        super().__init__(
            setting=setting,
            model=model,
            total_frames=total_frames,
            episodes=episodes,
            num_envs=num_envs,
            iterations_per_epoch=iterations_per_epoch,
            updates_per_iteration=updates_per_iteration,
            batch_size=batch_size,
            lr=lr,
            gamma=gamma,
            decisions=decisions,
            behaviours=behaviours,
            log_frames=log_frames,
            exploration=exploration,
            compile=compile,
        )
        self.actor = Actor(body=self.body(), env=self.env, log_deviation=log_deviation)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss."""
        return {"loss": -self.actor.log_prob(self.actor(*self.observed(batch)), batch["action"]).mean()}

    def choose(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        """Return the mean or most probable action, or a draw."""
        return act(self.actor, self.observed(observation), generator)


def act(actor: Actor, values: list[Tensor], generator: torch.Generator | None) -> Acted:
    """Return what an actor chooses, with the probabilities of discrete actions."""
    parameters = actor(*values)
    noise = None if generator is None else actor.noise(values[0].shape[0], generator=generator)
    probabilities_BA = None if isinstance(parameters, tuple) else parameters.softmax(-1)
    return Acted(actor.pick(parameters, noise), probabilities_BA)
