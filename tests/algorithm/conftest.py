"""A small setting for agents: a market whose next return follows from the last one."""

from collections.abc import Callable
from typing import Any

import pytest

from tradewright.algorithm.setting import Setting
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.ranges import Range, Ranges
from tradewright.env.continuous import Continuous
from tradewright.env.world import Stage
from tradewright.evaluate.backtest import BacktestEvaluation
from tradewright.evaluate.bench import Bench
from tradewright.evaluate.significance import SignificanceTest
from tradewright.features.pipeline import build_features
from tradewright.features.price_volume import PriceVolume
from tradewright.market.rules import Costs
from tradewright.reward.log_return import LogReturn
from tradewright.strategy.buy_and_hold import BuyAndHold
from tradewright.strategy.equal_weight import EqualWeight
from tradewright.strategy.policy import Policy

CUTS = (0.6, 0.8)


def ranges_of(num_bars: int) -> Ranges:
    """Train, validation and test without embargo."""
    first, second = (int(num_bars * share) for share in CUTS)
    return Ranges(train=Range(0, first), validation=Range(first, second), test=Range(second, num_bars))


def figures_of(stage: Stage, agent: Any, rows: Range) -> dict[str, float]:
    """The figures of the agent's backtest on ``rows``, one basis point of fee and of slippage."""
    backtest = Vectorized(costs=Costs(fee_bps=1.0, slippage_bps=1.0))
    bench = Bench(stage.panel, stage.features, ranges_of(stage.panel.num_bars), backtest)
    evaluation = BacktestEvaluation(
        baselines={"buy_and_hold": BuyAndHold(), "equal_weight": EqualWeight()}, significance=SignificanceTest()
    )
    return evaluation.figures(bench, Policy(agent=agent), rows)


@pytest.fixture(scope="session")
def test_sharpe() -> Callable[[Any], float]:
    """Return a function that gives an agent's Sharpe ratio on the test range."""

    def score(agent: Any) -> float:
        stage = agent.setting.stage
        return figures_of(stage, agent, ranges_of(stage.panel.num_bars).test)["sharpe"]

    return score


@pytest.fixture(scope="session")
def setting_of(panel_of, tmp_path_factory) -> Callable[..., Setting]:
    """Return a function that makes a ``Setting``; keyword arguments replace its parts, or those of its stage."""
    cache = tmp_path_factory.mktemp("features")

    def make(*, signal: float = 0.0, num_bars: int = 600, seed: int = 0, **parts) -> Setting:
        panel = panel_of(num_bars, 1, 7, signal=signal)
        ranges = ranges_of(num_bars)
        features, _ = build_features(PriceVolume(short_window=5, long_window=12), panel, ranges.train, cache)
        stage = {
            "panel": panel,
            "features": features,
            "rows": ranges.training,
            "rules": Vectorized(costs=Costs(fee_bps=1.0, slippage_bps=1.0)).rules,
            "reward": LogReturn(),
        }
        staged = Stage(**{**stage, **{key: parts.pop(key) for key in tuple(parts) if key in stage}})
        known = {
            "env": Continuous(window=2, episode_bars=64),
            "stage": staged,
            "reward_name": "log_return",
            "validate": lambda agent: figures_of(staged, agent, ranges.validation),
            "seed": seed,
        }
        return Setting(**{**known, **parts})

    return make
