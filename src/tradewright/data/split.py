"""``Split``: cuts a panel's clock into train, validation and test, in time order, with an embargo between neighbours.

The embargo is taken from the start of the later range, so the size of *train* is exactly the fraction asked for. It
keeps labels and indicators that reach over a few bars from touching both sides of a boundary.
Source: design §1; López de Prado, Advances in Financial Machine Learning (2018), §7.4 (embargo).
"""

from dataclasses import dataclass

import numpy as np

from tradewright.data.dates import parse_stop
from tradewright.data.panel import Panel
from tradewright.data.ranges import MIN_BARS, Range, Ranges
from tradewright.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Split:
    """Where training ends, where validation ends; test is the rest.

    Args:
        train: Fraction of all bars in (0, 1), or the last training date (ISO, inclusive).
        validation: Fraction of all bars in (0, 1), or the last validation date (ISO, inclusive).
        embargo_bars: Unused bars at the start of validation and of test, >= 0.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    train: float | str = 0.7
    validation: float | str = 0.15
    embargo_bars: int = 5

    def __post_init__(self) -> None:
        if self.embargo_bars < 0:
            raise ValueError(f"embargo_bars must be >= 0, was {self.embargo_bars}")
        for name in ("train", "validation"):
            value = getattr(self, name)
            if isinstance(value, str):
                parse_stop(name, value)
            elif not 0 < value < 1:
                raise ValueError(f"{name} must be a fraction in (0, 1) or an ISO date, was {value}")
        if (
            not isinstance(self.train, str)
            and not isinstance(self.validation, str)
            and self.train + self.validation >= 1
        ):
            raise ValueError(f"validation must leave bars for test: train {self.train} + {self.validation} must be < 1")

    def ranges(self, panel: Panel) -> Ranges:
        """Return the three ranges of ``panel``.

        Raises:
            DataError: A range would be empty or shorter than two bars; the message names the numbers.
        """
        num_bars = panel.num_bars
        train_stop = _count_until(panel, "train", self.train)
        if isinstance(self.validation, str):
            validation_stop = _count_until(panel, "validation", self.validation)
        elif isinstance(self.train, str):
            validation_stop = train_stop + _count_until(panel, "validation", self.validation)
        else:
            validation_stop = _count_until(panel, "validation", self.train + self.validation)
        ranges = Ranges(
            train=Range(0, train_stop),
            validation=Range(train_stop + self.embargo_bars, validation_stop),
            test=Range(validation_stop + self.embargo_bars, num_bars),
        )
        for name in ("train", "validation", "test"):
            rows: Range = getattr(ranges, name)
            if rows.stop - rows.start < MIN_BARS:
                raise DataError(
                    f"data.split: {name} has {max(rows.stop - rows.start, 0)} bars, needs at least {MIN_BARS}: "
                    f"'{panel.dataset}' has {num_bars} bars, train={self.train}, validation={self.validation}, "
                    f"embargo_bars={self.embargo_bars}; widen data.start and data.end or change data.split"
                )
        return ranges


def _count_until(panel: Panel, name: str, value: float | str) -> int:
    """Return how many bars lie before a date's end, or the nearest whole number of bars to a fraction of all."""
    if isinstance(value, str):
        return int(np.searchsorted(panel.ts_T, parse_stop(name, value), side="left"))
    return int(panel.num_bars * value + 0.5)
