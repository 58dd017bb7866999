"""SMA cross: long while the fast simple moving average of closes lies above the slow one."""

from typing import ClassVar, Literal

import numpy as np

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.features.features import Features
from tradewright.market.positions import Positions
from tradewright.strategy.orders import Float, on_own_bars, orders_at_changes
from tradewright.strategy.side import Side, check_rule, weights_of


class SmaCross:
    """Follows the trend by two moving averages; each instrument gets an equal part of the exposure.

    Averages run over the bars that an instrument has; until ``slow`` of them exist it is not traded.

    Args:
        fast: Bars of the fast average, >= 1.
        slow: Bars of the slow average, > fast.
        side: ``long`` holds cash otherwise, ``long_short`` goes short otherwise.
        exposure: Fraction of equity invested when every instrument is held, > 0.

    Raises:
        ValueError: A value is out of range.
    """

    name = "sma_cross"
    is_learned: ClassVar[bool] = False

    def __init__(
        self, *, fast: int = 20, slow: int = 50, side: Literal["long", "long_short"] = "long", exposure: float = 1.0
    ) -> None:
        if not 1 <= fast < slow:
            raise ValueError(f"fast must be >= 1 and below slow ({slow}), was {fast}")
        check_rule(side, exposure)
        self.fast = fast
        self.slow = slow
        self.side: Side = side
        self.exposure = exposure

    def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
        """Return orders at the crosses; see ``Strategy.decide``."""
        target_TN = np.full((rows.stop, len(panel.instruments)), np.nan)
        for n in range(target_TN.shape[1]):
            own_rows, closes = on_own_bars(panel, rows.stop, n)
            if len(closes) < self.slow:
                continue
            spread = _mean(closes, self.fast)[self.slow - self.fast :] - _mean(closes, self.slow)
            target_TN[own_rows[self.slow - 1 :], n] = np.sign(spread)
        weights_TN = weights_of(target_TN, self.side, self.exposure)
        return Positions(weights_TN=orders_at_changes(weights_TN, panel, rows))


def _mean(x: Float, num: int) -> Float:
    """Return the trailing means of ``num`` values, ``len(x) - num + 1`` of them."""
    return np.lib.stride_tricks.sliding_window_view(x, num).mean(axis=-1)
