"""What stands between a decision and an order: ``Decisions``, and ``Blocked``, the decisions that became none.

Legend: R decided bars of one instrument.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradewright.errors import DataError

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """One decision per bar.

    Args:
        side_R: 1 buy, -1 sell, 0 hold; NaN: none was made.
        size_R: Fraction of equity of the entry, > 0 where there is a side.
        confidence_R: How sure it is, in [0, 1]; NaN: it does not say.

    Raises:
        DataError: The three differ in length, or hold something else.
    """

    side_R: Float
    size_R: Float
    confidence_R: Float

    def __post_init__(self) -> None:
        if not self.side_R.shape == self.size_R.shape == self.confidence_R.shape or self.side_R.ndim != 1:
            shapes = f"{self.side_R.shape}, {self.size_R.shape}, {self.confidence_R.shape}"
            raise DataError(f"decisions: side, size and confidence must be one per bar each, were of shapes {shapes}")
        is_side_R = np.isnan(self.side_R) | np.isin(self.side_R, (-1.0, 0.0, 1.0))
        is_size_R = (np.abs(np.nan_to_num(self.side_R)) == 0) | ((self.size_R > 0) & (self.size_R <= 1))
        is_sure_R = np.isnan(self.confidence_R) | ((self.confidence_R >= 0) & (self.confidence_R <= 1))
        for name, is_fine_R, expected in (
            ("side", is_side_R, "1, -1, 0 or NaN"),
            ("size", is_size_R, "a fraction in (0, 1]"),
            ("confidence", is_sure_R, "in [0, 1] or NaN"),
        ):
            if not is_fine_R.all():
                row = int(np.argmin(is_fine_R))
                raise DataError(
                    f"decisions: {name} of row {row} is {getattr(self, f'{name}_R')[row]}, expected {expected}"
                )


@dataclass(frozen=True, kw_only=True)
class Blocked:
    """A decision that became no order, or a smaller one.

    Args:
        bar: Row of the panel.
        ts: Open of the bar.
        action: ``BUY`` or ``SELL``.
        size: Fraction of equity that was decided.
        allowed: What was left of it; 0: nothing.
        reason: Which filter: ``confidence``, ``hours``, ``min_volatility``, ``max_volatility``, ``liquidity_impact``,
            ``position_limit``, ``nothing_held`` or ``slippage``.
        value: What the filter saw.
        limit: What it allows; NaN where that is no number.
    """

    bar: int
    ts: np.datetime64
    action: str
    size: float
    allowed: float
    reason: str
    value: float
    limit: float


def count_reasons(blocked: Iterable[Blocked]) -> dict[str, int]:
    """Return how many decisions each filter blocked or cut, the most frequent first."""
    return dict(Counter(one.reason for one in blocked).most_common())
