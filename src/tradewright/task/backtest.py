"""``task=backtest``: judge a rule; neither torch nor Lightning is imported."""

from typing import ClassVar

from omegaconf import DictConfig

from tradewright.config.build import build
from tradewright.evaluate.bench import Bench
from tradewright.strategy.strategy import Strategy
from tradewright.task.context import Context, read_market
from tradewright.task.task import Task


class Backtest(Task):
    """Judges ``cfg.strategy``, which must need no training."""

    strategy_kind: ClassVar[str] = "rule"

    def market(self, cfg: DictConfig) -> Bench:
        """Read the market; rules need no features."""
        return read_market(cfg, with_features=False)

    def strategy(self, context: Context) -> Strategy:
        """Build the rule."""
        strategy: Strategy = build(context.cfg.strategy, key="strategy")
        return strategy
