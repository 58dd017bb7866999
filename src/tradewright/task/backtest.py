"""``task=backtest``: judge a rule; neither torch nor Lightning is imported."""

from typing import ClassVar

from omegaconf import DictConfig

from tradewright.config.build import build
from tradewright.evaluate.bench import Bench
from tradewright.evaluate.leak_run import check_rule
from tradewright.strategy.strategy import Strategy, fit_rule
from tradewright.task.context import Context, read_market
from tradewright.task.task import Task


class Backtest(Task):
    """Judges ``cfg.strategy``, which must need no training."""

    strategy_kind: ClassVar[str] = "rule"

    def market(self, cfg: DictConfig) -> Bench:
        """Read the market; rules need no features."""
        return read_market(cfg, with_features=False)

    def strategy(self, context: Context) -> Strategy:
        """Build the rule; refuse one that looks ahead.

        Raises:
            RunError: The leak detector, on unless ``~callbacks.leaks`` is given, found a leak.
        """
        cfg = context.cfg
        bench = context.bench
        strategy = fit_rule(build(cfg.strategy, key="strategy"), bench.panel, bench.ranges.training)
        if cfg.callbacks.get("leaks") is not None and "leaks" not in self.evidence:
            node = cfg.callbacks.leaks
            self.evidence["leaks"] = check_rule(
                strategy,
                bench,
                num_cuts=node.num_cuts,
                seed=node.seed,
                max_values=node.max_values,
                embargo_bars=0 if context.fit else cfg.data.split.embargo_bars,  # folds keep one of their own
            )
        return strategy
