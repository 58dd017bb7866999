"""``Task``: what the spine asks of a task that judges a strategy."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import DictConfig

from tradewright.config.build import build
from tradewright.errors import ConfigError
from tradewright.evaluate.bench import Bench
from tradewright.provenance import Origin
from tradewright.strategy.strategy import Strategy
from tradewright.task.context import BaseContext, Context, has_market

_HAS = {"market": "a market: use evaluate=backtest", "episodes": "none: use evaluate=episodes"}


class Task(ABC):
    """Gives the spine a market and a strategy."""

    is_trial: ClassVar[bool] = True
    """Whether a judged run counts as a trial of its experiment."""
    learns: ClassVar[bool] = False
    """Whether ``strategy`` trains an algorithm, so that other training bars give another strategy."""

    needs_market: ClassVar[bool] = True
    """Whether it has no meaning for an environment without a market."""

    strategy_kind: ClassVar[str] = "any"
    """Which strategies it takes: ``learned``, ``rule`` or ``any``."""

    def __init__(self) -> None:
        self.curves: dict[str, tuple[list[int], list[float]]] = {}
        """Learning curves by metric name: frames and values."""
        self.notes: list[str] = []
        """Sentences that the report must show."""
        self.evidence: dict[str, object] = {}
        """What is known of the strategy before it is judged, by kind, see ``evaluate.evidence``."""

    def configured(self, cfg: DictConfig) -> DictConfig:
        """Return the configuration that the run records and follows."""
        return cfg

    def context(self, cfg: DictConfig, *, directory: Path, resume: bool, origin: Origin) -> BaseContext:
        """Read what the strategy is judged on: the market, or the environment that has none.

        Raises:
            ConfigError: A trained run is to be judged in a way that its environment does not have.
        """
        evaluation = build(cfg.evaluate, key="evaluate")
        common: dict[str, Any] = {"cfg": cfg, "directory": directory, "resume": resume, "origin": origin}
        if evaluation.judges == "text":
            from tradewright.task.texts import TextContext, read_texts

            return TextContext(bench=read_texts(cfg), evaluation=evaluation, **common)
        wanted = "market" if has_market(cfg) else "episodes"
        if evaluation.judges != wanted:
            raise ConfigError(f"evaluate: judges by {evaluation.judges}, but the env of the run has {_HAS[wanted]}")
        if has_market(cfg):
            return Context(bench=self.market(cfg), evaluation=evaluation, **common)
        from tradewright.task.episodes import EpisodeContext, read_bench

        return EpisodeContext(bench=read_bench(cfg), evaluation=evaluation, **common)

    @abstractmethod
    def market(self, cfg: DictConfig) -> Bench:
        """Read the market."""

    @abstractmethod
    def strategy(self, context: Any) -> Strategy:
        """Return the strategy for the context's ranges."""
