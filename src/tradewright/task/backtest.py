"""``task=backtest``: judge a rule; neither torch nor Lightning is imported."""

from typing import Any

from tradewright.config.build import build
from tradewright.strategy.strategy import Strategy
from tradewright.task.context import Context


class Backtest:
    """Judges ``cfg.strategy``, which must need no training."""

    needs_features = False

    def __init__(self) -> None:
        self.curves: dict[str, Any] = {}

    def strategy(self, context: Context) -> Strategy:
        """Build the rule."""
        strategy: Strategy = build(context.cfg.strategy, key="strategy")
        return strategy
