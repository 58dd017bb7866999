"""``Term`` and ``SumOfTerms``: rewards put together from named terms, each with a weight.

A term is larger the better (a penalty is negative by itself), so weights are positive unless one wants the opposite.
Legend: B accounts.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from tradewright.reward.reward import BarChange, Rewarded, RewardState, check_terms

BANKRUPT = "bankrupt"
"""Name of the term that holds ``bankrupt_reward``."""


class Term(ABC):
    """One number per bar and account; its running statistics belong to the episode and begin anew with it."""

    needs: ClassVar[frozenset[str]] = frozenset()

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return the state at the start of an episode, every tensor float64 ``[B]``."""
        return {}

    @abstractmethod
    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return the term ``[B]`` and the next state; equity of ended accounts is 1 in ``change``."""


class Weighted(NamedTuple):
    """A term and its weight."""

    term: Term
    weight: float


class SumOfTerms:
    """Base of the rewards: ``scale * sum(weight * term)``, and ``bankrupt_reward`` where the account ended.

    Every weighted and scaled term is logged, with ``bankrupt`` for the reward of ended accounts, so that they add up to
    the reward; a reward of one term logs none. A weight of 0 leaves a term out: it is not computed.

    Args:
        scale: Factor on the sum, > 0.
        bankrupt_reward: Reward of the bar in which the account ends, <= 0, not scaled.
        terms: Terms and weights by name.

    Raises:
        ValueError: An argument is out of range, or no term has a weight.
    """

    def __init__(self, *, scale: float, bankrupt_reward: float, terms: Mapping[str, tuple[Term, float]]) -> None:
        check_terms(scale=scale, bankrupt_reward=bankrupt_reward)
        for name, (_, weight) in terms.items():
            if not math.isfinite(weight):
                raise ValueError(f"the weight of {name} must be a finite number, was {weight}")
        self.scale, self.bankrupt_reward = scale, bankrupt_reward
        self.terms = {name: Weighted(*weighted) for name, weighted in terms.items() if weighted[1] != 0}
        if not self.terms:
            raise ValueError("a weight must be other than 0, were all 0: such a reward teaches nothing")

    @property
    def needs(self) -> frozenset[str]:
        """What the terms need."""
        return frozenset().union(*(term.needs for term, _ in self.terms.values()))

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return the states of the terms, under ``<term>/<key>``."""
        return {
            f"{name}/{key}": value_B
            for name, (term, _) in self.terms.items()
            for key, value_B in term.initial(num_accounts, device).items()
        }

    def __call__(self, state: RewardState, change: BarChange) -> Rewarded:
        """Return the sum ``[B]``, the next state and the terms."""
        ended_B, going = change.ended_B, change.without_ended()
        next_state: RewardState = {}
        terms: dict[str, Tensor] = {}
        for name, (term, weight) in self.terms.items():
            own = {key[len(name) + 1 :]: value_B for key, value_B in state.items() if key.startswith(f"{name}/")}
            value_B, own = term(own, going)
            next_state.update({f"{name}/{key}": next_B for key, next_B in own.items()})
            terms[name] = (self.scale * weight) * value_B
        bankrupt_B = torch.zeros_like(change.after_B)
        if change.can_end:
            terms = {name: torch.where(ended_B, 0.0, term_B) for name, term_B in terms.items()}
            bankrupt_B = torch.where(ended_B, self.bankrupt_reward, bankrupt_B)
        total_B = sum(terms.values(), bankrupt_B)
        return Rewarded(total_B, next_state, {**terms, BANKRUPT: bankrupt_B} if len(terms) > 1 else {})


def zeros(num_accounts: int, device: torch.device, *keys: str) -> RewardState:
    """Return a state of zeros under these keys."""
    return {key: torch.zeros(num_accounts, dtype=torch.float64, device=device) for key in keys}


def require_rate(**rates: float) -> None:
    """Check that keys are weights of the newest bar in a running mean.

    Raises:
        ValueError: One is not in (0, 1).
    """
    for name, value in rates.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} must be in (0, 1), was {value}")


def require_positive(**values: float) -> None:
    """Check keys.

    Raises:
        ValueError: One is not above 0.
    """
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be > 0, was {value}")


def require_not_negative(**values: float) -> None:
    """Check weights whose direction the reward's formula gives.

    Raises:
        ValueError: One is below 0.
    """
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name} must be >= 0, was {value}")
