"""``task=backtest``: judge a rule; neither torch nor Lightning is imported."""

from typing import Any, ClassVar

from omegaconf import DictConfig

from tradewright.config.build import build
from tradewright.evaluate.backtest import Bench
from tradewright.strategy.strategy import Strategy
from tradewright.task.context import Context, read_market


class Backtest:
    """Judges ``cfg.strategy``, which must need no training."""

    is_trial: ClassVar[bool] = True

    def __init__(self) -> None:
        self.curves: dict[str, Any] = {}

    def market(self, cfg: DictConfig) -> Bench:
        """Read the market; rules need no features."""
        return read_market(cfg, with_features=False)

    def strategy(self, context: Context) -> Strategy:
        """Build the rule."""
        strategy: Strategy = build(context.cfg.strategy, key="strategy")
        return strategy
