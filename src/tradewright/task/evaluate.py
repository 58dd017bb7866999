"""``task=evaluate``: judge a trained run again, on its own bars or on others."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from omegaconf import DictConfig

from tradewright.errors import ConfigError
from tradewright.evaluate.bench import Bench
from tradewright.provenance import run_origin
from tradewright.strategy.strategy import Strategy
from tradewright.task.context import BaseContext, Context
from tradewright.task.task import Task
from tradewright.task.trained import TrainedRun


class Evaluate(Task):
    """Judges the best checkpoint of ``run``; what the command line says of ``data``, ``backtest``, ``evaluate`` and
    ``strategy`` replaces the run's. Other bars, costs or rules make another trial of the run's experiment.

    Args:
        run: A run directory with a trained agent.
    """

    needs_market: ClassVar[bool] = False

    def __init__(self, *, run: str) -> None:
        super().__init__()
        self.trained = TrainedRun(Path(run))

    def configured(self, cfg: DictConfig) -> DictConfig:
        """Return the trained run's configuration with the command line's changes."""
        merged = self.trained.configured(cfg, run_origin(Path(cfg.output_dir)))
        merged.task = cfg.task
        return merged

    def market(self, cfg: DictConfig) -> Bench:
        """Read the market, scaled with the run's scaler."""
        bench = self.trained.market(cfg)
        self.trained.require_unseen(bench)
        return bench

    def strategy(self, context: BaseContext) -> Strategy:
        """Load the agent.

        Raises:
            ConfigError: It is asked for a fold, which would need training.
        """
        if context.fit:
            raise ConfigError("evaluate.folds trains one agent per fold; use task=train, or evaluate=backtest here")
        if isinstance(context, Context):
            strategy = self.trained.strategy(context.cfg, context.bench)
            self.evidence.update(self.trained.evidence)
            return strategy
        return self.trained.load(replace(context, origin=self.trained.origin))
