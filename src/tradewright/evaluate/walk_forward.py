"""``evaluate=walk_forward``: train on the past, judge on what follows, move on; the test blocks join into one history.

Rolling windows forget old regimes, anchored ones keep everything since the first bar.
Source: Pardo, The Evaluation and Optimization of Trading Strategies (2008), ch. 11.
"""

from dataclasses import dataclass

from tradewright.data.folds import (
    FoldPlan,
    Plan,
    check_fold_settings,
    cut_validation,
    equal_blocks,
    successive_blocks,
)
from tradewright.data.ranges import MIN_BARS, Range, Ranges
from tradewright.errors import DataError


@dataclass(frozen=True, kw_only=True)
class WalkForward:
    """Lays out successive fits.

    Args:
        num_folds: Fits, >= 2; as many as ``bars_per_fold`` makes where that is given.
        bars_per_fold: Bars after which the next fit is due, >= 2: on daily bars 5 retrain every week. The last block
            has what is left. None: ``num_folds`` blocks of equal length.
        is_anchored: Every training starts at the first bar; else the window keeps its length.
        first_window: Fraction of all bars in the first window of training and validation, in (0, 1).
        validation: Fraction of each window that chooses, in (0, 1).
        embargo_bars: Unused bars before validation and before each test block, >= 0.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    num_folds: int = 5
    bars_per_fold: int | None = None
    is_anchored: bool = False
    first_window: float = 0.5
    validation: float = 0.2
    embargo_bars: int = 5

    def __post_init__(self) -> None:
        if self.num_folds < 2:
            raise ValueError(f"num_folds must be >= 2, was {self.num_folds}")
        if self.bars_per_fold is not None and self.bars_per_fold < MIN_BARS:
            raise ValueError(f"bars_per_fold must be >= {MIN_BARS}, was {self.bars_per_fold}")
        if not 0 < self.first_window < 1:
            raise ValueError(f"first_window must be a fraction in (0, 1), was {self.first_window}")
        check_fold_settings(purge_bars=0, embargo_bars=self.embargo_bars, validation=self.validation)

    def plan(self, rows: Range) -> Plan:
        """Return the folds over ``rows``.

        Raises:
            DataError: Too few bars.
        """
        window = round(self.first_window * len(rows))
        rest = Range(rows.start + window, rows.stop)
        if self.bars_per_fold is None:
            blocks = equal_blocks(rest, self.num_folds)
        else:
            blocks = successive_blocks(rest, self.bars_per_fold)
        if window <= self.embargo_bars:
            raise DataError(f"evaluate.folds: a first window of {window} bars is no longer than the embargo")
        folds = []
        for i, test in enumerate(blocks):
            start = rows.start if self.is_anchored else test.start - window
            parts, chosen = cut_validation(
                [Range(start, test.start - self.embargo_bars)], self.validation, self.embargo_bars
            )
            ranges = Ranges(train=parts[0], validation=chosen, test=test)
            folds.append(FoldPlan(name=f"fold_{i + 1}", ranges=ranges, tests=(test,)))
        path = tuple((i, block) for i, block in enumerate(blocks))
        return Plan(kind="walk_forward", folds=tuple(folds), paths=(path,))
