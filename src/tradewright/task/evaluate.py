"""``task=evaluate``: judge a trained run again, on its own bars or on others."""

from pathlib import Path
from typing import Any, ClassVar

from omegaconf import DictConfig

from tradewright.evaluate.backtest import Bench
from tradewright.provenance import run_origin
from tradewright.strategy.strategy import Strategy
from tradewright.task.context import Context
from tradewright.task.trained import TrainedRun


class Evaluate:
    """Judges the best checkpoint of ``run``; ``data`` and ``backtest`` given on the command line replace the run's.

    Args:
        run: A run directory with a trained agent.
    """

    is_trial: ClassVar[bool] = False  # judges a configuration that was counted when it was trained

    def __init__(self, *, run: str) -> None:
        self.trained = TrainedRun(Path(run))
        self.curves: dict[str, Any] = {}

    def market(self, cfg: DictConfig) -> Bench:
        """Read the market, scaled with the run's scaler."""
        self.cfg = self.trained.configured(cfg, run_origin(Path(cfg.output_dir)))
        bench = self.trained.market(self.cfg)
        self.trained.require_unseen(bench)
        return bench

    def strategy(self, context: Context) -> Strategy:
        """Load the agent."""
        return self.trained.strategy(self.cfg, context.bench)
