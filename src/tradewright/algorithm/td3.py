"""``algorithm=td3``: twin delayed deterministic policy gradient.

a' = clip(μ'(s') + clip(σ·noise, -c, c), -1, 1);  y = r + γ min Q'(s', a');  L_Q = Σ_i E[(Q_i(s, a) - y)²]
L_μ = -E[Q_1(s, μ(s))], only every ``policy_delay``-th step, after which the targets follow.
Source: Fujimoto et al., "Addressing function approximation error in actor-critic methods", arXiv 1802.09477.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tradewright.algorithm.agent import require_positive
from tradewright.algorithm.networks import ModelFactory
from tradewright.algorithm.off_policy import OffPolicyModule
from tradewright.algorithm.q_networks import DeterministicActor, QValue, TwinQ
from tradewright.algorithm.setting import Setting
from tradewright.algorithm.transitions import Batch, frozen, target_of, weighted_mean
from tradewright.config.runtime import Runtime
from tradewright.strategy.policy import Acted

SMOOTHING = "smoothing"
"""Standard normal numbers [M, A] that smooth the target's action."""


class TD3(OffPolicyModule):
    """Deterministic actor of continuous actions in (-1, 1); takes the keys of ``OffPolicyModule`` and these.

    Args:
        critic_lr: Learning rate of the two critics; None: ``lr``.
        exploration_noise: Deviation of the normal noise on collected actions, >= 0; the sum stays in [-1, 1].
        target_noise: σ >= 0, deviation of the noise on the target's actions.
        target_noise_clip: c >= 0, most of that noise.
        policy_delay: Gradient steps of the critics for one of the actor and of the targets, >= 1.

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
        gamma: float = 0.99,
        n_step: int = 1,
        tau: float = 0.005,
        exploration_noise: float = 0.1,
        target_noise: float = 0.2,
        target_noise_clip: float = 0.5,
        policy_delay: int = 2,
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
        require_positive(critic_lr=self.critic_lr, policy_delay=policy_delay)
        noises = {"exploration_noise": exploration_noise, "target_noise": target_noise}
        for name, value in {**noises, "target_noise_clip": target_noise_clip}.items():
            if not value >= 0:
                raise ValueError(f"{name} must be >= 0, was {value}")
        self.exploration_noise, self.target_noise = exploration_noise, target_noise
        self.target_noise_clip, self.policy_delay = target_noise_clip, policy_delay
        num_actions = self.env.num_actions
        self.actor = DeterministicActor(body=self.body(), num_actions=num_actions)
        self.critic = TwinQ(lambda: QValue(body=self.body(extra_features=num_actions)))
        self.target_actor, self.target_critic = target_of(self.actor), target_of(self.critic)
        self._critic_weights = list(self.critic.parameters())

    def noise(self, num: int, generator: torch.Generator) -> Batch:
        """Return normal numbers for the target's action of every transition."""
        size = (num, self.env.num_actions)
        return {SMOOTHING: torch.randn(size, generator=generator, device=self.device)}

    def explore(self, observation: dict[str, Tensor], frames: int, generator: torch.Generator) -> Tensor:
        """Return the actor's actions with noise."""
        return self.choose(observation, generator).action

    def choose(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        """Return the actor's action, with a generator plus the noise of exploration."""
        action_BA = self.actor(*self.observed(observation))
        if generator is None:
            return Acted(action_BA, None)
        noise_BA = torch.randn(action_BA.shape, generator=generator, device=self.device)
        return Acted((action_BA + self.exploration_noise * noise_BA).clamp(-1.0, 1.0), None)

    @property
    def is_delayed(self) -> bool:
        """Whether the gradient step under way trains the critics alone."""
        return (self.trainer.global_step + 1) % self.policy_delay != 0

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss of the critics, and where it is not delayed that of the actor too."""
        return self.critic_terms(batch) if self.is_delayed else self.both_terms(batch)

    def compiled_terms(self) -> Callable[[Batch], dict[str, Tensor]]:
        """Return ``terms`` of two compiled functions: one that read the number of the step would never be ready."""
        critic_terms, both_terms = self.compiled(self.critic_terms), self.compiled(self.both_terms)
        return lambda batch: critic_terms(batch) if self.is_delayed else both_terms(batch)

    def both_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss of the critics and of the actor."""
        terms, loss_policy = self.critic_terms(batch), self.policy_loss(batch)
        return {**terms, "loss": terms["loss"] + loss_policy, "loss_policy": loss_policy.detach()}

    def critic_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss of the critics against the smoothed target."""
        with torch.no_grad():
            following = self.following(batch)
            smoothing_MA = self.target_noise * batch[SMOOTHING]
            smoothing_MA = smoothing_MA.clamp(-self.target_noise_clip, self.target_noise_clip)
            next_MA = (self.target_actor(*following) + smoothing_MA).clamp(-1.0, 1.0)
            target_M = self.target(batch, self.target_critic.lower(*following, next_MA)[:, 0])
        first_M1, second_M1 = self.critic(*self.observed(batch), batch["action"])
        first_error_M, second_error_M = first_M1[:, 0] - target_M, second_M1[:, 0] - target_M
        loss = weighted_mean(first_error_M.square() + second_error_M.square(), batch)
        return {
            "loss": loss,
            "td_error": torch.maximum(first_error_M.detach().abs(), second_error_M.detach().abs()),
            "loss_value": loss.detach(),
            "q": first_M1.detach().mean(),
        }

    def policy_loss(self, batch: Batch) -> Tensor:
        """Return the loss of the actor: minus what the first critic says of its actions."""
        values = self.observed(batch)
        action_MA = self.actor(*values)
        with frozen(self._critic_weights):
            return -weighted_mean(self.critic.first(*values, action_MA)[:, 0], batch)

    def follow(self) -> None:
        """Let the targets follow on the steps that train the actor."""
        if not self.is_delayed:
            super().follow()

    def followers(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the target critics and the critics, the target actor and the actor."""
        return [(self.target_critic, self.critic), (self.target_actor, self.actor)]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return actor and critics, each with its learning rate."""
        return [
            {"params": list(self.actor.parameters()), "lr": self.lr},
            {"params": list(self.critic.parameters()), "lr": self.critic_lr},
        ]
