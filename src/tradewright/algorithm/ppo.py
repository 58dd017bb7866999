"""``algorithm=ppo``: proximal policy optimisation with TorchRL's clipped loss.

L = E[-min(r A, clip(r, 1-ε, 1+ε) A)] + c_v (V - V_target)² - c_e H(π), r = π/π_old, A: generalised advantage estimate.
Deviations of continuous actions do not depend on the state and weights start orthogonal, as in CleanRL and
Stable-Baselines3; on this stack that learns better than TorchRL's state-dependent default.
Source: Schulman et al., "Proximal policy optimization algorithms", arXiv 1707.06347.
"""

from typing import ClassVar

import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.objectives import ClipPPOLoss

from tradewright.algorithm.agent import NETWORK_STREAM, AgentModule, require_positive
from tradewright.algorithm.networks import Actor, Body, Critic, ModelFactory, actor_module, critic_module
from tradewright.algorithm.rollout import OnPolicyStream
from tradewright.algorithm.setting import Setting
from tradewright.config.runtime import Runtime
from tradewright.strategy.policy import Acted

LOGGED = {"loss_objective": "loss_policy", "loss_critic": "loss_value", "entropy": "entropy", "kl_approx": "kl"}


class PPO(AgentModule):
    """PPO on parallel accounts.

    Args:
        setting: Market, rules and goal.
        model: Trunk factory for actor and critic.
        total_frames: Environment steps of the whole training.
        episodes: Whole episodes of the training instead; None: ``total_frames``.
        num_envs: Parallel accounts.
        rollout_steps: Bars per account between updates; one rollout is ``num_envs * rollout_steps`` frames.
        num_minibatches: Minibatches per pass; must divide the rollout.
        num_passes: Passes over each rollout.
        iterations_per_epoch: Rollouts between two validations.
        lr: Learning rate of Adam.
        gamma: Discount per bar, in (0, 1].
        gae_lambda: λ of generalised advantage estimation, in [0, 1].
        clip: ε, in (0, 1).
        entropy_coefficient: c_e >= 0.
        value_coefficient: c_v > 0.
        log_deviation: Initial log-deviation of continuous actions.

    Raises:
        ValueError: An argument is out of range.
    """

    action_kinds: ClassVar[tuple[str, ...]] = ("continuous", "discrete")

    def __init__(
        self,
        *,
        setting: Runtime[Setting],
        model: Runtime[ModelFactory],
        total_frames: int,
        episodes: int | None = None,
        num_envs: int = 64,
        rollout_steps: int = 64,
        num_minibatches: int = 8,
        num_passes: int = 4,
        iterations_per_epoch: int = 5,
        lr: float = 3e-4,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip: float = 0.2,
        entropy_coefficient: float = 0.0,
        value_coefficient: float = 0.5,
        log_deviation: float = -0.5,
    ) -> None:
        super().__init__(
            setting=setting,
            total_frames=total_frames,
            episodes=episodes,
            num_envs=num_envs,
            iterations_per_epoch=iterations_per_epoch,
            lr=lr,
            gamma=gamma,
        )
        require_positive(rollout_steps=rollout_steps, num_minibatches=num_minibatches, num_passes=num_passes)
        if num_envs * rollout_steps % num_minibatches:
            frames = num_envs * rollout_steps
            raise ValueError(f"num_minibatches must divide num_envs * rollout_steps = {frames}, was {num_minibatches}")
        if not 0 <= gae_lambda <= 1:
            raise ValueError(f"gae_lambda must be in [0, 1], was {gae_lambda}")
        if not 0 < clip < 1:
            raise ValueError(f"clip must be in (0, 1), was {clip}")
        self.rollout_steps, self.num_minibatches, self.num_passes = rollout_steps, num_minibatches, num_passes
        self.gae_lambda = gae_lambda
        actor = Actor(body=Body(inputs=self.inputs, model=model), env=self.env, log_deviation=log_deviation)
        self.loss = ClipPPOLoss(
            actor_module(actor),
            critic_module(Critic(body=Body(inputs=self.inputs, model=model))),
            clip_epsilon=clip,
            entropy_bonus=True,
            entropy_coeff=entropy_coefficient,
            critic_coeff=value_coefficient,
            loss_critic_type="l2",
            normalize_advantage=True,
            functional=False,
        )

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
        """Return the sampled or the most probable action of every environment."""
        values = (observation[key] for key in self.actor.in_keys)
        action, _, log_prob_BA = self.actor.act(*values, generator=generator)
        return Acted(action, None if log_prob_BA is None else log_prob_BA.exp())

    def training_step(self, batch: TensorDict, batch_idx: int) -> Tensor:
        """Return the loss of one minibatch; the last of each pass is logged."""
        terms = self.loss(batch)
        loss = terms["loss_objective"] + terms["loss_critic"] + terms["loss_entropy"]
        self.log_terms({name: terms[key] for key, name in LOGGED.items()} | {"loss": loss}, batch, batch_idx)
        return loss
