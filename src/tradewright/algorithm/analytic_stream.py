"""Chunks of bars through which the analytic policy gradient runs: accounts unrolled with their computation graph.

The accounts go on from chunk to chunk; only the graph is cut between two of them. What is carried and cut is exactly
what a saved state holds.
Legend: S bars of a chunk, B accounts.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from tradewright.algorithm.stream import Stream
from tradewright.env.trading import Accounts
from tradewright.env.world import Transition
from tradewright.reward.reward import BarChange, Reward, Rewarded, RewardState


class OffGraph:
    """A reward that is computed beside the gradient: it is logged, not learned from.

    Args:
        reward: The run's reward.
    """

    def __init__(self, reward: Reward) -> None:
        self.reward = reward

    @property
    def needs(self) -> frozenset[str]:
        """What the reward needs."""
        return self.reward.needs

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return the state of the reward."""
        return self.reward.initial(num_accounts, device)

    def __call__(self, state: RewardState, change: BarChange) -> Rewarded:
        """Return the reward of the bar, without a graph."""
        known = {field.name: _detached(getattr(change, field.name)) for field in fields(change)}
        with torch.no_grad():
            return self.reward(state, BarChange(**known))


class Unrolled(NamedTuple):
    """The bars of one chunk, with their graph.

    Args:
        return_SB: Simple return of equity over each bar, float64.
        ended_SB: bool, the account went bankrupt in the bar.
    """

    return_SB: Tensor
    ended_SB: Tensor


class AnalyticStream(Stream):
    """Hands out itself once per update; ``unroll`` carries the accounts through the next chunk.

    Args:
        world: B accounts with their own generator.
        policy: Maps an observation to actions, with a graph.
        horizon_bars: S.
        num_iterations: Chunks of an epoch.
        gamma: Factor on what a bar's result passes back through the account, per bar; 1: the exact gradient.
        generator: Unused by a deterministic policy; saved with the state.
    """

    def __init__(
        self,
        *,
        world: Accounts,
        policy: Callable[[dict[str, Tensor]], Tensor],
        horizon_bars: int,
        num_iterations: int,
        gamma: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__(world=world, generator=generator, num_iterations=num_iterations, batches_per_iteration=1)
        self.policy, self.horizon_bars, self.gamma = policy, horizon_bars, gamma

    def iteration(self) -> Iterator[Any]:
        """Yield the stream itself: the chunk is unrolled where the loss is computed."""
        yield self

    def unroll(self) -> Unrolled:
        """Carry the accounts S bars forward; start the episodes that end on the way anew."""
        world = cast(Accounts, self.world)
        bars: list[Unrolled] = []
        rewards: list[Tensor] = []
        for _ in range(self.horizon_bars):
            before_B = world.equity_B
            moved = world.step(self.policy(world.observe()))
            bars.append(Unrolled(world.equity_B / before_B - 1.0, moved.terminated_B))
            rewards.append(moved.reward_B)
            self._restart(moved)
            if self.gamma < 1:
                self._carry(self._fade)
        self._carry(Tensor.detach)
        self.frames += self.horizon_bars * world.num_envs
        self.describe(float(torch.stack(rewards).mean()))
        return Unrolled(*(torch.stack(column) for column in zip(*bars, strict=True)))

    def _restart(self, moved: Transition) -> None:
        done_B = moved.terminated_B | moved.truncated_B
        has_done = bool(done_B.any())
        self.episodes.add(moved, done_B, has_done=has_done)
        if has_done:
            self.world.restart(done_B)

    def _fade(self, x: Tensor) -> Tensor:
        """Return the same number, whose gradient is ``gamma`` times as large."""
        return x.detach() + self.gamma * (x - x.detach())

    def _carry(self, through: Callable[[Tensor], Tensor]) -> None:
        """Put every number of the accounts that has a graph through a function."""
        self.world.load_state_dict(_mapped(self.world.state_dict(), through))


def _mapped(state: Any, through: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(state, dict):
        return {name: _mapped(inner, through) for name, inner in state.items()}
    return through(state) if isinstance(state, Tensor) and state.requires_grad else state


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x
