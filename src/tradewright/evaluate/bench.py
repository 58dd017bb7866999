"""What a strategy is judged on (``Bench``), how one is obtained (``Fit``) and what judging gives (``Judgement``)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tradewright.backtest.result import BacktestResult
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range, Ranges
from tradewright.features.features import Features
from tradewright.features.scaler import Scaler
from tradewright.strategy.strategy import Strategy


@dataclass(frozen=True)
class Bench:
    """What a strategy is judged on.

    Args:
        panel: All bars.
        features: Model features, or None where nothing needs them.
        ranges: Train, validation and test.
        backtest: The backtester.
        scaler: The scaler of the features, if any.
        ready_from: First bar from which the configured features are known, whether or not they were computed.
    """

    panel: Panel
    features: Features | None
    ranges: Ranges
    backtest: Vectorized
    scaler: Scaler | None = None
    ready_from: int = 0

    def run(self, strategy: Strategy, rows: Range, name: str | None = None) -> BacktestResult:
        """Backtest ``strategy`` on ``rows``."""
        positions = strategy.decide(self.panel, self.features, rows)
        return self.backtest.run(self.panel, positions, rows, name=name or strategy.name)


@dataclass(frozen=True)
class Fitted:
    """A strategy and the bench it was fitted on, whose features are scaled as its model expects."""

    strategy: Strategy
    bench: Bench


class Fit(Protocol):
    """Gives the run's strategy for some ranges: trains an algorithm, or builds a rule."""

    is_learned: bool
    """Whether the strategy depends on training bars."""

    def __call__(self, ranges: Ranges | None = None, *, name: str = "", is_shuffled: bool = False) -> Fitted:
        """Return the strategy.

        Args:
            ranges: Bars to fit and choose on; None: the run's own split.
            name: Names the fit and its folder inside the run directory; "" is the run itself.
            is_shuffled: Take the features of training and validation in random order, so that they tell nothing.
        """
        ...

    def reference(self, ranges: Ranges, *, name: str) -> Fitted | str:
        """Return the analytic gradient fitted to the same bars at the same costs, or why there is none.

        Args:
            ranges: Bars to fit and choose on.
            name: Names the fit and its folder inside the run directory.
        """
        ...


@dataclass(frozen=True)
class Judgement:
    """Backtests by (range, name), the strategy first; the flat dictionary of all figures; and the evidence by kind."""

    results: Mapping[tuple[str, str], BacktestResult]
    metrics: dict[str, float] = field(default_factory=dict)
    evidence: Mapping[str, object] = field(default_factory=dict)
