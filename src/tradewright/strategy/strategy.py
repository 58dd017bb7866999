"""The ``Strategy`` protocol: whatever decides positions, so that one backtester judges all."""

from typing import Protocol

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
