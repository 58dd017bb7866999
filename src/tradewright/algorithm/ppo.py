"""``algorithm=ppo``: proximal policy optimisation with TorchRL's clipped loss.

L = E[-min(r A, clip(r, 1-ε, 1+ε) A)] + c_v (V - V_target)² - c_e H(π), r = π/π_old, A: generalised advantage estimate.
Deviations of continuous actions do not depend on the state and weights start orthogonal, as in CleanRL and
Stable-Baselines3; on this stack that learns better than TorchRL's state-dependent default.
Source: Schulman et al., "Proximal policy optimization algorithms", arXiv 1707.06347.
"""

from typing import ClassVar

import torch
from tensordict import TensorDict
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
from torch import Tensor
from torch.distributions import Categorical
from torchrl.modules import IndependentNormal
from torchrl.objectives import ClipPPOLoss

from tradewright.algorithm.agent import NETWORK_STREAM, AgentModule
from tradewright.algorithm.networks import Actor, Critic, ModelFactory, WindowInput
from tradewright.algorithm.rollout import OnPolicyStream
from tradewright.algorithm.setting import Setting
from tradewright.config.runtime import Runtime
from tradewright.env.market_tensors import MarketTensors
from tradewright.strategy.policy import Acted

LOGGED = {"loss_objective": "loss_policy", "loss_critic": "loss_value", "entropy": "entropy", "kl_approx": "kl"}


class PPO(AgentModule):
    """PPO on parallel accounts.

    Args:
        setting: Market, rules and goal.
        model: Trunk factory for actor and critic.
        total_frames: Environment steps of the whole training.
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
        super().__init__(setting=setting, num_envs=num_envs, lr=lr, total_frames=total_frames)
        _check_counts(rollout_steps, num_minibatches, num_passes, iterations_per_epoch)
        if num_envs * rollout_steps % num_minibatches:
            frames = num_envs * rollout_steps
            raise ValueError(f"num_minibatches must divide num_envs * rollout_steps = {frames}, was {num_minibatches}")
        if not 0 < gamma <= 1:
            raise ValueError(f"gamma must be in (0, 1], was {gamma}")
        if not 0 <= gae_lambda <= 1:
            raise ValueError(f"gae_lambda must be in [0, 1], was {gae_lambda}")
        if not 0 < clip < 1:
            raise ValueError(f"clip must be in (0, 1), was {clip}")
        self.rollout_steps, self.num_minibatches, self.num_passes = rollout_steps, num_minibatches, num_passes
        self.iterations_per_epoch, self.gamma, self.gae_lambda = iterations_per_epoch, gamma, gae_lambda
        inputs = WindowInput(
            features=MarketTensors.build(setting.panel, setting.features).features,
            window=self.env.window,
            is_indexed=self.env.observation == "index",
        )
        self.loss = ClipPPOLoss(
            _actor_module(Actor(inputs=inputs, model=model, env=self.env, log_deviation=log_deviation), inputs),
            TensorDictModule(Critic(inputs=inputs, model=model), _in_keys(inputs), ["state_value"]),
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
    def frames_per_epoch(self) -> int:
        """Environment steps of one Lightning epoch."""
        return self.num_envs * self.rollout_steps * self.iterations_per_epoch

    def stream(self) -> OnPolicyStream:
        """Return the rollouts of one epoch as minibatches."""
        return OnPolicyStream(
            simulator=self.simulator(),
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

    def act(self, observation: dict[str, Tensor], market: MarketTensors, generator: torch.Generator | None) -> Acted:
        """Return the action of every account on any market with the same features."""
        inputs = self.actor.inputs
        trained_on, inputs.features = inputs.features, market.features
        bars = observation["index"] if inputs.is_indexed else observation["window"]
        action, _, log_prob_BA = self.actor.act(bars, observation["portfolio"], generator)
        inputs.features = trained_on
        return Acted(action, None if log_prob_BA is None else log_prob_BA.exp())

    def training_step(self, batch: TensorDict, batch_idx: int) -> Tensor:
        """Return the loss of one minibatch; the last of each pass is logged."""
        terms = self.loss(batch)
        loss = terms["loss_objective"] + terms["loss_critic"] + terms["loss_entropy"]
        if (batch_idx + 1) % (self.num_minibatches * self.num_passes) == 0:
            logged = {f"train/{name}": terms[key].detach() for key, name in LOGGED.items()}
            logged["train/loss"] = loss.detach()
            logged["train/lr"] = torch.tensor(self.trainer.optimizers[0].param_groups[0]["lr"])
            logged["train/mean_reward"] = torch.tensor(self.stream_in_use.mean_reward)
            self.log_dict(logged, batch_size=len(batch))
        return loss


def _check_counts(*counts: int) -> None:
    names = ("rollout_steps", "num_minibatches", "num_passes", "iterations_per_epoch")
    for name, count in zip(names, counts, strict=True):
        if count < 1:
            raise ValueError(f"{name} must be >= 1, was {count}")


def _in_keys(inputs: WindowInput) -> list[str]:
    return ["index" if inputs.is_indexed else "window", "portfolio"]


def _actor_module(actor: Actor, inputs: WindowInput) -> ProbabilisticTensorDictSequential:
    """Wrap the actor with its distribution, as TorchRL's losses expect it."""
    keys = ["loc", "scale"] if actor.is_continuous else ["logits"]
    return ProbabilisticTensorDictSequential(
        TensorDictModule(actor, _in_keys(inputs), keys),
        ProbabilisticTensorDictModule(
            in_keys=keys,
            out_keys=["action"],
            distribution_class=IndependentNormal if actor.is_continuous else Categorical,
            return_log_prob=True,
        ),
    )
