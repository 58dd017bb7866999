"""``Setting``: everything a reinforcement-learning algorithm is given by the spine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range, Ranges
from tradewright.env.auto import Auto
from tradewright.env.trading import TradingEnv
from tradewright.features.features import Features
from tradewright.reward.reward import Reward
from tradewright.strategy.strategy import Strategy

Judge = Callable[[Strategy, Range], dict[str, float]]
"""Backtests a strategy on a range and returns its figures."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The market, the rules and the goal of one agent.

    Args:
        panel: All bars.
        features: Scaled features of the panel.
        ranges: Train, validation and test.
        env: The environment's keys.
        reward: The reward function.
        reward_name: Option name, for messages.
        backtest: The backtester whose rules the environment shares.
        judge: Backtests a strategy on a range.
        as_strategy: Makes the configured strategy of an agent, so that validation judges what will be tested.
        seed: Seed of everything random in training.
    """

    panel: Panel
    features: Features
    ranges: Ranges
    env: TradingEnv | Auto
    reward: Reward
    reward_name: str
    backtest: Vectorized
    judge: Judge
    as_strategy: Callable[[Any], Strategy]
    seed: int
