"""``Stream``: the sized training loader of an agent; one Lightning batch is one gradient step.

Lightning prefetches from loaders without a length and would then collect with the weights from before the update; a
sized one is collected from lazily. One iteration collects and hands out a fixed number of batches; an epoch is a whole
number of iterations, and only between two of them is the state saved.
Legend: B environments.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from tradewright.distributed import total
from tradewright.env.world import Transition, World


class Episodes:
    """Return and length of the episodes that end, while they run.

    Args:
        world: Whose episodes.
    """

    def __init__(self, world: World) -> None:
        self.return_B = torch.zeros(world.num_envs, dtype=torch.float64, device=world.device)
        self.length_B = torch.zeros(world.num_envs, dtype=torch.int64, device=world.device)
        self.num = 0
        """Episodes that ended so far."""
        self._ended_return = self._ended_length = 0.0
        self._ended_num = 0

    def add(self, moved: Transition, done_B: Tensor, *, has_done: bool) -> None:
        """Add one step; ``has_done`` says whether any of ``done_B`` is true."""
        self.return_B += moved.reward_B
        self.length_B += 1
        if has_done:
            self._ended_return += float(self.return_B[done_B].sum())
            self._ended_length += float(self.length_B[done_B].sum())
            self._ended_num += int(done_B.sum())
            self.return_B[done_B] = 0.0
            self.length_B[done_B] = 0

    def drain(self) -> dict[str, float]:
        """Return the mean return and length of the episodes that ended since the last call; {} without any.

        Where several processes train together, those of all of them; ``num`` counts them too.
        """
        ended = (self._ended_return, self._ended_length, float(self._ended_num))
        sum_return, sum_length, num = total(ended, self.return_B.device)
        if not num:
            return {}
        means = {"episode_return": sum_return / num, "episode_length": sum_length / num}
        self.num += int(num)
        self._ended_return = self._ended_length = 0.0
        self._ended_num = 0
        return means

    def state_dict(self) -> dict[str, Any]:
        """Return the running episodes and the count of ended ones."""
        return {"return_B": self.return_B, "length_B": self.length_B, "num": self.num}

    def forget_running(self) -> None:
        """Start the count of every environment anew."""
        self.return_B.zero_()
        self.length_B.zero_()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.return_B = state["return_B"].to(self.return_B.device)
        self.length_B = state["length_B"].to(self.length_B.device)
        self.num = state["num"]


class Stream(ABC):
    """Base of the training streams.

    Args:
        world: The training environments, with a generator of their own.
        generator: Draws actions, shuffles and samples.
        num_iterations: Iterations of an epoch, >= 1.
        batches_per_iteration: Gradient steps of an iteration, >= 1.
    """

    def __init__(
        self, *, world: World, generator: torch.Generator, num_iterations: int, batches_per_iteration: int
    ) -> None:
        self.world, self.generator = world, generator
        self.num_iterations, self.batches_per_iteration = num_iterations, batches_per_iteration
        self.frames = 0
        """Environment steps so far."""
        self.episodes = Episodes(world)
        self.newest: dict[str, float] = {}
        """Figures of the newest iteration, for logging: ``mean_reward``, ``episode_return``, ``reward/<term>``."""

    def __len__(self) -> int:
        return self.num_iterations * self.batches_per_iteration

    def __iter__(self) -> Iterator[Any]:
        for _ in range(self.num_iterations):
            yield from self.iteration()

    @abstractmethod
    def iteration(self) -> Iterator[Any]:
        """Collect with the current weights, then yield ``batches_per_iteration`` batches."""

    def describe(self, mean_reward: float) -> None:
        """Set ``newest`` after collecting."""
        terms = {f"reward/{name}": value for name, value in self.world.drain_terms().items()}
        self.newest = {"mean_reward": mean_reward, **self.episodes.drain(), **terms}

    def state_dict(self) -> dict[str, Any]:
        """Return the state between two iterations; tensors, numbers and texts only."""
        return {
            "world": self.world.state_dict(),
            "generator": self.generator.get_state(),
            "frames": self.frames,
            "episodes": self.episodes.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.world.load_state_dict(state["world"])
        self.generator.set_state(state["generator"].cpu())
        self.frames = state["frames"]
        self.episodes.load_state_dict(state["episodes"])
        if state["world"].get("begins_anew"):  # its environments could not be saved
            self.episodes.forget_running()
