"""On-policy collection and minibatches; advantages are computed once per rollout.

Legend: S steps of a rollout, B environments.
"""

from collections.abc import Iterator

import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.objectives.value.functional import vec_generalized_advantage_estimate

from tradewright.algorithm.networks import Actor, Critic
from tradewright.algorithm.stream import Stream
from tradewright.env.world import World
from tradewright.reward.reward import require_finite


class OnPolicyStream(Stream):
    """Collects a rollout, then yields its shuffled minibatches, ``num_iterations`` times.

    Args:
        world: B environments with their own generator.
        actor, critic: Current networks; read, never changed.
        num_steps: S, steps per environment and rollout.
        num_passes: Passes over each rollout.
        num_minibatches: Minibatches per pass; must divide S·B.
        num_iterations: Rollouts per Lightning epoch.
        gamma: Discount per step.
        gae_lambda: λ of generalised advantage estimation.
        generator: Draws actions and shuffles.
        reward_name: Named when a reward is not finite.
    """

    def __init__(
        self,
        *,
        world: World,
        actor: Actor,
        critic: Critic,
        num_steps: int,
        num_passes: int,
        num_minibatches: int,
        num_iterations: int,
        gamma: float,
        gae_lambda: float,
        generator: torch.Generator,
        reward_name: str,
    ) -> None:
        super().__init__(
            world=world,
            generator=generator,
            num_iterations=num_iterations,
            batches_per_iteration=num_passes * num_minibatches,
        )
        self.actor, self.critic = actor, critic
        self.num_steps, self.num_passes, self.num_minibatches = num_steps, num_passes, num_minibatches
        self.gamma, self.gae_lambda, self.reward_name = gamma, gae_lambda, reward_name

    def iteration(self) -> Iterator[TensorDict]:
        """Collect one rollout and yield its minibatches."""
        data = self.collect()
        size = len(data) // self.num_minibatches
        for _ in range(self.num_passes):
            order = torch.randperm(len(data), generator=self.generator, device=data.device)
            for first in range(0, size * self.num_minibatches, size):
                yield data[order[first : first + size]]

    @torch.no_grad()
    def collect(self) -> TensorDict:
        """Roll the accounts S bars forward and return ``[S·B]`` transitions with advantages and value targets."""
        steps: list[dict[str, Tensor]] = []
        observation = self.world.observe()
        for _ in range(self.num_steps):
            row, observation = self._step(observation)
            steps.append(row)
        data_SB = {name: torch.stack([row[name] for row in steps]) for name in steps[0]}
        require_finite(data_SB["reward"], self.reward_name, self.world.drain_terms)
        self.frames += self.num_steps * self.world.num_envs
        self.describe(float(data_SB["reward"].mean()))
        # The value after step s is the value before step s+1, but for accounts that were restarted in between.
        last_value_1B = self.critic(*self._values(observation))[:, 0][None]
        next_value_SB = torch.cat((data_SB["value"][1:], last_value_1B))
        done_SB = data_SB["terminated"] | data_SB["truncated"]
        next_value_SB = torch.where(done_SB, data_SB.pop("final_value"), next_value_SB)
        advantage_SB, target_SB = _advantages(data_SB, next_value_SB, done_SB, self.gamma, self.gae_lambda)
        flat = {name: data_SB[name].flatten(0, 1) for name in (*observation, "action", "action_log_prob")}
        return TensorDict(
            {
                **flat,
                "advantage": advantage_SB.reshape(-1, 1),
                "value_target": target_SB.reshape(-1, 1),
                "state_value": data_SB["value"].reshape(-1, 1),
            },
            batch_size=[done_SB.numel()],
        )

    def _step(self, observation: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Take one step; return its row and the next observation."""
        values = self._values(observation)
        action, log_prob_B, _ = self.actor.act(*values, generator=self.generator)
        value_B = self.critic(*values)[:, 0]
        moved = self.world.step(action)
        done_B = moved.terminated_B | moved.truncated_B
        final_value_B = torch.zeros_like(value_B)
        has_done = bool(done_B.any())
        self.episodes.add(moved, done_B, has_done=has_done)
        if has_done:
            final_value_B = self.critic(*self._values(self.world.observe()))[:, 0]
            self.world.restart(done_B)
        row = {
            **observation,
            "action": action,
            "action_log_prob": log_prob_B,
            "value": value_B,
            "final_value": final_value_B,
            "reward": moved.reward_B,
            "terminated": moved.terminated_B,
            "truncated": moved.truncated_B,
        }
        return row, self.world.observe()

    def _values(self, observation: dict[str, Tensor]) -> list[Tensor]:
        return [observation[key] for key in self.actor.in_keys]


def _advantages(
    data_SB: dict[str, Tensor], next_value_SB: Tensor, done_SB: Tensor, gamma: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """Return advantages and value targets ``[S, B]``; truncated episodes bootstrap, terminated ones do not."""

    def columns(x_SB: Tensor) -> Tensor:
        return x_SB.T[..., None]

    advantage_BS1, target_BS1 = vec_generalized_advantage_estimate(
        gamma,
        gae_lambda,
        columns(data_SB["value"]),
        columns(next_value_SB),
        columns(data_SB["reward"].to(torch.float32)),
        columns(done_SB),
        columns(data_SB["terminated"]),
    )
    return advantage_BS1[..., 0].T, target_BS1[..., 0].T
