"""Equal weight: the same fraction of equity in every instrument that has a bar, restored at regular bars."""

from typing import ClassVar

import numpy as np

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.features.features import Features
from tradewright.market.positions import Positions


class EqualWeight:
    """Holds every instrument in equal parts and rebalances; with one instrument it is buy-and-hold.

    Source: DeMiguel, Garlappi & Uppal (2009), Optimal versus naive diversification, RFS 22(5).

    Args:
        every_bars: Bars between two rebalancings, counted from the first of the range, >= 1.
        exposure: Fraction of equity invested, > 0.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    name = "equal_weight"
    is_learned: ClassVar[bool] = False

    def __init__(self, *, every_bars: int = 21, exposure: float = 1.0) -> None:
        if every_bars < 1:
            raise ValueError(f"every_bars must be >= 1, was {every_bars}")
        if not exposure > 0:
            raise ValueError(f"exposure must be > 0, was {exposure}")
        self.every_bars = every_bars
        self.exposure = exposure

    def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
        """Return orders at every rebalancing; see ``Strategy.decide``."""
        has_bar_TN = panel.tradable_TN[rows.start : rows.stop]
        weights_TN = np.full(has_bar_TN.shape, np.nan)
        due_T = np.arange(len(rows)) % self.every_bars == 0
        count_T1 = has_bar_TN.sum(axis=1, keepdims=True)
        share_TN = np.where(has_bar_TN, self.exposure / np.maximum(count_T1, 1), np.nan)
        weights_TN[due_T] = share_TN[due_T]
        return Positions(weights_TN=weights_TN)
