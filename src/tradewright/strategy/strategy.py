"""The ``Strategy`` protocol: whatever decides positions, so that one backtester judges all."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.features.features import Features
from tradewright.market.positions import Positions


class Strategy(Protocol):
    """Decides target positions bar by bar."""

    name: str

    def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
        """Return positions for the bars of ``rows``.

        Args:
            panel: The whole panel as it is traded; bars before ``rows.start`` may be used as warm-up. Signals belong on
                ``panel.for_signals()``, which splits and rolls do not move.
            features: Model features of the same panel, or None for strategies that need none.
            rows: Bars to decide on.

        Returns:
            Positions whose first axis has ``len(rows)`` entries. Row i is decided at the close of bar
            ``rows.start + i`` from bars up to and including it, never from later ones.
        """
        ...


@runtime_checkable
class FittedRule(Protocol):
    """A rule that takes figures, such as quantiles, from the training bars before it decides."""

    def fit(self, panel: Panel, training: Sequence[Range]) -> Strategy:
        """Return the rule with what it takes from the training bars alone."""
        ...


def fit_rule(strategy: Strategy, panel: Panel, training: Sequence[Range]) -> Strategy:
    """Return a rule with what it takes from the training bars; others as they are."""
    return strategy.fit(panel, training) if isinstance(strategy, FittedRule) else strategy
