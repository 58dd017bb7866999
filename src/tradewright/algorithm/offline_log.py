"""The log that an offline agent learns from: decided weights, replayed through the accounts of the environment.

Weights are decided for bars, not for accounts. Every account follows one of them from where its episode starts: its
first order is the last weight decided before, then every decision as it was made, and no order where none was. The
weight becomes an action by inverting the environment's map: exactly for continuous actions inside the range of weights,
the nearest one for discrete actions. The environment then does what that action means there, so the transitions are its
own; how often that differs from what was decided is counted.
Legend: K sources of decisions, T bars, N instruments, B accounts, A action components.
"""

import logging
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tradewright.algorithm.replay import NEXT, Replay
from tradewright.env.trading import Accounts, MarketEnv
from tradewright.reward.reward import require_finite

log = logging.getLogger(__name__)

LEAST_DIFFERENCE = 0.01
"""A weight this close to the decided one counts as it."""


class Decided:
    """Decisions of K sources, as accounts look them up.

    Args:
        weights_KTN: Target fractions of the equity of an account over all instruments; NaN: no order.
        env: Whose accounts follow them; one that trades a single instrument puts all of its equity into it.
        device: Of the accounts.
    """

    def __init__(self, weights_KTN: npt.NDArray[np.float64], env: MarketEnv, device: torch.device) -> None:
        num = 1 if env.is_joint else weights_KTN.shape[2]
        self.env = env
        self.weights_KTN = torch.from_numpy(weights_KTN * num).to(device)
        self.standing_KTN = torch.from_numpy(_filled_forward(weights_KTN) * num).to(device)

    def wanted(self, accounts: Any, source_B: Tensor, is_start_B: Tensor) -> Tensor:
        """Return the weights decided at the current bar, ``[B]`` or of joint accounts ``[B, N]``."""
        place = (source_B, accounts.bar_B) if self.env.is_joint else (source_B, accounts.bar_B, accounts.instrument_B)
        start = is_start_B[:, None] if self.env.is_joint else is_start_B
        return torch.where(start, self.standing_KTN[place], self.weights_KTN[place])

    def __len__(self) -> int:
        return len(self.weights_KTN)


def _filled_forward(weights_KTN: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    row_KTN = np.where(np.isnan(weights_KTN), 0, np.arange(weights_KTN.shape[1])[None, :, None])
    return np.take_along_axis(weights_KTN, np.maximum.accumulate(row_KTN, axis=1), axis=1)


def recover_actions(env: MarketEnv, wanted: Tensor, view: Any) -> Tensor:
    """Return the actions that come nearest to target weights.

    Args:
        env: Whose map is inverted.
        wanted: Weights ``[B]`` or ``[B, N]``; NaN: no order.
        view: The accounts at the decision.

    Returns:
        ``[B, A]`` float32 in [-1, 1], the held weight standing for no order, or ``[B]`` int64, the first of the nearest
        legal actions, where "no order" is nearest to no order and then to the held weight.
    """
    held = view[0]
    if env.action_kind == "continuous":
        weight = torch.where(torch.isnan(wanted), held, wanted)
        unit = (weight - env.lowest_weight) / (env.highest_weight - env.lowest_weight)
        action = (2.0 * unit - 1.0).clamp(-1.0, 1.0).to(torch.float32)
        if env.is_joint:
            return action
        signal = torch.ones_like(action)[:, None].expand(-1, env.num_actions - 1)
        return torch.cat((action[:, None], signal), dim=1)
    mask = getattr(env, "action_mask", None)
    is_legal_BA = mask(view) if mask else torch.ones(len(held), env.num_actions, dtype=torch.bool, device=held.device)
    distances = []
    for number in range(env.num_actions):
        target_B = env.target_weights(torch.full_like(held, number, dtype=torch.int64), view)
        is_none_B = torch.isnan(target_B) & torch.isnan(wanted)
        distance_B = torch.where(is_none_B, -1.0, _distance(target_B, wanted, held))
        distances.append(torch.where(is_legal_BA[:, number], distance_B, torch.inf))
    return torch.stack(distances).argmin(0)


def _distance(target: Tensor, wanted: Tensor, held: Tensor) -> Tensor:
    """Return how far targets are from the wanted ones; no order counts as the held weight."""
    return torch.abs(torch.where(torch.isnan(target), held, target) - torch.where(torch.isnan(wanted), held, wanted))


class Log:
    """Replays decisions into a replay buffer.

    Args:
        accounts: B accounts with their own generator, which start at random.
        decided: The decisions; account b follows source b modulo K.
        num_transitions: Least number of transitions; rounded up to whole steps of B.
        exploration: Probability per decision of a random weight instead, in [0, 1).
        generator: Of the exploration.
        gamma: Discount per step.
        reward_name: Named when a reward is not finite.
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        decided: Decided,
        num_transitions: int,
        exploration: float,
        generator: torch.Generator,
        gamma: float,
        reward_name: str,
    ) -> None:
        self.accounts, self.decided, self.generator = accounts, decided, generator
        self.exploration, self.reward_name = exploration, reward_name
        num_steps = -(-num_transitions // accounts.num_envs)
        self.replay = Replay(
            capacity=num_steps * accounts.num_envs, num_envs=accounts.num_envs, gamma=gamma, device=accounts.device
        )
        self.num_decisions, self.num_different, self.reward_sum = 0, 0, 0.0
        self._collect(num_steps)

    @property
    def mismatch(self) -> float:
        """Fraction of the decisions that the environment could not follow."""
        return self.num_different / max(1, self.num_decisions)

    @property
    def mean_reward(self) -> float:
        """Of the logged transitions."""
        return self.reward_sum / len(self.replay)

    @torch.no_grad()
    def _collect(self, num_steps: int) -> None:
        accounts = self.accounts
        source_B = torch.arange(accounts.num_envs, device=accounts.device) % len(self.decided)
        is_start_B = torch.ones_like(source_B, dtype=torch.bool)
        observation = accounts.observe()
        for _ in range(num_steps):
            action = self._action(source_B, is_start_B)
            moved = accounts.step(action)
            after = accounts.observe()
            require_finite(moved.reward_B, self.reward_name, accounts.drain_terms)
            self.reward_sum += float(moved.reward_B.sum())
            self.replay.add(
                {
                    **observation,
                    **{f"{NEXT}{name}": value for name, value in after.items()},
                    "action": action,
                    "reward": moved.reward_B.to(torch.float32),
                    "terminated": moved.terminated_B,
                    "truncated": moved.truncated_B,
                }
            )
            is_start_B = moved.terminated_B | moved.truncated_B
            if bool(is_start_B.any()):
                accounts.restart(is_start_B)
                after = accounts.observe()
            observation = after

    def _action(self, source_B: Tensor, is_start_B: Tensor) -> Tensor:
        env, view = self.decided.env, self.accounts.view()
        wanted = self.decided.wanted(self.accounts, source_B, is_start_B)
        if self.exploration > 0:
            draw = torch.rand((2, *wanted.shape), generator=self.generator, device=wanted.device, dtype=wanted.dtype)
            random = env.lowest_weight + draw[0] * (env.highest_weight - env.lowest_weight)
            wanted = torch.where(draw[1] < self.exploration, random, wanted)
        action = recover_actions(env, wanted, view)
        allowed = max(LEAST_DIFFERENCE, env.rebalance_threshold)
        is_different = _distance(env.target_weights(action, view), wanted, view[0]) > allowed
        self.num_decisions += is_different.numel()
        self.num_different += int(is_different.sum())
        return action
