"""``algorithm=iql``: implicit Q-learning: values of logged actions only, and a policy that prefers the better of them.

With u = min Q'(s, a) - V(s) over the slow copies Q' of two action values:

    L_V = E[|τ - 1(u < 0)| u²]              the upper expectile τ of what logged actions are worth
    L_Q = Σ E[(r + γ V(s') - Q(s, a))²]
    L_π = -E[min(exp(β u), 100) log π(a | s)]

No action outside the log is ever valued, so nothing is believed of what nobody tried.
Source: Kostrikov, Nair and Levine, "Offline reinforcement learning with implicit Q-learning", arXiv 2110.06169.
"""

import torch
from torch import Tensor, nn

from tradewright.algorithm.bc import act
from tradewright.algorithm.networks import Actor, Critic, ModelFactory
from tradewright.algorithm.offline import OfflineModule
from tradewright.algorithm.q_networks import QValue, QValues, TwinQ
from tradewright.algorithm.setting import Setting
from tradewright.algorithm.transitions import Batch, target_of
from tradewright.config.runtime import Runtime
from tradewright.strategy.policy import Acted
from tradewright.strategy.strategy import Strategy

LARGEST_WEIGHT = 100.0
"""Cap of exp(β u), the authors' own."""


class IQL(OfflineModule):
    """Implicit Q-learning; takes the keys of ``OfflineModule`` and these.

    Args:
        expectile: τ, in (0, 1); 0.5 is the mean of the log, more asks for the better part of it.
        temperature: β >= 0; 0 is behaviour cloning, more trusts the values more.
        tau: Share of the trained action values that moves into the slow ones after each step, in (0, 1].
        log_deviation: Initial log-deviation of continuous actions.

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
        expectile: float = 0.7,
        temperature: float = 3.0,
        tau: float = 0.005,
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
            tau=tau,
            compile=compile,
        )
        if not 0 < expectile < 1:
            raise ValueError(f"expectile must be in (0, 1), was {expectile}")
        if not temperature >= 0:
            raise ValueError(f"temperature must be >= 0, was {temperature}")
        self.expectile, self.temperature = expectile, temperature
        self.actor = Actor(body=self.body(), env=self.env, log_deviation=log_deviation)
        self.value = Critic(body=self.body())
        self.q = TwinQ(self._action_value)
        self.target_q = target_of(self.q)

    def _action_value(self) -> nn.Module:
        num_actions = self.env.num_actions
        if self.env.action_kind == "discrete":
            return QValues(body=self.body(), num_actions=num_actions)
        return QValue(body=self.body(extra_features=num_actions))

    def _taken(self, twins: nn.Module, observed: list[Tensor], action: Tensor) -> list[Tensor]:
        """Return both values ``[M]`` of the actions taken, ``[M]`` int64 or ``[M, A]``."""
        if self.env.action_kind == "discrete":
            return [q_MA.gather(-1, action[:, None])[:, 0] for q_MA in twins(*observed)]
        return [q_M1[:, 0] for q_M1 in twins(*observed, action)]

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss and its three parts."""
        observed = self.observed(batch)
        with torch.no_grad():
            least_M = torch.minimum(*self._taken(self.target_q, observed, batch["action"]))
            target_M = self.target(batch, self.value(*self.following(batch))[:, 0])
        value_M = self.value(*observed)[:, 0]
        above_M = least_M - value_M
        loss_value = (torch.where(above_M > 0, self.expectile, 1.0 - self.expectile) * above_M**2).mean()
        errors = [((q_M - target_M) ** 2).mean() for q_M in self._taken(self.q, observed, batch["action"])]
        loss_q = errors[0] + errors[1]
        weight_M = torch.exp(self.temperature * above_M.detach()).clamp(max=LARGEST_WEIGHT)
        loss_policy = -(weight_M * self.actor.log_prob(self.actor(*observed), batch["action"])).mean()
        return {
            "loss": loss_policy + loss_value + loss_q,
            "loss_policy": loss_policy,
            "loss_value": loss_value,
            "loss_q": loss_q,
            "value": value_M.mean(),
        }

    def followers(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the slow action values and the trained ones."""
        return [(self.target_q, self.q)]

    def choose(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        """Return the mean or most probable action, or a draw."""
        return act(self.actor, self.observed(observation), generator)
