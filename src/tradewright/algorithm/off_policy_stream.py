"""``OffPolicyStream``: collects with the exploring agent, keeps what happened, and replays it in batches.

One iteration takes ``steps_per_iteration`` steps in every environment and then yields ``updates_per_iteration``
batches. Before the first of all, ``learning_starts`` frames of random actions are collected on top: so every iteration
has the same number of gradient steps, and every batch is drawn from real transitions.
Legend: B environments, M transitions of a batch, A action components.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from tradewright.algorithm.prioritised import Priorities
from tradewright.algorithm.replay import NEXT, Replay
from tradewright.algorithm.stream import Stream
from tradewright.algorithm.transitions import Batch
from tradewright.callbacks.checkpoints import BULK
from tradewright.env.world import World
from tradewright.errors import RunError
from tradewright.reward.reward import require_finite

BATCHES_AT_ONCE = 8
"""Batches gathered together where nothing that they are drawn from changes in between."""


class Explorer(Protocol):
    """What a stream needs of an agent."""

    num_envs: int
    num_processes: int
    n_step: int
    gamma: float
    batch_size: int
    buffer_size: int
    steps_per_iteration: int
    updates_per_iteration: int
    iterations_per_epoch: int
    is_prioritised: bool
    priority_alpha: float
    reward_name: str

    @property
    def warm_up_frames(self) -> int:
        """Frames of random actions before the first update."""
        ...

    def random_action(self, num: int, generator: torch.Generator) -> Tensor:
        """Return uniformly random actions."""
        ...

    def explore(self, observation: dict[str, Tensor], frames: int, generator: torch.Generator) -> Tensor:
        """Return actions to collect with after so many frames."""
        ...

    def noise(self, num: int, generator: torch.Generator) -> Batch:
        """Return the random numbers that the losses of ``num`` transitions take, by field."""
        ...

    def priority_beta_at(self, frames: int) -> float:
        """Return β after so many frames."""
        ...


class OffPolicyStream(Stream):
    """Batches of replayed transitions.

    Args:
        agent: Acts and says how much of everything; read, never changed.
        world: B environments with their own generator.
        generator: Draws actions, transitions and the noise of losses.
    """

    def __init__(self, *, agent: Explorer, world: World, generator: torch.Generator) -> None:
        super().__init__(
            world=world,
            generator=generator,
            num_iterations=agent.iterations_per_epoch,
            batches_per_iteration=agent.updates_per_iteration,
        )
        self.agent = agent
        self.replay = Replay(
            capacity=agent.buffer_size,
            num_envs=agent.num_envs,
            n_step=agent.n_step,
            gamma=agent.gamma,
            device=world.device,
        )
        self.priorities = (
            Priorities(capacity=agent.buffer_size, alpha=agent.priority_alpha, device=world.device)
            if agent.is_prioritised
            else None
        )

    def iteration(self) -> Iterator[Batch]:
        """Collect, then yield the batches of one iteration; a prioritised one is drawn after the update before it."""
        self.collect()
        num_left = self.batches_per_iteration
        while num_left:
            num = 1 if self.priorities else min(num_left, BATCHES_AT_ONCE)
            yield from self.draw(num)
            num_left -= num

    @torch.no_grad()
    def collect(self) -> None:
        """Take the steps of one iteration, and before the first one the random ones."""
        agent = self.agent
        num_random = -(-max(0, agent.warm_up_frames - self.frames) // agent.num_envs)
        observation = self.world.observe()
        rewards = []
        for step in range(num_random + agent.steps_per_iteration):
            if step < num_random:
                action = agent.random_action(agent.num_envs, self.generator)
            else:
                action = agent.explore(observation, self.frames * agent.num_processes, self.generator)
            moved = self.world.step(action)
            done_B = moved.terminated_B | moved.truncated_B
            following = self.world.observe()
            slots_B = self.replay.add(
                {
                    **observation,
                    **{NEXT + name: x for name, x in following.items()},
                    "action": action,
                    "reward": moved.reward_B.to(torch.float32),
                    "terminated": moved.terminated_B,
                    "truncated": moved.truncated_B,
                }
            )
            if self.priorities:
                self.priorities.add(slots_B)
            self.frames += agent.num_envs
            rewards.append(moved.reward_B)
            has_done = bool(done_B.any())
            self.episodes.add(moved, done_B, has_done=has_done)
            if has_done:
                self.world.restart(done_B)
                following = self.world.observe()
            observation = following
        reward_SB = torch.stack(rewards)
        require_finite(reward_SB, agent.reward_name, self.world.drain_terms)
        self.describe(float(reward_SB.mean()))

    @torch.no_grad()
    def draw(self, num_batches: int) -> list[Batch]:
        """Return so many batches of transitions, all gathered at once."""
        num, size = num_batches * self.agent.batch_size, self.agent.batch_size
        if self.priorities:
            slots_M = self.priorities.draw(num, self.generator)
            beta = self.agent.priority_beta_at(self.frames * self.agent.num_processes)
            more = {"weight": self.priorities.weights(slots_M, len(self.replay), beta)}
        else:
            slots_M, more = self.replay.draw(num, self.generator), {}
        drawn = {
            **self.replay.gather(slots_M),
            **self.agent.noise(num, self.generator),
            **more,
            "slots": slots_M,
        }
        if num_batches == 1:
            return [drawn]
        parts = {name: x.split(size) for name, x in drawn.items()}
        return [{name: x[i] for name, x in parts.items()} for i in range(num_batches)]

    def learned(self, batch: Batch, error_M: Tensor) -> None:
        """Note the temporal-difference errors of a batch, by which it will be drawn again."""
        if self.priorities:
            self.priorities.update(batch["slots"], error_M)

    def state_dict(self) -> dict[str, Any]:
        """Return the state between two iterations, the replay included."""
        bulk = {"replay": self.replay.state_dict()}
        if self.priorities:
            bulk["priorities"] = self.priorities.state_dict()
        return {**super().state_dict(), BULK: bulk}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            RunError: It is that of a best checkpoint, which has no replay.
        """
        if state[BULK] is None:
            raise RunError("a best checkpoint has no replay to continue training from; resume from last.ckpt")
        super().load_state_dict(state)
        self.replay.load_state_dict(state[BULK]["replay"])
        if self.priorities:
            self.priorities.load_state_dict(state[BULK]["priorities"])
