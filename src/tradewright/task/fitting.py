"""``Fitting``: gives judges the run's strategy, as it is or fitted anew on other bars in a folder of its own."""

import logging
from dataclasses import replace
from pathlib import Path

from tradewright.config.build import build
from tradewright.data.ranges import Ranges
from tradewright.evaluate.bench import Bench, Fitted
from tradewright.features.pipeline import build_features
from tradewright.features.shuffle import shuffle_rows
from tradewright.task.context import FITS, Context
from tradewright.task.learner import learns_from_labels, learns_from_text
from tradewright.task.task import Task

log = logging.getLogger(__name__)


class Fitting:
    """Implements ``evaluate.bench.Fit`` for a task.

    Args:
        task: Builds or trains the strategy.
        context: The run.
    """

    def __init__(self, task: Task, context: Context) -> None:
        self.task = task
        self.context = context
        self.is_learned = task.learns

    def __call__(self, ranges: Ranges | None = None, *, name: str = "", is_shuffled: bool = False) -> Fitted:
        """Return the strategy for ``ranges``, see ``Fit``."""
        if ranges is None:
            return Fitted(self.task.strategy(self.context), self.context.bench)
        context = replace(
            self.context,
            bench=self._bench(ranges, is_shuffled),
            directory=self.context.directory / FITS / name if self.is_learned else self.context.directory,
            fit=name,
            is_shuffled=is_shuffled,
        )
        if self.is_learned:
            log.info("fit %s: training bars %s", name, ", ".join(f"{p.start}..{p.stop - 1}" for p in ranges.training))
        return Fitted(self.task.strategy(context), context.bench)

    def reference(self, ranges: Ranges, *, name: str) -> Fitted | str:
        """Return the analytic gradient fitted to ``ranges``, see ``Fit``."""
        from tradewright.task.reference import analytic_config, find_obstacle  # imported by need: rules have none

        if learns_from_text(self.context.cfg):
            return "a language model's world has no gradient"
        if learns_from_labels(self.context.cfg):
            return "a network that learns labels does not follow the equity"

        cfg, bench = analytic_config(self.context.cfg), self._bench(ranges, is_shuffled=False)
        obstacle = find_obstacle(cfg, bench)
        if obstacle:
            return obstacle
        log.info("fit %s: the analytic gradient, on the same bars", name)
        folder = self.context.directory / FITS / name
        context = replace(self.context, cfg=cfg, bench=bench, directory=folder, fit=name)
        return Fitted(self.task.strategy(context), bench)

    def _bench(self, ranges: Ranges, is_shuffled: bool) -> Bench:
        bench, cfg = replace(self.context.bench, ranges=ranges), self.context.cfg
        if bench.features is None:
            return bench
        if self.is_learned:
            feature_set = build(cfg.features, key="features")
            features, scaler = build_features(feature_set, bench.panel, ranges.training, Path(cfg.store) / "features")
            bench = replace(bench, features=features, scaler=scaler)
        if is_shuffled:
            assert bench.features is not None
            parts = (*ranges.training, ranges.validation)
            bench = replace(bench, features=shuffle_rows(bench.features, parts, seed=cfg.seed))
        return bench
