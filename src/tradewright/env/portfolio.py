"""``env=portfolio``: one account trades all instruments from shared cash; an action is a weight for each of them.

Each of the N components is what it is in ``env=continuous``; then all are scaled down together where their gross
exposure exceeds the cap:
    v_n = lowest + (a_n + 1) / 2 · (highest - lowest),   w = v · min(1, G / Σ|v_n|),   G = max(|lowest|, |highest|)
``lowest_weight: 0`` is *long-only*: the weights are a simplex with cash as its last corner. ``lowest_weight: -1`` is
*long-short* with gross exposure of at most ``highest_weight``.
Why not a softmax over N + 1 logits: from components in [-1, 1] it never reaches a corner, so that no instrument is ever
left out (every one pays its costs in every rebalancing), it has no shorts, and its N = 1 is another environment. This
map reaches every point of its set, -1 is exactly flat, and one instrument is ``env=continuous`` to the bit.
Legend: B accounts, N instruments.
"""

from collections.abc import Sequence
from copy import copy
from typing import ClassVar

import torch
from torch import Tensor

from tradewright.data.ranges import Range
from tradewright.env.continuous import linear_weight
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.portfolio_simulator import PortfolioSimulator, joint_portfolio
from tradewright.env.trading import MarketEnv
from tradewright.env.view import JointView
from tradewright.env.world import Stage
from tradewright.errors import DataError
from tradewright.market.rules import AccountRules
from tradewright.reward.reward import Reward


class Portfolio(MarketEnv):
    """N components in [-1, 1], one per instrument of the panel, and one account.

    ``rebalance_threshold`` applies to each instrument by itself. ``entry_signal`` has no effect here.
    """

    action_kind: ClassVar[str] = "continuous"
    is_joint: ClassVar[bool] = True
    num_instruments: int | None = None
    """N, known once the environment is set on a market."""

    def on(self, stage: Stage | None) -> "Portfolio":
        """Return the environment for the instruments of a market."""
        assert stage is not None
        super().on(stage)
        env = copy(self)
        env.num_instruments = len(stage.panel.instruments)
        return env

    @property
    def num_actions(self) -> int:
        """N."""
        assert self.num_instruments is not None, "on(stage) comes first"
        return self.num_instruments

    def accounts(
        self,
        *,
        market: MarketTensors,
        rules: AccountRules,
        rows: Range | Sequence[Range],
        num_envs: int,
        reward: Reward | None = None,
        generator: torch.Generator | None = None,
    ) -> PortfolioSimulator:
        """Return joint accounts.

        Raises:
            DataError: The market has another number of instruments than the one the environment was set on.
        """
        num = market.num_instruments
        if self.num_instruments not in (None, num):
            raise DataError(
                f"env=portfolio: was set on {self.num_instruments} instruments, the data have {num}; a joint account"
                " trades the same ones everywhere, so choose data.symbols"
            )
        env = copy(self)
        env.num_instruments = num
        return PortfolioSimulator(
            market=market, env=env, rules=rules, rows=rows, num_envs=num_envs, reward=reward, generator=generator
        )

    def portfolio_names(self, symbols: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the portfolio features: those of every instrument, then those of the account."""
        return joint_portfolio(symbols, self.portfolio)

    def weights(self, action: Tensor, view: JointView) -> Tensor:
        """Map ``[B, N]`` actions to weights ``[B, N]``, float64."""
        weight_BN = linear_weight(action, self.lowest_weight, self.highest_weight)
        most = max(abs(self.lowest_weight), abs(self.highest_weight))
        gross_B1 = weight_BN.abs().sum(-1, keepdim=True)
        return weight_BN * (most / gross_B1.clamp_min(most))

    def target_weights(self, action: Tensor, view: JointView) -> Tensor:
        """Return ``weights`` without small changes, ``[B, N]``."""
        return self.without_small(self.weights(action, view), view.weight_BN, view.blocked_BN)
