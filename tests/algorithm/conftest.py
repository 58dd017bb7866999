"""A small setting for agents: a market whose next return follows from the last one."""

from collections.abc import Callable

import pytest

from tradewright.algorithm.setting import Setting
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.ranges import Range, Ranges
from tradewright.env.continuous import Continuous
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


@pytest.fixture(scope="session")
def setting_of(panel_of, tmp_path_factory) -> Callable[..., Setting]:
    """Return a function that makes a ``Setting``; keyword arguments replace its parts."""
    cache = tmp_path_factory.mktemp("features")

    def make(*, signal: float = 0.0, num_bars: int = 600, seed: int = 0, **parts) -> Setting:
        panel = panel_of(num_bars, 1, 7, signal=signal)
        cuts = [int(num_bars * share) for share in (0.6, 0.8)]
        ranges = Ranges(train=Range(0, cuts[0]), validation=Range(cuts[0], cuts[1]), test=Range(cuts[1], num_bars))
        features, _ = build_features(PriceVolume(short_window=5, long_window=12), panel, ranges.train, cache)
        backtest = Vectorized(costs=Costs(fee_bps=1.0, slippage_bps=1.0))
        bench = Bench(panel, features, ranges, backtest)
        evaluation = BacktestEvaluation(
            baselines={"buy_and_hold": BuyAndHold(), "equal_weight": EqualWeight()}, significance=SignificanceTest()
        )
        known = {
            "panel": panel,
            "features": features,
            "ranges": ranges,
            "env": Continuous(window=2, episode_bars=64),
            "reward": LogReturn(),
            "reward_name": "log_return",
            "backtest": backtest,
            "judge": lambda strategy, rows: evaluation.figures(bench, strategy, rows),
            "as_strategy": lambda agent: Policy(agent=agent),
            "seed": seed,
        }
        return Setting(**{**known, **parts})

    return make
