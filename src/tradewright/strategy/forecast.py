"""``strategy=forecast``: a network that says side, size and return, traded past the filters of risk.

The side is the most probable one, its confidence the calibrated probability, its size what the network says of an entry
in this bar. How sure a decision must be is the threshold of risk; that it must also be worth its costs by the network's
own forecast is ``least_return``. Bars whose window of features is not full give no order and are counted.
Legend: R decided bars, L = 3 words in the order of ``ACTIONS``.
"""

import logging
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from tradewright.config.runtime import Runtime
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.features.features import Features
from tradewright.market.positions import Positions
from tradewright.metrics.temperature import tempered
from tradewright.risk.decisions import Blocked, Decisions
from tradewright.risk.filter import RiskFilter, require_filter
from tradewright.target.labels import ACTIONS, SIDES

log = logging.getLogger(__name__)

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Forecasts:
    """What a network says of some bars; rows of NaN where it says nothing.

    Args:
        probabilities_RL: Of ``ACTIONS``, rows add up to 1.
        size_R: Fraction of equity of an entry, in (0, 1).
        horizon_R: Return of an order after the bar, a fraction.
    """

    probabilities_RL: Float
    size_R: Float
    horizon_R: Float


class Forecaster(Protocol):
    """A trained network."""

    @property
    def calibration(self) -> float:
        """Temperature of its probabilities, found on the validation range."""
        ...

    def forecast(self, features: Features, rows: Range) -> Forecasts:
        """Return what it says of the bars of one instrument, from bars up to and including each."""
        ...


class Forecast:
    """Trades what a network forecasts for one pool.

    Args:
        forecaster: The network.
        risk: Turns decisions into orders; its threshold makes unsure ones HOLD.
        every_bars: Bars between two decisions, counted from the beginning of the data, >= 1.
        size: Fraction of equity per entry, in (0, 1]; None: as forecast.
        least_return: Return of the bars to come, in the direction of the side, that a forecast must reach for an order,
            a fraction >= 0; None: the side alone decides.
        is_calibrated: Judge confidence by the temperature found on the validation range, else by raw probabilities.
        name: Name in tables.

    Attributes:
        blocked: What ``risk`` blocked in the last call of ``decide``.
        num_asked, num_undefined, num_unpaid: Of that call: bars decided on, bars left out because the window was not
            full, and sides that became HOLD because the forecast return was too small.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    is_learned: ClassVar[bool] = True
    decides_by: ClassVar[str] = "forecast"

    def __init__(
        self,
        *,
        forecaster: Runtime[Forecaster],
        risk: RiskFilter,
        every_bars: int = 1,
        size: float | None = None,
        least_return: float | None = None,
        is_calibrated: bool = True,
        name: Runtime[str] = "forecast",
    ) -> None:
        require_filter(risk)
        if every_bars < 1:
            raise ValueError(f"every_bars must be >= 1, was {every_bars}")
        if size is not None and not 0 < size <= 1:
            raise ValueError(f"size must be in (0, 1] or null, was {size}")
        if least_return is not None and not least_return >= 0:
            raise ValueError(f"least_return must be >= 0 or null, was {least_return}")
        self.forecaster = forecaster
        self.risk = risk
        self.every_bars = every_bars
        self.size = size
        self.least_return = least_return
        self.is_calibrated = is_calibrated
        self.name = name
        self.blocked: tuple[Blocked, ...] = ()
        self.num_asked = self.num_undefined = self.num_unpaid = 0

    def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
        """Return orders where the network is sure enough and the filters agree; see ``Strategy.decide``.

        Raises:
            DataError: There are no features, or the panel has no swaps.
        """
        if features is None:
            raise DataError("strategy=forecast needs features, was given none")
        said = self.forecaster.forecast(features, rows)
        temperature = self.forecaster.calibration if self.is_calibrated else 1.0
        probabilities_RL = tempered(said.probabilities_RL, temperature)
        is_due_R = np.arange(rows.start, rows.stop) % self.every_bars == 0
        is_known_R = ~np.isnan(probabilities_RL).any(axis=1)
        is_asked_R = is_due_R & is_known_R
        self.num_asked, self.num_undefined = int(is_asked_R.sum()), int((is_due_R & ~is_known_R).sum())
        side_R, confidence_R = np.full((2, len(rows)), np.nan)
        choice_B = np.argmax(probabilities_RL[is_asked_R], axis=1)
        side_R[is_asked_R] = np.array([SIDES[action] for action in ACTIONS])[choice_B]
        # a sum of exponentials may round up
        confidence_R[is_asked_R] = np.minimum(np.max(probabilities_RL[is_asked_R], axis=1, initial=0.0), 1.0)
        self.num_unpaid = 0
        if self.least_return is not None:
            is_unpaid_R = (np.abs(side_R) == 1) & ~(side_R * said.horizon_R >= self.least_return)
            side_R[is_unpaid_R] = 0.0
            self.num_unpaid = int(is_unpaid_R.sum())
        size_R = said.size_R if self.size is None else np.full(len(rows), self.size)
        decisions = Decisions(side_R=side_R, size_R=size_R, confidence_R=confidence_R)
        positions, self.blocked = self.risk.apply(decisions, panel, rows)
        return positions
