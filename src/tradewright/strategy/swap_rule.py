"""``strategy=swap_rule``: the labels of a rule target on a pool, traded as they are, past the filters of risk.

It is what a model trained on these labels imitates, so it stands beside it as the baseline. Legend: R decided bars.
"""

import copy
import logging
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import ConfigError
from tradewright.features.features import Features
from tradewright.market.positions import Positions
from tradewright.risk.decisions import Blocked, Decisions
from tradewright.risk.filter import RiskFilter, require_filter
from tradewright.target.labels import Target, require_target

log = logging.getLogger(__name__)


class SwapRule:
    """Buys and sells where the target says so.

    Args:
        target: Labels bars by what is known at them.
        risk: Turns decisions into orders.

    Attributes:
        blocked: What ``risk`` blocked in the last call of ``decide``.

    Raises:
        ValueError: The target or the filters are none.
    """

    name = "swap_rule"
    is_learned: ClassVar[bool] = False

    def __init__(self, *, target: Target, risk: RiskFilter) -> None:
        require_target(target)
        require_filter(risk)
        self.target = target
        self.risk = risk
        self.blocked: tuple[Blocked, ...] = ()

    def fit(self, panel: Panel, training: Sequence[Range]) -> "SwapRule":
        """Return the rule with the thresholds that its target takes from the training bars.

        Raises:
            ConfigError: The target looks ahead and cannot decide.
        """
        if self.target.horizon_bars:
            raise ConfigError(
                f"strategy.target looks {self.target.horizon_bars} bars ahead and cannot decide; use"
                " target=data_driven or another rule"
            )
        fitted = copy.copy(self)
        fitted.target = self.target.fit(panel, training)
        return fitted

    def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
        """Return orders at the labels; see ``Strategy.decide``."""
        labels = self.target.label(panel.slice(0, rows.stop))
        decisions = Decisions(
            side_R=labels.side_TN[rows.start :, 0],
            size_R=labels.size_TN[rows.start :, 0],
            confidence_R=np.full(len(rows), np.nan),
        )
        positions, self.blocked = self.risk.apply(decisions, panel, rows)
        return positions
