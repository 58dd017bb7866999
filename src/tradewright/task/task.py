"""``Task``: what the spine asks of a task that judges a strategy."""

from abc import ABC, abstractmethod
from typing import ClassVar

from omegaconf import DictConfig

from tradewright.evaluate.bench import Bench
from tradewright.strategy.strategy import Strategy
from tradewright.task.context import Context


class Task(ABC):
    """Gives the spine a market and a strategy."""

    is_trial: ClassVar[bool] = True
    """Whether a judged run counts as a trial of its experiment."""
    learns: ClassVar[bool] = False
    """Whether ``strategy`` trains an algorithm, so that other training bars give another strategy."""

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

    @abstractmethod
    def market(self, cfg: DictConfig) -> Bench:
        """Read the market."""

    @abstractmethod
    def strategy(self, context: Context) -> Strategy:
        """Return the strategy for the context's ranges."""
