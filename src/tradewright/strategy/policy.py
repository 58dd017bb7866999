"""``strategy=policy``: a trained agent as a strategy; it decides by a rollout of the accounts it was trained with.

Legend: T bars of the judged range, N instruments, B accounts, A actions. A joint account (``env=portfolio``) trades the
panel as it is judged. In the other environments each instrument is decided by an account of its own with one N-th of
the capital. Of one account the rollout's equity and the backtest's equity are the same numbers.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from tradewright.config.runtime import Runtime
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.trading import MarketEnv
from tradewright.env.view import AccountView
from tradewright.errors import DataError
from tradewright.features.features import Features
from tradewright.market.positions import Positions
from tradewright.market.rules import AccountRules


class Acted(NamedTuple):
    """What an agent chose.

    Args:
        action: ``[B]`` action numbers or ``[B, A]`` components.
        probabilities_BA: Probability of every action; None where actions are continuous.
    """

    action: Tensor
    probabilities_BA: Tensor | None


class Decide(Protocol):
    """Decides step after step; that of an agent with a memory remembers the steps before."""

    def __call__(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        """Return the action of every account; ``generator`` None means the most probable one."""
        ...

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these of the environments only, in this order."""
        ...


class Agent(Protocol):
    """What a policy needs of a trained algorithm."""

    env: MarketEnv
    rules: AccountRules

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        ...

    def act(
        self, observation: dict[str, Tensor], market: MarketTensors | None, generator: torch.Generator | None
    ) -> Acted:
        """Return the action of every account; ``generator`` None means the most probable one."""
        ...

    def deciding(self, market: MarketTensors | None, rows: Range | None = None) -> AbstractContextManager[Decide]:
        """Give what decides step after step on ``rows`` (None: all) of a market, None where there is no market."""
        ...


class Policy:
    """Lets an agent trade every instrument of a panel.

    Args:
        agent: The trained agent.
        is_deterministic: Take the mean or most probable action; else sample from ``seed``.
        seed: Seed of sampled actions.
        name: Name in tables.
    """

    is_learned: ClassVar[bool] = True

    def __init__(
        self, *, agent: Runtime[Agent], is_deterministic: bool = True, seed: int = 0, name: str = "policy"
    ) -> None:
        self.agent = agent
        self.is_deterministic = is_deterministic
        self.seed = seed
        self.name = name

    @torch.no_grad()
    def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
        """Roll the agent through ``rows``; bars of the warm-up carry no order.

        Raises:
            DataError: No features were given, or a joint account was trained on another number of instruments.
        """
        if features is None:
            raise DataError("strategy=policy needs features, was given none")
        env, rules = self.agent.env, self.agent.rules
        num = 1 if env.is_joint else len(panel.instruments)
        market = MarketTensors.build(panel, features, self.agent.device)
        rules = replace(rules, initial_cash=rules.initial_cash / num)
        accounts = env.accounts(market=market, rules=rules, rows=rows, num_envs=num)
        generator = None if self.is_deterministic else torch.Generator(device=self.agent.device).manual_seed(self.seed)
        weights_TN = np.full((len(rows), len(panel.instruments)), np.nan)
        confidence_TN = np.full_like(weights_TN, np.nan)
        has_confidence = False
        with self.agent.deciding(market, rows) as decide:
            for bar in range(accounts.first, rows.stop):
                acted, view = decide(accounts.observe(), generator), accounts.view()
                target = env.target_weights(acted.action, view)
                if acted.probabilities_BA is not None:
                    has_confidence = True
                    confidence_B = side_confidence(env, view, target, acted.probabilities_BA)
                    confidence_TN[bar - rows.start] = confidence_B.cpu().numpy()
                weights_TN[bar - rows.start] = (target / num).reshape(-1).cpu().numpy()
                if bar + 1 < rows.stop:
                    accounts.step_weights(target)
        return Positions(weights_TN=weights_TN, confidence_TN=confidence_TN if has_confidence else None)


def side_confidence(env: MarketEnv, view: AccountView, weight_B: Tensor, probabilities_BA: Tensor) -> Tensor:
    """Return the probability of all actions that lead to the same side (long, flat or short) as the chosen one.

    That of the chosen action alone would say how sure the agent is of a size, not of a direction.

    Args:
        env: Maps actions to target weights.
        view: The accounts at the decision.
        weight_B: Chosen targets; NaN: no order, the position stays.
        probabilities_BA: Of every action.
    """

    def side(target_B: Tensor) -> Tensor:
        return torch.sign(torch.where(torch.isnan(target_B), view.weight_B, target_B))

    chosen_B = side(weight_B)
    confidence_B = torch.zeros_like(chosen_B)
    for action in range(probabilities_BA.shape[1]):
        number_B = torch.full(chosen_B.shape, action, dtype=torch.int64, device=chosen_B.device)
        is_same_B = side(env.target_weights(number_B, view)) == chosen_B
        confidence_B = confidence_B + torch.where(is_same_B, probabilities_BA[:, action].double(), 0.0)
    return torch.clip(confidence_B, 0.0, 1.0)  # probabilities in single precision add up to one only nearly
