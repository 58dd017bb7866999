"""Time-series momentum: long while the return over a lookback is positive.

Source: Moskowitz, Ooi, Pedersen, "Time series momentum", Journal of Financial Economics 104 (2012), without its
volatility scaling.
"""

from typing import ClassVar, Literal

import numpy as np

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.features.features import Features
from tradewright.market.positions import Positions
from tradewright.strategy.orders import on_own_bars, orders_at_changes
from tradewright.strategy.side import Side, check_rule, weights_of


class Momentum:
    """Follows the sign of the past return; each instrument gets an equal part of the exposure.

    Bars are those that an instrument has; until ``lookback + skip + 1`` of them exist it is not traded.

    Args:
        lookback: Bars of the past return, >= 1.
        skip: Most recent bars left out of it, >= 0 (21 leaves out the month that tends to reverse in single stocks).
        side: ``long`` holds cash otherwise, ``long_short`` goes short otherwise.
        exposure: Fraction of equity invested when every instrument is held, > 0.

    Raises:
        ValueError: A value is out of range.
    """

    name = "momentum"
    is_learned: ClassVar[bool] = False

    def __init__(
        self,
        *,
        lookback: int = 126,
        skip: int = 0,
        side: Literal["long", "long_short"] = "long",
        exposure: float = 1.0,
    ) -> None:
        if lookback < 1:
            raise ValueError(f"lookback must be >= 1, was {lookback}")
        if skip < 0:
            raise ValueError(f"skip must be >= 0, was {skip}")
        check_rule(side, exposure)
        self.lookback = lookback
        self.skip = skip
        self.side: Side = side
        self.exposure = exposure

    def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
        """Return orders where the past return changes its sign; see ``Strategy.decide``."""
        target_TN = np.full((rows.stop, len(panel.instruments)), np.nan)
        for n in range(target_TN.shape[1]):
            own_rows, closes = on_own_bars(panel, rows.stop, n)
            num_known = len(closes) - self.lookback - self.skip
            if num_known < 1:
                continue
            past, recent = closes[:num_known], closes[self.lookback : self.lookback + num_known]
            target_TN[own_rows[self.lookback + self.skip :], n] = np.sign(recent - past)
        weights_TN = weights_of(target_TN, self.side, self.exposure)
        return Positions(weights_TN=orders_at_changes(weights_TN, panel, rows))
