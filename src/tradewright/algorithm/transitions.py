"""``TransitionModule``: what the algorithms share that learn from minibatches of single transitions.

They come from a replay (``OffPolicyModule``) or from a log (``OfflineModule``). A gradient step draws no random
numbers: noise comes with the batch, from the stream's generator.
Legend: M transitions of a batch.
"""

import copy
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from tradewright.algorithm.agent import AgentModule, require_positive
from tradewright.algorithm.networks import Body, ModelFactory
from tradewright.algorithm.replay import NEXT
from tradewright.algorithm.setting import Setting

Network = TypeVar("Network", bound=nn.Module)
Batch = dict[str, Tensor]
"""Transitions by field, see ``Replay.gather``, and the noise of the losses; from a replay also ``slots``, and where it
is prioritised ``weight`` [M]."""
LOSS = "loss"
"""Name of the loss among the terms of a gradient step."""


class TransitionModule(AgentModule):
    """Base of the algorithms that learn from single transitions.

    Args:
        setting: World and goal.
        model: Trunk factory.
        total_frames: Transitions of the whole training; its bases say which.
        episodes: Whole episodes' worth of them instead; None: ``total_frames``.
        num_envs: Parallel environments.
        iterations_per_epoch: Iterations between two validations.
        updates_per_iteration: Gradient steps of an iteration.
        batch_size: Transitions per gradient step.
        lr: Learning rate of Adam.
        gamma: Discount per step, in (0, 1].
        tau: Share of the trained weights that moves into the slow ones after each gradient step, in (0, 1].
        compile: Compile the loss.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        setting: Setting,
        model: ModelFactory,
        total_frames: int,
        episodes: int | None,
        num_envs: int,
        iterations_per_epoch: int,
        updates_per_iteration: int,
        batch_size: int,
        lr: float,
        gamma: float,
        tau: float,
        compile: bool,
    ) -> None:
        super().__init__(
            setting=setting,
            total_frames=total_frames,
            episodes=episodes,
            num_envs=num_envs,
            iterations_per_epoch=iterations_per_epoch,
            lr=lr,
            gamma=gamma,
            compile=compile,
        )
        require_positive(updates_per_iteration=updates_per_iteration, batch_size=batch_size)
        if not 0 < tau <= 1:
            raise ValueError(f"tau must be in (0, 1], was {tau}")
        self.updates_per_iteration, self.batch_size, self.tau = updates_per_iteration, batch_size, tau
        self._model = model
        self._following: tuple[list[Tensor], list[Tensor]] | None = None

    def body(self, *, extra_features: int = 0) -> Body:
        """Return a fresh trunk over the observation.

        Raises:
            ValueError: The model is recurrent; it would need what came before a transition.
        """
        body = Body(inputs=self.inputs, model=self._model, extra_features=extra_features)
        if body.is_recurrent:
            raise ValueError("model must not be recurrent: single transitions are kept; use algorithm=ppo or a2c")
        return body

    def noise(self, num: int, generator: torch.Generator) -> Batch:
        """Return the random numbers that the losses of ``num`` transitions take; none by default."""
        return {}

    @abstractmethod
    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss`` and what is to be logged, by name."""

    def followers(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the slow networks, each with the network it follows; none by default."""
        return []

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Update, then let the slow weights follow: once per step, however many batches were accumulated for it."""
        super().optimizer_step(*args, **kwargs)
        self.follow()

    @torch.no_grad()
    def follow(self) -> None:
        """Move the slow weights towards what they follow: θ' ← θ' + τ (θ - θ')."""
        if self._following is None:
            pairs = [pair for slow, trained in self.followers() for pair in _pairs(slow, trained)]
            self._following = [slow for slow, _ in pairs], [trained for _, trained in pairs]
        slow, trained = self._following
        if slow:
            torch._foreach_lerp_(slow, trained, self.tau)

    def on_fit_start(self) -> None:
        """Look the weights up again: they may have moved to another device."""
        self._following = None

    def observed(self, batch: Batch, prefix: str = "") -> list[Tensor]:
        """Return the values of the observation, in the order in which networks take them."""
        return [batch[prefix + key] for key in self.inputs.in_keys]

    def following(self, batch: Batch) -> list[Tensor]:
        """Return the values of the observation after the transition."""
        return self.observed(batch, NEXT)

    def target(self, batch: Batch, value_M: Tensor) -> Tensor:
        """Return r + γ^k v, where an episode that terminated has no value to come.

        Args:
            batch: Transitions of k ``steps`` each, one where the field is missing; ``reward`` is the discounted sum.
            value_M: Value of the observation after them.
        """
        discount = self.gamma ** batch["steps"] if "steps" in batch else self.gamma
        return batch["reward"] + discount * torch.where(batch["terminated"], 0.0, value_M)


def target_of(network: Network) -> Network:
    """Return a copy that is not trained, to follow the network; the market that it reads is shared."""
    return copy.deepcopy(network).requires_grad_(False)


def weighted_mean(loss_M: Tensor, batch: Batch) -> Tensor:
    """Return the mean loss, by importance weights where replay is prioritised."""
    return (loss_M * batch["weight"]).mean() if "weight" in batch else loss_M.mean()


@contextmanager
def frozen(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Let no gradient reach these parameters from what is computed inside the context."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _pairs(slow: nn.Module, trained: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Return slow weights beside those that they follow."""
    return [(mine.data, its.data) for mine, its in zip(slow.parameters(), trained.parameters(), strict=True)]
