"""``Context``: what the spine hands a task, and ``read_market``, which builds the market part of it.

A run without a market has an ``EpisodeContext`` (``task/episodes.py``) instead.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from tradewright.backtest.vectorized import Vectorized
from tradewright.config.build import build
from tradewright.config.locate import class_attribute
from tradewright.data.panel import Panel
from tradewright.evaluate.backtest import BacktestEvaluation
from tradewright.evaluate.bench import Bench
from tradewright.features.pipeline import build_features
from tradewright.features.scaler import Scaler
from tradewright.provenance import Origin
from tradewright.strategy.strategy import Strategy

SCALER = "scaler.json"
FITS = "fits"
"""Folder of the fits of folds and controls inside a run directory."""


@dataclass(frozen=True, kw_only=True)
class BaseContext(ABC):
    """One run as a task sees it, whether or not it has a market.

    Args:
        cfg: The resolved, checked configuration.
        directory: The run directory.
        resume: Whether the run continues an earlier one.
        origin: What the command line chose.
        fit: Name of the fold or control that is being fitted; "" is the run itself.
        is_shuffled: Whether a control is fitted, whose inputs must tell nothing.
    """

    cfg: DictConfig
    directory: Path
    resume: bool
    origin: Origin
    fit: str = ""
    is_shuffled: bool = False

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What the provenance says of the data; ``dataset`` and ``fingerprint`` at least."""

    @abstractmethod
    def validate(self, strategy: Any) -> dict[str, float]:
        """Return the figures by which a strategy is chosen, without prefix."""

    @property
    def run_directory(self) -> Path:
        """The directory of the run, also where a fold, a control or a teacher is fitted in a folder inside it."""
        directory = self.directory
        while directory.parent.name == FITS:
            directory = directory.parents[1]
        return directory

    @property
    def fingerprint(self) -> str:
        """Identity of the data: runs are comparable where it is equal."""
        return str(self.facts["fingerprint"])

    @property
    def strategy_name(self) -> str:
        """Name of the judged strategy in tables: the algorithm for a policy, else the rule."""
        chosen = self.origin.choices.get("strategy", "policy")
        return self.origin.choices.get("algorithm", "policy") if chosen == "policy" else chosen


@dataclass(frozen=True, kw_only=True)
class Context(BaseContext):
    """A run on a market.

    Args:
        bench: The market.
        evaluation: Scores strategies.
    """

    bench: Bench
    evaluation: BacktestEvaluation

    @property
    def facts(self) -> dict[str, Any]:
        """The panel's."""
        return panel_facts(self.bench.panel)

    def validate(self, strategy: Strategy) -> dict[str, float]:
        """Return the figures of a backtest on the validation range."""
        return self.evaluation.figures(self.bench, strategy, self.bench.ranges.validation)

    def save_scaler(self) -> None:
        """Keep the scaler that the strategy's model expects beside the run's checkpoints."""
        if self.bench.scaler is not None:
            self.bench.scaler.save(self.directory / SCALER)


def panel_facts(panel: Panel) -> dict[str, Any]:
    """Return what the provenance says of a panel."""
    return {
        "dataset": panel.dataset,
        "fingerprint": panel.fingerprint,
        "num_bars": panel.num_bars,
        "timeframe_s": panel.timeframe_s,
        "periods_per_year": panel.periods_per_year,
        "num_symbols": len(panel.symbols),
        "first": str(panel.ts_T[0]),
        "last": str(panel.ts_T[-1]),
        "is_synthetic": panel.is_synthetic,
    }


def has_market(cfg: DictConfig) -> bool:
    """Whether the configured environment trades a market."""
    return class_attribute(str(cfg.env.get("_target_", "")), "is_market") is not False


def read_market(cfg: DictConfig, *, with_features: bool, fitted: Scaler | None = None) -> Bench:
    """Read bars, ranges, features and the backtester that a configuration names.

    Args:
        cfg: The configuration.
        with_features: Compute model features; rules need none.
        fitted: Scaler of the run whose model will read the features; None fits one on the training range.
    """
    source = build(cfg.data, key="data")
    backtest: Vectorized = build(cfg.backtest, key="backtest")
    panel = source.with_finer(source.panel(), backtest.rules.finer_timeframe)
    ranges = source.ranges(panel)
    feature_set = build(cfg.features, key="features")
    ready_from = min(feature_set.warmup_bars, panel.num_bars)
    if not with_features:
        return Bench(panel, None, ranges, backtest, ready_from=ready_from)
    features, scaler = build_features(feature_set, panel, ranges.training, Path(cfg.store) / "features", fitted=fitted)
    return Bench(panel, features, ranges, backtest, scaler, ready_from)
