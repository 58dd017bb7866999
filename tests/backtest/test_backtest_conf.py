"""The shipped options build what they say."""

import pytest
from omegaconf import OmegaConf

from tradewright.backtest.execution import ExecutionRules
from tradewright.backtest.vectorized import Vectorized
from tradewright.config.build import build
from tradewright.errors import ConfigError
from tradewright.market.rules import Costs
from tradewright.paths import shipped
from tradewright.strategy.buy_and_hold import BuyAndHold
from tradewright.strategy.momentum import Momentum
from tradewright.strategy.sma_cross import SmaCross


def test_vectorized_option_builds_the_default_rules_with_one_basis_point_each() -> None:
    backtest = build(OmegaConf.load(shipped("conf") / "backtest" / "vectorized.yaml"), key="backtest")
    assert isinstance(backtest, Vectorized)
    assert backtest.rules == ExecutionRules(costs=Costs(fee_bps=1.0, slippage_bps=1.0))


def test_impossible_cost_is_refused_by_its_key() -> None:
    node = OmegaConf.load(shipped("conf") / "backtest" / "vectorized.yaml")
    node.costs.fee_bps = -1
    with pytest.raises(ConfigError, match=r"^backtest\.costs\.fee_bps must be >= 0, was -1"):
        build(node, key="backtest")


@pytest.mark.parametrize(
    ("option", "kind"), [("buy_and_hold", BuyAndHold), ("sma_cross", SmaCross), ("momentum", Momentum)]
)
def test_rule_option_carries_the_defaults_of_its_class(option: str, kind: type) -> None:
    strategy = build(OmegaConf.load(shipped("conf") / "strategy" / f"{option}.yaml"), key="strategy")
    assert isinstance(strategy, kind)
    assert vars(strategy) == vars(kind())
    assert strategy.name == option


def test_rule_is_the_sma_cross() -> None:
    assert OmegaConf.load(shipped("conf") / "strategy" / "rule.yaml").defaults == ["sma_cross"]
