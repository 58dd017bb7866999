"""``OfflineStream``: minibatches of logged transitions; the environment is not touched after the log was made.

The log follows from the data, the decisions and the seed, so a resumed run makes it again instead of storing it.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from tradewright.algorithm.offline_log import Log
from tradewright.algorithm.stream import Stream


class Learner(Protocol):
    """What a stream needs of an agent."""

    batch_size: int
    updates_per_iteration: int
    iterations_per_epoch: int

    def noise(self, num: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the random numbers that the losses of ``num`` transitions take, by field."""
        ...


class OfflineStream(Stream):
    """Samples uniformly from a log.

    Args:
        agent: Says how much of everything.
        log: The transitions.
        generator: Draws them, and the noise of losses.
    """

    def __init__(self, *, agent: Learner, log: Log, generator: torch.Generator) -> None:
        super().__init__(
            world=log.accounts,
            generator=generator,
            num_iterations=agent.iterations_per_epoch,
            batches_per_iteration=agent.updates_per_iteration,
        )
        self.agent, self.log = agent, log
        self.newest = {"mean_reward": log.mean_reward, "mismatch": log.mismatch}

    def iteration(self) -> Iterator[dict[str, Tensor]]:
        """Yield ``updates_per_iteration`` batches of independent draws."""
        num, replay = self.agent.batch_size, self.log.replay
        for _ in range(self.batches_per_iteration):
            self.frames += num
            drawn = replay.gather(replay.draw(num, self.generator))
            yield {**drawn, **self.agent.noise(num, self.generator)}

    def state_dict(self) -> dict[str, Any]:
        """Return what the log does not imply."""
        return {"generator": self.generator.get_state(), "frames": self.frames}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.generator.set_state(state["generator"].cpu())
        self.frames = state["frames"]
