"""``algorithm=cql``: conservative Q-learning: action values that are pushed down wherever the log is silent.

    L_Q = ½ E[(r + γ V'(s') - Q(s, a))²] + c · E[log Σ_a exp Q(s, a) - Q(s, a_logged)]

Discrete actions: V' = max_a Q'(s', a), and the policy takes the best action. Continuous actions: two action values,
both penalised; V' = min Q'(s', a'), a' drawn from a squashed normal policy that climbs min Q - α log π, with α set by
its entropy. There the sum is an integral over the actions, estimated from K uniform actions and K of the policy,
weighted by their densities (appendix F of the paper); TorchRL's loss takes the logarithm over three of them at a time.
Source: Kumar, Zhou, Tucker and Levine, "Conservative Q-learning for offline reinforcement learning", arXiv 2006.04779.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from tradewright.algorithm.agent import require_positive
from tradewright.algorithm.networks import ModelFactory
from tradewright.algorithm.offline import OfflineModule
from tradewright.algorithm.q_networks import QValue, QValues, SquashedActor, TwinQ
from tradewright.algorithm.setting import Setting
from tradewright.algorithm.transitions import Batch, frozen, target_of
from tradewright.config.runtime import Runtime
from tradewright.strategy.policy import Acted
from tradewright.strategy.strategy import Strategy

LOG_HALF = math.log(0.5)
"""Log-density of a uniform action in [-1, 1], per component."""


class CQL(OfflineModule):
    """Conservative Q-learning; takes the keys of ``OfflineModule`` and these.

    Args:
        conservatism: c >= 0; 0 is plain Q-learning, which believes what nobody tried.
        num_sampled: K, actions per source that estimate the integral over continuous actions, >= 1.
        tau: Share of the trained action values that moves into the slow ones after each step, in (0, 1].

    Raises:
        ValueError: An argument is out of range.
    """

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
        lr: float = 3e-4,
        gamma: float = 0.99,
        decisions: str | None = None,
        behaviours: dict[str, Strategy],
        log_frames: int = 20_000,
        exploration: float = 0.1,
        conservatism: float = 1.0,
        num_sampled: int = 10,
        tau: float = 0.005,
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
            tau=tau,
            compile=compile,
        )
        require_positive(num_sampled=num_sampled)
        if not conservatism >= 0:
            raise ValueError(f"conservatism must be >= 0, was {conservatism}")
        self.conservatism, self.num_sampled = conservatism, num_sampled
        num_actions = self.env.num_actions
        self.is_discrete = self.env.action_kind == "discrete"
        if self.is_discrete:
            self.q: nn.Module = QValues(body=self.body(), num_actions=num_actions)
        else:
            self.q = TwinQ(lambda: QValue(body=self.body(extra_features=num_actions)))
            self.actor = SquashedActor(body=self.body(), num_actions=num_actions)
            self.log_alpha = nn.Parameter(torch.zeros(()))
        self.target_q = target_of(self.q)

    def followers(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the slow action values and the trained ones."""
        return [(self.target_q, self.q)]

    def noise(self, num: int, generator: torch.Generator) -> Batch:
        """Return the noise of the policy at both ends of a transition, and of the K sampled actions of each source."""
        if self.is_discrete:
            return {}
        sizes = {"noise": (), "next_noise": (), "sampled_noise": (self.num_sampled,)}
        options: dict[str, Any] = {"generator": generator, "device": self.device}
        drawn = {name: torch.randn(num, *more, self.env.num_actions, **options) for name, more in sizes.items()}
        uniform_MKA = 2.0 * torch.rand(num, self.num_sampled, self.env.num_actions, **options) - 1.0
        return {**drawn, "uniform": uniform_MKA}

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss and its parts."""
        return self._discrete_terms(batch) if self.is_discrete else self._continuous_terms(batch)

    def _discrete_terms(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            target_M = self.target(batch, self.target_q(*self.following(batch)).max(-1).values)
        q_MA = self.q(*self.observed(batch))
        q_M = q_MA.gather(-1, batch["action"][:, None])[:, 0]
        loss_q = 0.5 * ((q_M - target_M) ** 2).mean()
        penalty = (q_MA.logsumexp(-1) - q_M).mean()
        loss = loss_q + self.conservatism * penalty
        return {"loss": loss, "loss_q": loss_q, "loss_conservative": penalty, "q": q_M.mean()}

    def _continuous_terms(self, batch: Batch) -> dict[str, Tensor]:
        observed, following = self.observed(batch), self.following(batch)
        assert isinstance(self.q, TwinQ)
        assert isinstance(self.target_q, TwinQ)
        with torch.no_grad():
            next_action, _ = self.actor.sample(*following, noise=batch["next_noise"])
            target_M = self.target(batch, self.target_q.lower(*following, next_action)[:, 0])
            sampled = self._sampled(batch, observed)
        loss_q = penalty = torch.zeros((), device=self.device)
        for q in (self.q.first, self.q.second):
            q_M = q(*observed, batch["action"])[:, 0]
            loss_q = loss_q + 0.5 * ((q_M - target_M) ** 2).mean()
            penalty = penalty + (integral(q, observed, *sampled) - q_M).mean()
        action, log_prob_M = self.actor.sample(*observed, noise=batch["noise"])
        with frozen(list(self.q.parameters())):
            least_M = self.q.lower(*observed, action)[:, 0]
        loss_policy = (self.log_alpha.exp().detach() * log_prob_M - least_M).mean()
        loss_alpha = -(self.log_alpha * (log_prob_M.detach() - self.env.num_actions)).mean()
        return {
            "loss": loss_q + self.conservatism * penalty + loss_policy + loss_alpha,
            "loss_q": loss_q,
            "loss_conservative": penalty,
            "loss_policy": loss_policy,
            "alpha": self.log_alpha.exp().detach(),
            "q": least_M.detach().mean(),
        }

    def _sampled(self, batch: Batch, observed: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return 2K actions ``[M, 2K, A]``, uniform ones and the policy's, and their log-densities ``[M, 2K]``."""
        noise_MKA, uniform_MKA = batch["sampled_noise"], batch["uniform"]
        repeated = [x.repeat_interleave(self.num_sampled, dim=0) for x in observed]
        action, log_prob = self.actor.sample(*repeated, noise=noise_MKA.flatten(0, 1))
        density_MK = log_prob.reshape(noise_MKA.shape[:2])
        uniform_MK = torch.full_like(density_MK, LOG_HALF * noise_MKA.shape[-1])
        actions = torch.cat((uniform_MKA, action.reshape(noise_MKA.shape)), dim=1)
        return actions, torch.cat((uniform_MK, density_MK), dim=1)

    def choose(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        """Return the best discrete action, or the policy's mean or a draw; values are no probabilities."""
        values = self.observed(observation)
        if self.is_discrete:
            return Acted(self.q(*values).argmax(-1), None)
        if generator is None:
            return Acted(self.actor.mean(*values), None)
        noise = torch.randn(len(values[0]), self.env.num_actions, generator=generator, device=self.device)
        return Acted(self.actor.sample(*values, noise=noise)[0], None)


def integral(q: nn.Module, observed: list[Tensor], action_MKA: Tensor, log_density_MK: Tensor) -> Tensor:
    """Return the estimate of log ∫ exp Q(s, a) da ``[M]``: the log of the mean of exp Q / density."""
    num, count = action_MKA.shape[:2]
    repeated = [x.repeat_interleave(count, dim=0) for x in observed]
    q_MK = q(*repeated, action_MKA.flatten(0, 1)).reshape(num, count)
    return torch.logsumexp(q_MK - log_density_MK, dim=1) - math.log(count)
