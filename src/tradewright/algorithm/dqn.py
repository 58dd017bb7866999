"""``algorithm=dqn``: deep Q-learning, double by default, optionally dueling, prioritised and over several steps.

L = E[Huber(Q(s, a) - y)], y = r + γ Q'(s', argmax_a Q(s', a)): the trained network chooses, its slow copy Q' judges.
Source: van Hasselt et al., arXiv 1509.06461; Wang et al., arXiv 1511.06581; Schaul et al., arXiv 1511.05952.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from tradewright.algorithm.networks import ModelFactory
from tradewright.algorithm.off_policy import OffPolicyModule
from tradewright.algorithm.q_networks import QValues
from tradewright.algorithm.setting import Setting
from tradewright.algorithm.transitions import Batch, target_of, weighted_mean
from tradewright.config.runtime import Runtime
from tradewright.strategy.policy import Acted


class DQN(OffPolicyModule):
    """Q-learning of discrete actions; takes the keys of ``OffPolicyModule`` and these.

    Args:
        is_double: The trained network chooses the next action and the target judges it; else the target does both,
            and overestimates.
        is_dueling: Split values into that of the state and that of each action.
        epsilon_start, epsilon_final: Share of random actions at the first frame and from ``epsilon_frames`` on, in
            [0, 1]; linear in between.
        epsilon_frames: Frames over which it falls, >= 1.

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
        batch_size: int = 128,
        buffer_size: int = 100_000,
        learning_starts: int = 1_000,
        lr: float = 1e-3,
        gamma: float = 0.99,
        n_step: int = 1,
        tau: float = 0.01,
        is_double: bool = True,
        is_dueling: bool = False,
        is_prioritised: bool = False,
        priority_alpha: float = 0.6,
        priority_beta: float = 0.4,
        epsilon_start: float = 1.0,
        epsilon_final: float = 0.01,
        epsilon_frames: int = 10_000,
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
        if not 0 <= epsilon_final <= epsilon_start <= 1:
            raise ValueError(
                f"epsilon_final must be in [0, epsilon_start <= 1], was {epsilon_final} with {epsilon_start}"
            )
        if epsilon_frames < 1:
            raise ValueError(f"epsilon_frames must be >= 1, was {epsilon_frames}")
        self.is_double = is_double
        self.epsilon_start, self.epsilon_final, self.epsilon_frames = epsilon_start, epsilon_final, epsilon_frames
        self.q = QValues(body=self.body(), num_actions=self.env.num_actions, is_dueling=is_dueling)
        self.target_q = target_of(self.q)

    def epsilon(self, frames: int) -> float:
        """Return the share of random actions after so many frames."""
        left = max(0.0, 1.0 - frames / self.epsilon_frames)
        return self.epsilon_final + (self.epsilon_start - self.epsilon_final) * left

    def explore(self, observation: dict[str, Tensor], frames: int, generator: torch.Generator) -> Tensor:
        """Return the best action, or with probability ε any."""
        return self._epsilon_greedy(observation, self.epsilon(frames), generator)

    def choose(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        """Return the best action; with a generator the final ε of actions is random. Values are no probabilities."""
        if generator is None:
            return Acted(self.q(*self.observed(observation)).argmax(-1), None)
        return Acted(self._epsilon_greedy(observation, self.epsilon_final, generator), None)

    def _epsilon_greedy(self, observation: dict[str, Tensor], epsilon: float, generator: torch.Generator) -> Tensor:
        best_B = self.q(*self.observed(observation)).argmax(-1)
        is_random_B = torch.rand(len(best_B), generator=generator, device=best_B.device) < epsilon
        return torch.where(is_random_B, self.random_action(len(best_B), generator), best_B)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss and the mean value of the actions taken."""
        with torch.no_grad():
            following = self.following(batch)
            next_MA = self.target_q(*following)
            if self.is_double:
                value_M = next_MA.gather(-1, self.q(*following).argmax(-1, keepdim=True))[:, 0]
            else:
                value_M = next_MA.max(-1).values
            target_M = self.target(batch, value_M)
        q_M = self.q(*self.observed(batch)).gather(-1, batch["action"][:, None])[:, 0]
        loss = weighted_mean(nn.functional.smooth_l1_loss(q_M, target_M, reduction="none"), batch)
        error_M = (q_M - target_M).detach()
        return {"loss": loss, "td_error": error_M, "q": q_M.detach().mean()}

    def followers(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the target and the network."""
        return [(self.target_q, self.q)]
