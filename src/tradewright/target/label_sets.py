"""``LabelSets``: the bars of a market with what a network shall say of each: side, size and the return to come.

A bar is used where its whole window of features is known, its side is known, and everything that its targets look at
lies inside its own range: the last bars of every range, whose return is only known in the embargo or the next range,
are left out. Legend: T bars, N instruments, F features, B examples. Row ``n * T + t`` is bar t of instrument n.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range, Ranges
from tradewright.errors import DataError
from tradewright.features.features import Features
from tradewright.target.forward import forward_return
from tradewright.target.labels import ACTIONS, SIDES, Target

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """Examples of one range, by instrument and in time order.

    Args:
        row_B: Flat row of the newest bar of the window.
        side_B: Index into ``ACTIONS``.
        size_B: Fraction of equity of the entry; NaN where the side is HOLD, which has none.
        horizon_B: Return of an order after the bar, a fraction.
    """

    row_B: Int
    side_B: Int
    size_B: Float
    horizon_B: Float

    def __len__(self) -> int:
        return len(self.row_B)


@dataclass(frozen=True, kw_only=True)
class LabelSets:
    """Examples of the three ranges; statistics are those of the training set."""

    train: LabelSet
    validation: LabelSet
    test: LabelSet

    @property
    def order(self) -> tuple[str, ...]:
        """The actions, the most frequent of the training set first."""
        counts = np.bincount(self.train.side_B, minlength=len(ACTIONS))
        return tuple(ACTIONS[place] for place in np.argsort(-counts, kind="stable"))

    @property
    def size(self) -> tuple[float, float]:
        """Mean and deviation of the size of entries; the deviation is 1 where all are equal."""
        return _moments(self.train.size_B[~np.isnan(self.train.size_B)])

    @property
    def horizon(self) -> tuple[float, float]:
        """Mean and deviation of the return; the deviation is 1 where all are equal."""
        return _moments(self.train.horizon_B)


@dataclass(frozen=True)
class LabelledMarket:
    """What label sets are made of.

    Args:
        panel: All bars.
        features: Model features.
        ranges: Train, validation and test.
        target: Labels side and size; it is fitted to the training bars alone.
    """

    panel: Panel
    features: Features
    ranges: Ranges
    target: Target

    def sets(self, *, window: int, horizon_bars: int) -> LabelSets:
        """Return the examples of the three ranges.

        Args:
            window: Bars of features that an example shows, >= 1.
            horizon_bars: Bars that the return looks ahead, >= 1.

        Raises:
            DataError: A range has no example, or the training set none with a side.
        """
        target = self.target.fit(self.panel, self.ranges.training)
        labels = target.label(self.panel)
        horizon_TN = forward_return(self.panel, horizon_bars)
        reach = max(horizon_bars, target.horizon_bars)
        first = self.features.ready_from + window - 1
        parts = {
            "train": self.ranges.training, "validation": (self.ranges.validation,), "test": (self.ranges.test,),
        }  # fmt: skip
        found = {}
        for name, ranges in parts.items():
            is_used_TN = _within(ranges, self.panel.num_bars, first, reach)[:, None]
            is_used_TN = is_used_TN & ~np.isnan(labels.side_TN) & ~np.isnan(horizon_TN)
            row_B = np.flatnonzero(is_used_TN.T)
            if not len(row_B):
                raise DataError(
                    f"target: no bar of the {name} range of '{self.panel.dataset}' has {window} known bars of features,"
                    f" a label and {reach} bars after it; use more data, a shorter algorithm.window or"
                    " algorithm.horizon_bars"
                )
            side_B = labels.side_TN.T.reshape(-1)[row_B]
            found[name] = LabelSet(
                row_B=row_B,
                side_B=np.array([ACTIONS.index(_word(side)) for side in side_B.tolist()], dtype=np.int64),
                size_B=np.where(side_B == 0, np.nan, labels.size_TN.T.reshape(-1)[row_B]),
                horizon_B=horizon_TN.T.reshape(-1)[row_B],
            )
        if np.isnan(found["train"].size_B).all():
            raise DataError(
                f"target: every training bar of '{self.panel.dataset}' is HOLD, so there is no size to learn; use lower"
                " thresholds such as target=relaxed"
            )
        return LabelSets(**found)


def _word(side: float) -> str:
    return next(action for action, value in SIDES.items() if value == side)


def _within(ranges: Sequence[Range], num_bars: int, first: int, reach: int) -> npt.NDArray[np.bool_]:
    """Return which bars have ``first`` bars before them and ``reach`` bars of their own range after them, ``[T]``."""
    is_used_T = np.zeros(num_bars, dtype=bool)
    for part in ranges:
        is_used_T[max(part.start, first) : max(part.stop - reach, 0)] = True
    return is_used_T


def _moments(values: Float) -> tuple[float, float]:
    deviation = float(values.std())
    mean = float(values.mean())
    is_constant = deviation <= 1e-9 * abs(mean) or deviation == 0.0  # rounding of a sum is no variation
    return mean, 1.0 if is_constant else deviation
