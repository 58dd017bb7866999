"""``algorithm=sac``: soft actor-critic with an automatic temperature.

y = r + γ (min Q'(s', a') - α log π(a'|s')), a' ~ π(s');  L_Q = Σ_i E[(Q_i(s, a) - y)²]
L_π = E[α log π(a|s) - min Q(s, a)], a = tanh(μ + σ·noise);  L_α = -E[log α (log π(a|s) + H)], H the entropy aimed at.
Source: Haarnoja et al., "Soft actor-critic algorithms and applications", arXiv 1812.05905.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tradewright.algorithm.agent import require_positive
from tradewright.algorithm.networks import ModelFactory
from tradewright.algorithm.off_policy import OffPolicyModule
from tradewright.algorithm.q_networks import QValue, SquashedActor, TwinQ
from tradewright.algorithm.replay import NEXT
from tradewright.algorithm.setting import Setting
from tradewright.algorithm.transitions import Batch, frozen, target_of, weighted_mean
from tradewright.config.runtime import Runtime
from tradewright.strategy.policy import Acted

NOISE = "noise"
"""Standard normal numbers [M, A] for the action at the observation; behind ``next/`` at the one after it."""


class SAC(OffPolicyModule):
    """Soft actor-critic of continuous actions in (-1, 1); takes the keys of ``OffPolicyModule`` and these.

    Args:
        critic_lr: Learning rate of the two critics; None: ``lr``.
        alpha_lr: Learning rate of the temperature; None: ``lr``.
        alpha: Temperature at first, > 0: what a unit of entropy is worth in reward.
        target_entropy: Entropy aimed at, in nats; None: minus the number of action components.

    Raises:
        ValueError: An argument is out of range.
    """

    action_kinds: ClassVar[tuple[str, ...]] = ("continuous",)

    def __init__(
        self,
        *,
        setting: Runtime[Setting],
        model: Runtime[ModelFactory],
        total_frames: int,
        episodes: int | None = None,
        num_envs: int = 8,
        steps_per_iteration: int = 8,
        updates_per_iteration: int = 16,
        iterations_per_epoch: int = 50,
        batch_size: int = 256,
        buffer_size: int = 100_000,
        learning_starts: int = 1_000,
        lr: float = 1e-3,
        critic_lr: float | None = None,
        alpha_lr: float | None = None,
        gamma: float = 0.99,
        n_step: int = 1,
        tau: float = 0.005,
        alpha: float = 1.0,
        target_entropy: float | None = None,
        is_prioritised: bool = False,
        priority_alpha: float = 0.6,
        priority_beta: float = 0.4,
        compile: bool = False,
    ) -> None:
        super().__init__(
            setting=setting,
            model=model,
            total_frames=total_frames,
            episodes=episodes,
            num_envs=num_envs,
            steps_per_iteration=steps_per_iteration,
            updates_per_iteration=updates_per_iteration,
            iterations_per_epoch=iterations_per_epoch,
            batch_size=batch_size,
            buffer_size=buffer_size,
            learning_starts=learning_starts,
            lr=lr,
            gamma=gamma,
            n_step=n_step,
            tau=tau,
            is_prioritised=is_prioritised,
            priority_alpha=priority_alpha,
            priority_beta=priority_beta,
            compile=compile,
        )
        self.critic_lr = lr if critic_lr is None else critic_lr
        self.alpha_lr = lr if alpha_lr is None else alpha_lr
        require_positive(critic_lr=self.critic_lr, alpha_lr=self.alpha_lr, alpha=alpha)
        num_actions = self.env.num_actions
        self.target_entropy = -float(num_actions) if target_entropy is None else target_entropy
        self.actor = SquashedActor(body=self.body(), num_actions=num_actions)
        self.critic = TwinQ(lambda: QValue(body=self.body(extra_features=num_actions)))
        self.target_critic = target_of(self.critic)
        self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))
        self._critic_weights = list(self.critic.parameters())

    def noise(self, num: int, generator: torch.Generator) -> Batch:
        """Return normal numbers for both actions of every transition."""
        size = (num, self.env.num_actions)
        return {name: torch.randn(size, generator=generator, device=self.device) for name in (NOISE, NEXT + NOISE)}

    def explore(self, observation: dict[str, Tensor], frames: int, generator: torch.Generator) -> Tensor:
        """Return sampled actions."""
        return self.choose(observation, generator).action

    def choose(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        """Return the squashed mean, or with a generator a sample."""
        values = self.observed(observation)
        if generator is None:
            return Acted(self.actor.mean(*values), None)
        noise_BA = torch.randn(len(values[0]), self.env.num_actions, generator=generator, device=self.device)
        return Acted(self.actor.sample(*values, noise=noise_BA)[0], None)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the sum of the three losses, each of them, the temperature and the entropy."""
        alpha = self.log_alpha.detach().exp()
        values = self.observed(batch)
        with torch.no_grad():
            following = self.following(batch)
            next_MA, next_log_prob_M = self.actor.sample(*following, noise=batch[NEXT + NOISE])
            value_M = self.target_critic.lower(*following, next_MA)[:, 0] - alpha * next_log_prob_M
            target_M = self.target(batch, value_M)
        first_M1, second_M1 = self.critic(*values, batch["action"])
        first_error_M, second_error_M = first_M1[:, 0] - target_M, second_M1[:, 0] - target_M
        loss_value = weighted_mean(first_error_M.square() + second_error_M.square(), batch)
        action_MA, log_prob_M = self.actor.sample(*values, noise=batch[NOISE])
        with frozen(self._critic_weights):
            loss_policy = weighted_mean(alpha * log_prob_M - self.critic.lower(*values, action_MA)[:, 0], batch)
        loss_alpha = -weighted_mean(self.log_alpha * (log_prob_M.detach() + self.target_entropy), batch)
        return {
            "loss": loss_value + loss_policy + loss_alpha,
            "td_error": torch.maximum(first_error_M.detach().abs(), second_error_M.detach().abs()),
            "loss_value": loss_value.detach(),
            "loss_policy": loss_policy.detach(),
            "loss_alpha": loss_alpha.detach(),
            "alpha": alpha,
            "entropy": -log_prob_M.detach().mean(),
        }

    def followers(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the target critics and the critics."""
        return [(self.target_critic, self.critic)]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return actor, critics and temperature, each with its learning rate."""
        return [
            {"params": list(self.actor.parameters()), "lr": self.lr},
            {"params": list(self.critic.parameters()), "lr": self.critic_lr},
            {"params": [self.log_alpha], "lr": self.alpha_lr},
        ]
