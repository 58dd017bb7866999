"""``OnPolicyModule``: what ppo and a2c share: an actor and a critic, rollouts, schedules and one TorchRL loss.

Coefficients that change over the training do so at the start of an iteration, as a function of the environment steps
taken before it, so that a resumed run continues them exactly.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from tradewright.algorithm.agent import NETWORK_STREAM, AgentModule, require_positive
from tradewright.algorithm.deciding import Decider, RememberingDecider
from tradewright.algorithm.networks import Actor, Body, Critic, ModelFactory
from tradewright.algorithm.rollout import OnPolicyStream
from tradewright.algorithm.setting import Setting
from tradewright.data.ranges import Range
from tradewright.env.market_tensors import MarketTensors
from tradewright.strategy.policy import Acted

LR_SCHEDULES = ("constant", "linear")
LEAST_DEVIATION = 1e-8
LOGGED = {
    "loss_objective": "loss_policy",
    "loss_critic": "loss_value",
    "entropy": "entropy",
    "kl": "kl",
    "clip_fraction": "clip_fraction",
}
"""Name in the loss: name in the log."""


class OnPolicyModule(AgentModule):
    """Base of the algorithms that learn from their newest rollout only.

    Args:
        setting: World and goal.
        model: Trunk factory for actor and critic.
        total_frames, episodes, num_envs, iterations_per_epoch, lr, gamma, compile: See ``AgentModule``.
        rollout_steps: S, steps per environment between updates; one rollout is ``num_envs * rollout_steps`` frames.
        num_minibatches: Minibatches per pass over a rollout; must divide its frames, or ``num_envs`` for a recurrent
            model, whose sequences stay whole.
        num_passes: Passes over each rollout.
        lr_schedule: ``constant``, or ``linear`` from ``lr`` to 0 over the training.
        gae_lambda: λ of generalised advantage estimation, in [0, 1].
        normalise_advantage: Scale advantages to mean 0 and deviation 1.
        entropy_coefficient: Weight of the entropy bonus, >= 0.
        final_entropy_coefficient: Its value at the end of the training, reached linearly; None: the same.
        value_coefficient: Weight of the squared error of values, > 0.
        value_clip: Most that a value may move from what it was when collected and still lower the loss, > 0; None: any.
        log_deviation: Initial log-deviation of continuous actions.

    Raises:
        ValueError: An argument is out of range.
    """

    action_kinds: ClassVar[tuple[str, ...]] = ("continuous", "discrete")
    carries_memory: ClassVar[bool] = True
    """Whether recurrent models learn under it."""
    loss: Any
    """TorchRL's loss; it owns the networks."""

    trains_in_parallel: ClassVar[bool] = True

    def __init__(
        self,
        *,
        setting: Setting,
        model: ModelFactory,
        total_frames: int,
        episodes: int | None,
        num_envs: int,
        rollout_steps: int,
        num_minibatches: int,
        num_passes: int,
        iterations_per_epoch: int,
        lr: float,
        lr_schedule: str,
        gamma: float,
        gae_lambda: float,
        normalise_advantage: bool,
        entropy_coefficient: float,
        final_entropy_coefficient: float | None,
        value_coefficient: float,
        value_clip: float | None,
        log_deviation: float,
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
        last = entropy_coefficient if final_entropy_coefficient is None else final_entropy_coefficient
        _check(
            rollout_steps=rollout_steps,
            num_minibatches=num_minibatches,
            num_passes=num_passes,
            lr_schedule=lr_schedule,
            gae_lambda=gae_lambda,
            entropy_coefficients=(entropy_coefficient, last),
            value_coefficient=value_coefficient,
            value_clip=value_clip,
        )
        self.rollout_steps, self.num_minibatches, self.num_passes = rollout_steps, num_minibatches, num_passes
        self.gae_lambda, self.lr_schedule, self.normalises_advantage = gae_lambda, lr_schedule, normalise_advantage
        self.entropy_coefficients = (entropy_coefficient, last)
        actor = Actor(
            body=Body(inputs=self.inputs, model=model, name="actor"), env=self.env, log_deviation=log_deviation
        )
        critic = Critic(body=Body(inputs=self.inputs, model=model, name="critic"))
        self._require_whole_minibatches(actor.body.is_recurrent)
        self.loss = self.make_loss(actor, critic, value_coefficient=value_coefficient, value_clip=value_clip)
        self._terms_of: Callable[[TensorDict], dict[str, Tensor]] = self.compiled(self.terms)
        self._newest: dict[str, Tensor] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; Lightning notes a hook's name 40 times per gradient step, which PyTorch makes slow."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def _require_whole_minibatches(self, is_recurrent: bool) -> None:
        name, size = "num_envs * rollout_steps", self.frames_per_iteration
        if is_recurrent:
            name, size = "num_envs (a recurrent model keeps sequences whole)", self.num_envs
        if size % self.num_minibatches:
            raise ValueError(f"num_minibatches must divide {name} = {size}, was {self.num_minibatches}")
        if self.normalises_advantage and self.frames_per_iteration == self.num_minibatches:
            raise ValueError("normalise_advantage must be false for minibatches of one frame, was true")

    @abstractmethod
    def make_loss(
        self, actor: Actor, critic: Critic, *, value_coefficient: float, value_clip: float | None
    ) -> nn.Module:
        """Return TorchRL's loss with buffer ``entropy_coeff`` and the networks as its only submodules."""

    @property
    def actor(self) -> Actor:
        """The policy network."""
        return self.loss.actor_network[0].module

    @property
    def critic(self) -> Critic:
        """The value network."""
        return self.loss.critic_network.module

    @property
    def frames_per_iteration(self) -> int:
        """Environment steps of one rollout."""
        return self.num_envs * self.rollout_steps

    def stream(self) -> OnPolicyStream:
        """Return the rollouts of one epoch as minibatches."""
        return OnPolicyStream(
            world=self.world(),
            actor=self.actor,
            critic=self.critic,
            num_steps=self.rollout_steps,
            num_passes=self.num_passes,
            num_minibatches=self.num_minibatches,
            num_iterations=self.iterations_per_epoch,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
            generator=self.generator(NETWORK_STREAM),
            reward_name=self.setting.reward_name,
        )

    def choose(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        """Return the sampled or the most probable action of every environment; a memory starts from zero."""
        if self.actor.body.is_recurrent:
            return RememberingDecider(self.actor)(observation, generator)
        values = (observation[key] for key in self.actor.in_keys)
        action, _, log_prob_BA = self.actor.act(*values, generator=generator)
        return Acted(action, None if log_prob_BA is None else log_prob_BA.exp())

    @contextmanager
    def deciding(self, market: MarketTensors | None, rows: Range | None = None) -> Iterator[Decider]:
        """Decide step after step; bars are encoded once and a memory is carried."""
        with self.inputs.reading(market, rows), torch.no_grad(), self.actor.body.encoded():
            is_recurrent = self.actor.body.is_recurrent
            yield RememberingDecider(self.actor) if is_recurrent else Decider(self.choose)

    def terms(self, batch: TensorDict) -> dict[str, Tensor]:
        """Return the terms of the loss, and their sum as ``loss``."""
        if self.normalises_advantage:
            batch = batch.copy().set("advantage", normalised(batch["advantage"]))
        terms: dict[str, Tensor] = dict(self.loss(batch).items())
        terms["loss"] = terms["loss_objective"] + terms["loss_critic"] + terms["loss_entropy"]
        return terms

    def is_far_enough(self, terms: dict[str, Tensor]) -> bool:
        """Return whether the rest of the iteration is to be skipped, this step included."""
        return False

    def training_step(self, batch: TensorDict, batch_idx: int) -> Tensor:
        """Return the loss of one minibatch; the last terms of each iteration are logged."""
        stream = self.stream_in_use
        assert isinstance(stream, OnPolicyStream)
        if batch_idx % stream.batches_per_iteration == 0:
            self._start_iteration(stream.frames - self.frames_per_iteration)
        loss = None
        if not stream.is_stopped:
            terms = self._terms_of(batch)
            stream.is_stopped = self.is_far_enough(terms)
            self._newest = {name: terms[key] for key, name in LOGGED.items() if key in terms} | {"loss": terms["loss"]}
            loss = None if stream.is_stopped else terms["loss"]
        self.log_terms({**self._newest, "entropy_coefficient": self.loss.entropy_coeff}, batch, batch_idx)
        # Without gradients the optimizer leaves weights and moments as they are: a skipped step changes nothing.
        return torch.zeros((), device=self.device, requires_grad=True) if loss is None else loss

    def _start_iteration(self, frames_before: int) -> None:
        """Set what changes over the training that the trainer has been given, by this process's frames before."""
        assert self.trainer.max_epochs is not None
        planned = self.trainer.max_epochs * self.iterations_per_epoch * self.frames_per_iteration
        progress = min(1.0, frames_before / planned)
        first, last = self.entropy_coefficients
        self.loss.entropy_coeff.fill_(first + (last - first) * progress)
        if self.lr_schedule == "linear":
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] = self.lr * (1.0 - progress)


def normalised(advantage: Tensor) -> Tensor:
    """Return (A - mean) / (deviation + 1e-8), ddof 1; equal advantages become 0.

    Source of the constant: Stable-Baselines3.
    """
    return (advantage - advantage.mean()) / (advantage.std() + LEAST_DEVIATION)


def _check(
    *,
    rollout_steps: int,
    num_minibatches: int,
    num_passes: int,
    lr_schedule: str,
    gae_lambda: float,
    entropy_coefficients: tuple[float, float],
    value_coefficient: float,
    value_clip: float | None,
) -> None:
    """Check the keys that ppo and a2c share beyond those of every agent.

    Raises:
        ValueError: One is out of range.
    """
    require_positive(
        rollout_steps=rollout_steps,
        num_minibatches=num_minibatches,
        num_passes=num_passes,
        value_coefficient=value_coefficient,
    )
    if value_clip is not None:
        require_positive(value_clip=value_clip)
    if lr_schedule not in LR_SCHEDULES:
        raise ValueError(f"lr_schedule must be one of {', '.join(LR_SCHEDULES)}, was {lr_schedule!r}")
    if not 0 <= gae_lambda <= 1:
        raise ValueError(f"gae_lambda must be in [0, 1], was {gae_lambda}")
    for name, value in zip(("entropy_coefficient", "final_entropy_coefficient"), entropy_coefficients, strict=True):
        if not value >= 0:
            raise ValueError(f"{name} must be >= 0, was {value}")
