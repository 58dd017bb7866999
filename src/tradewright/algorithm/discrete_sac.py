"""``algorithm=discrete_sac``: soft actor-critic of discrete actions; expectations over actions are exact sums.

y = r + γ Σ_a π(a|s') (min Q'(s', a) - α log π(a|s'));  L_Q = Σ_i E[(Q_i(s, a) - y)²]
L_π = E[Σ_a π(a|s) (α log π(a|s) - min Q(s, a))];  L_α = E[log α (entropy of π - H)], H a share of the largest entropy.
Source: Christodoulou, "Soft actor-critic for discrete action settings", arXiv 1910.07207.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tradewright.algorithm.agent import require_positive
from tradewright.algorithm.networks import Actor, ModelFactory
from tradewright.algorithm.off_policy import OffPolicyModule
from tradewright.algorithm.q_networks import QValues, TwinQ
from tradewright.algorithm.setting import Setting
from tradewright.algorithm.transitions import Batch, target_of, weighted_mean
from tradewright.config.runtime import Runtime
from tradewright.strategy.policy import Acted


class DiscreteSAC(OffPolicyModule):
    """Soft actor-critic of discrete actions; takes the keys of ``OffPolicyModule`` and these.

    Args:
        critic_lr: Learning rate of the two critics; None: ``lr``.
        alpha_lr: Learning rate of the temperature; None: ``lr``.
        alpha: Temperature at first, > 0: what a unit of entropy is worth in reward.
        entropy_share: Entropy aimed at, as a fraction of that of uniformly random actions, in (0, 1).

    Raises:
        ValueError: An argument is out of range.
    """

    action_kinds: ClassVar[tuple[str, ...]] = ("discrete",)

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
        tau: float = 0.01,
        alpha: float = 1.0,
        entropy_share: float = 0.3,
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
        if not 0 < entropy_share < 1:
            raise ValueError(f"entropy_share must be in (0, 1), was {entropy_share}")
        num_actions = self.env.num_actions
        self.target_entropy = entropy_share * math.log(num_actions)
        self.actor = Actor(body=self.body(), env=self.env, log_deviation=0.0)
        self.critic = TwinQ(lambda: QValues(body=self.body(), num_actions=num_actions))
        self.target_critic = target_of(self.critic)
        self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))

    def explore(self, observation: dict[str, Tensor], frames: int, generator: torch.Generator) -> Tensor:
        """Return sampled actions."""
        return self.choose(observation, generator).action

    def choose(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        """Return the most probable action, or with a generator a sample."""
        action_B, _, log_prob_BA = self.actor.act(*self.observed(observation), generator=generator)
        return Acted(action_B, None if log_prob_BA is None else log_prob_BA.exp())

    def log_policy(self, values: list[Tensor]) -> Tensor:
        """Return log π of every action, ``[M, A]``."""
        logits_MA = self.actor(*values)
        assert isinstance(logits_MA, Tensor)
        return logits_MA.log_softmax(-1)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the sum of the three losses, each of them, the temperature and the entropy."""
        alpha = self.log_alpha.detach().exp()
        values = self.observed(batch)
        with torch.no_grad():
            following = self.following(batch)
            next_log_MA = self.log_policy(following)
            soft_MA = self.target_critic.lower(*following) - alpha * next_log_MA
            target_M = self.target(batch, (next_log_MA.exp() * soft_MA).sum(-1))
        first_MA, second_MA = self.critic(*values)
        action_M1 = batch["action"][:, None]
        first_error_M = first_MA.gather(-1, action_M1)[:, 0] - target_M
        second_error_M = second_MA.gather(-1, action_M1)[:, 0] - target_M
        loss_value = weighted_mean(first_error_M.square() + second_error_M.square(), batch)
        log_MA = self.log_policy(values)
        lower_MA = torch.minimum(first_MA, second_MA).detach()
        loss_policy = weighted_mean((log_MA.exp() * (alpha * log_MA - lower_MA)).sum(-1), batch)
        entropy_M = -(log_MA.exp() * log_MA).sum(-1).detach()
        loss_alpha = weighted_mean(self.log_alpha * (entropy_M - self.target_entropy), batch)
        return {
            "loss": loss_value + loss_policy + loss_alpha,
            "td_error": torch.maximum(first_error_M.detach().abs(), second_error_M.detach().abs()),
            "loss_value": loss_value.detach(),
            "loss_policy": loss_policy.detach(),
            "loss_alpha": loss_alpha.detach(),
            "alpha": alpha,
            "entropy": entropy_M.mean(),
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
