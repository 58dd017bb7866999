"""``Target``: what each bar is labelled with, and ``Labels``, the labels.

Two kinds: rules label a bar by what is known at its close (``horizon_bars`` 0); ``direction`` and ``return`` by what
happens after it, so they serve to fit and to judge, never to decide, and an embargo must cover their reach.
Legend: T bars, N instruments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tradewright.config.inert import Unused
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import ConfigError

Float = npt.NDArray[np.float64]

ACTIONS = ("BUY", "SELL", "HOLD")
"""Words of the sides 1, -1 and 0."""
SIDES = {"BUY": 1.0, "SELL": -1.0, "HOLD": 0.0}


@dataclass(frozen=True, kw_only=True)
class Labels:
    """One label per bar and instrument.

    Args:
        side_TN: 1 buy, -1 sell, 0 hold; NaN: unknown.
        size_TN: Fraction of equity per entry; 0 where there is none.
        cause_TN: Index into ``causes`` of the rule that decided; 0: none did.
        causes: Names of the rules, the first of which is empty.
        value_TN: Continuous target, a fraction; None: the target has none.
    """

    side_TN: Float
    size_TN: Float
    cause_TN: npt.NDArray[np.int64]
    causes: tuple[str, ...] = ("",)
    value_TN: Float | None = None

    def words(self, rows: npt.NDArray[np.integer], n: int = 0) -> list[str]:
        """Return the actions of some rows of an instrument, none of them unknown."""
        word = {side: action for action, side in SIDES.items()}
        return [word[side] for side in self.side_TN[rows, n].tolist()]

    def distribution(self, rows: Range) -> dict[str, float]:
        """Return the share of every action among the known labels of some rows; NaN where none is known."""
        sides = self.side_TN[rows.start : rows.stop]
        known = sides[~np.isnan(sides)]
        return {action: float((known == side).mean()) if len(known) else np.nan for action, side in SIDES.items()}


class Target(Protocol):
    """The config node of group ``target``."""

    @property
    def horizon_bars(self) -> int:
        """Bars ahead that a label looks; 0: it is known at its bar."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """Parameters and whatever was fitted, JSON values."""
        ...

    def fit(self, panel: Panel, training: Sequence[Range]) -> "Target":
        """Return the target with what it takes from the training bars; itself where it takes nothing."""
        ...

    def label(self, panel: Panel) -> Labels:
        """Return the labels of all bars."""
        ...


def require_target(target: Target) -> None:
    """Refuse that there is no target.

    Raises:
        ValueError: It is ``target=none``.
    """
    if isinstance(target, Unused):
        raise ValueError("target must be one that labels, such as target=data_driven, was none")


def check_reach(target: Target, embargo_bars: int) -> None:
    """Refuse a split whose embargo does not cover what labels look ahead.

    Raises:
        ConfigError: The label of the last training bar would be known only inside the next range.
    """
    if target.horizon_bars > embargo_bars:
        raise ConfigError(
            f"data.split.embargo_bars must be >= {target.horizon_bars}, the horizon of the target, was {embargo_bars}:"
            " labels of training bars would tell what happens in the next range"
        )
