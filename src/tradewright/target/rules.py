"""``RuleTarget``: labels of the heuristic rules on the swaps of a pool, with thresholds given or taken from training.

Inputs are the conditions of ``features.swap_windows`` over one window. Where both rules act in one bar the breakout
wins, whose size is larger; so lower thresholds never make fewer trades. Legend: T bars.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import DataError, RunError
from tradewright.features.swap_windows import condition_features, sampled, swaps_of
from tradewright.target.breakout_rule import breakout_side
from tradewright.target.labels import Labels
from tradewright.target.mean_reversion_rule import mean_reversion_side

Float = npt.NDArray[np.float64]

RULES = ("mean_reversion", "breakout")
CAUSES = ("", *RULES)
THRESHOLDS = {
    "deviation": "deviation",
    "reversion_volume": "volume_ratio",
    "momentum": "return",
    "volatility": "volatility",
    "breakout_volume": "volume_ratio",
}
"""Thresholds and the condition that each is compared with."""
TWO_SIDED = ("deviation", "momentum")
"""Thresholds of a magnitude: both signs count."""


class RuleTarget:
    """Mean reversion (buy oversold, sell overbought) and breakout (follow the move), with their sizes.

    Args:
        rules: Which of ``mean_reversion`` and ``breakout`` label.
        unit: Of the thresholds: ``value`` (natural units) or ``quantile`` of the training bars, in (0, 1).
        window: Swaps of the conditions, >= 2.
        deviation: Least distance of the price from its mean.
        reversion_volume: Volume over its mean that confirms a reversion.
        reversion_size: Fraction of equity per entry of a reversion, in (0, 1].
        momentum: Least return of the window.
        volatility: Least standard deviation of price changes.
        breakout_volume: Volume over its mean that confirms a breakout.
        breakout_size: Fraction of equity per entry of a breakout, in (0, 1].

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    def __init__(
        self,
        *,
        rules: Sequence[str] = RULES,
        unit: Literal["value", "quantile"] = "value",
        window: int = 50,
        deviation: float = 0.002,
        reversion_volume: float = 1.5,
        reversion_size: float = 0.05,
        momentum: float = 0.004,
        volatility: float = 0.0008,
        breakout_volume: float = 1.5,
        breakout_size: float = 0.08,
    ) -> None:
        if not rules or set(rules) - set(RULES):
            raise ValueError(f"rules must be some of {', '.join(RULES)}, was {list(rules)}")
        if unit not in ("value", "quantile"):
            raise ValueError(f"unit must be 'value' or 'quantile', was {unit!r}")
        if window < 2:
            raise ValueError(f"window must be >= 2, was {window}")
        for name, size in (("reversion_size", reversion_size), ("breakout_size", breakout_size)):
            if not 0 < size <= 1:
                raise ValueError(f"{name} must be in (0, 1], was {size}")
        given = {
            "deviation": deviation,
            "reversion_volume": reversion_volume,
            "momentum": momentum,
            "volatility": volatility,
            "breakout_volume": breakout_volume,
        }
        for name, value in given.items():
            if not (0 < value < 1 if unit == "quantile" else value >= 0):
                raise ValueError(f"{name} must be {'in (0, 1)' if unit == 'quantile' else '>= 0'}, was {value}")
        self.rules = tuple(rules)
        self.unit = unit
        self.window = window
        self.given = given
        self.sizes = {"mean_reversion": reversion_size, "breakout": breakout_size}
        self.thresholds: dict[str, float] | None = dict(given) if unit == "value" else None

    @property
    def horizon_bars(self) -> int:
        """Rules look at nothing ahead."""
        return 0

    @property
    def facts(self) -> dict[str, Any]:
        """Parameters and thresholds."""
        return {
            "rules": list(self.rules),
            "unit": self.unit,
            "window": self.window,
            "given": self.given,
            "thresholds": self.thresholds,
            "sizes": self.sizes,
        }

    def fit(self, panel: Panel, training: Sequence[Range]) -> "RuleTarget":
        """Return the target with thresholds that are quantiles of the training bars, or as they are given.

        Raises:
            DataError: No training bar has all conditions.
        """
        if self.unit == "value":
            return self
        inputs = self._inputs(panel)
        rows = np.concatenate([np.arange(part.start, part.stop) for part in training])
        fitted = copy.copy(self)
        fitted.thresholds = {}
        for name, quantile in self.given.items():
            values = inputs[THRESHOLDS[name]][rows]
            values = values[~np.isnan(values)]
            if not len(values):
                raise DataError(
                    f"target.{name}: no training bar of '{panel.dataset}' has {self.window} swaps before it; use more"
                    " data or a shorter target.window"
                )
            values = np.abs(values) if name in TWO_SIDED else values
            fitted.thresholds[name] = float(np.quantile(values, quantile))
        return fitted

    def label(self, panel: Panel) -> Labels:
        """Return the labels; unknown before the window is full.

        Raises:
            DataError: The panel has no swaps.
            RunError: The thresholds are quantiles and were not fitted.
        """
        limits = self.thresholds
        if limits is None:
            raise RunError("target: its thresholds are quantiles of the training bars; fit it before it labels")
        inputs = self._inputs(panel)
        sides = {rule: side_T for rule, side_T in _sides(inputs, limits).items() if rule in self.rules}
        side_T, size_T = np.zeros(panel.num_bars), np.zeros(panel.num_bars)
        cause_T = np.zeros(panel.num_bars, dtype=np.int64)
        for rule in RULES:  # the later one wins
            acts_T = np.abs(sides.get(rule, side_T * 0.0)) == 1
            side_T = np.where(acts_T, sides.get(rule, 0.0), side_T)
            size_T = np.where(acts_T, self.sizes[rule], size_T)
            cause_T = np.where(acts_T, CAUSES.index(rule), cause_T)
        is_unknown_T = np.any([np.isnan(x_T) for x_T in sides.values()], axis=0)
        side_T = np.where(is_unknown_T, np.nan, side_T)
        return Labels(
            side_TN=side_T[:, None],
            size_TN=np.where(is_unknown_T, 0.0, size_T)[:, None],
            cause_TN=np.where(is_unknown_T, 0, cause_T)[:, None],
            causes=CAUSES,
        )

    def _inputs(self, panel: Panel) -> dict[str, Float]:
        """Return the conditions of every bar ``[T]`` by name, without their window."""
        columns = sampled(panel, condition_features(swaps_of(panel), (self.window,)))
        return {name.removesuffix(f"_{self.window}"): x_T1[:, 0] for name, x_T1 in columns.items()}


def _sides(inputs: Mapping[str, Float], limits: Mapping[str, float]) -> dict[str, Float]:
    reversion_T = mean_reversion_side(
        inputs["deviation"],
        inputs["volume_ratio"],
        deviation=limits["deviation"],
        volume_ratio=limits["reversion_volume"],
    )
    breakout_T = breakout_side(
        inputs["return"],
        inputs["volatility"],
        inputs["volume_ratio"],
        momentum=limits["momentum"],
        volatility=limits["volatility"],
        volume_ratio=limits["breakout_volume"],
    )
    return {"mean_reversion": reversion_T, "breakout": breakout_T}
