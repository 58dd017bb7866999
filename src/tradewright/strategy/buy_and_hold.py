"""Buy and hold: equal weights once, at the start of the range; the baseline that stands beside every strategy."""

from typing import ClassVar

import numpy as np

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.features.features import Features
from tradewright.market.positions import Positions
from tradewright.strategy.orders import orders_at_changes


class BuyAndHold:
    """Buys every instrument that has a bar at the first decision, in equal parts, and never trades again.

    Args:
        exposure: Fraction of equity invested, > 0.

    Raises:
        ValueError: ``exposure`` is not positive.
    """

    name = "buy_and_hold"
    is_learned: ClassVar[bool] = False

    def __init__(self, *, exposure: float = 1.0) -> None:
        if not exposure > 0:
            raise ValueError(f"exposure must be > 0, was {exposure}")
        self.exposure = exposure

    def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
        """Return orders at the first bar of the range and no others; see ``Strategy.decide``."""
        has_bar_TN = panel.tradable_TN[: rows.stop]
        target_TN = np.full(has_bar_TN.shape, np.nan)
        started = rows.start + np.flatnonzero(has_bar_TN[rows.start :].any(axis=1))
        if len(started):
            first = started[0]
            target_TN[first, has_bar_TN[first]] = self.exposure / has_bar_TN[first].sum()
        return Positions(weights_TN=orders_at_changes(target_TN, panel, rows))
