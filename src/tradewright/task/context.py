"""``Context``: what the spine hands a task, and ``read_market``, which builds the market part of it."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from tradewright.backtest.vectorized import Vectorized
from tradewright.config.build import build
from tradewright.evaluate.backtest import BacktestEvaluation
from tradewright.evaluate.bench import Bench
from tradewright.features.pipeline import build_features
from tradewright.features.scaler import Scaler
from tradewright.provenance import Origin

SCALER = "scaler.json"
FITS = "fits"
"""Folder of the fits of folds and controls inside a run directory."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """One run as a task sees it.

    Args:
        cfg: The resolved, checked configuration.
        directory: The run directory.
        resume: Whether the run continues an earlier one.
        origin: What the command line chose.
        bench: The market.
        evaluation: Scores strategies.
        fit: Name of the fold or control that is being fitted; "" is the run itself.
    """

    cfg: DictConfig
    directory: Path
    resume: bool
    origin: Origin
    bench: Bench
    evaluation: BacktestEvaluation
    fit: str = ""

    @property
    def strategy_name(self) -> str:
        """Name of the judged strategy in tables: the algorithm for a policy, else the rule."""
        chosen = self.origin.choices.get("strategy", "policy")
        return self.origin.choices.get("algorithm", "policy") if chosen == "policy" else chosen

    def save_scaler(self) -> None:
        """Keep the scaler that the strategy's model expects beside the run's checkpoints."""
        if self.bench.scaler is not None:
            self.bench.scaler.save(self.directory / SCALER)


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
