"""``evaluate=combinatorial``: purged cross-validation over every choice of test blocks, giving a distribution of paths.

One history is one draw; C(N - 1, k - 1) paths over the same bars show how much of a figure is the luck of the draw.
Source: López de Prado (2018), ch. 12.
"""

from dataclasses import dataclass
from math import comb

from tradewright.data.folds import (
    FoldPlan,
    Plan,
    check_fold_settings,
    combinatorial_paths,
    equal_blocks,
    fold_ranges,
)
from tradewright.data.ranges import Range

MAX_FITS = 1_000
"""More trainings than anybody waits for, and more paths than a page can hold."""


@dataclass(frozen=True, kw_only=True)
class Combinatorial:
    """Lays out C(num_blocks, num_tests) fits.

    Args:
        num_blocks: N, >= 3.
        num_tests: k, test blocks of each fit, in [2, N).
        purge_bars: Training bars left out before a test block: as many as a label looks ahead, >= 0.
        embargo_bars: Training bars left out after a test block: about as many as features look back, >= 0.
        validation: Fraction of the training bars that chooses, in (0, 1).

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    num_blocks: int = 6
    num_tests: int = 2
    purge_bars: int = 5
    embargo_bars: int = 20
    validation: float = 0.2

    def __post_init__(self) -> None:
        if self.num_blocks < 3:
            raise ValueError(f"num_blocks must be >= 3, was {self.num_blocks}")
        if not 2 <= self.num_tests < self.num_blocks:
            raise ValueError(f"num_tests must be in [2, num_blocks = {self.num_blocks}), was {self.num_tests}")
        num_fits = comb(self.num_blocks, self.num_tests)
        if num_fits > MAX_FITS:
            raise ValueError(
                f"num_blocks must give at most {MAX_FITS} fits, but {self.num_tests} of {self.num_blocks} blocks give"
                f" {num_fits:,}; lower num_blocks or num_tests"
            )
        check_fold_settings(purge_bars=self.purge_bars, embargo_bars=self.embargo_bars, validation=self.validation)

    def plan(self, rows: Range) -> Plan:
        """Return the folds over ``rows``.

        Raises:
            DataError: Too few bars.
        """
        blocks = equal_blocks(rows, self.num_blocks)
        fits, paths = combinatorial_paths(self.num_blocks, self.num_tests)
        folds = []
        for fit in fits:
            tests = tuple(blocks[i] for i in fit)
            ranges = fold_ranges(
                rows, tests, purge_bars=self.purge_bars, embargo_bars=self.embargo_bars, validation=self.validation
            )
            folds.append(FoldPlan(name="blocks_" + "_".join(str(i + 1) for i in fit), ranges=ranges, tests=tests))
        stitched = tuple(tuple((int(fit), blocks[i]) for i, fit in enumerate(path)) for path in paths)
        return Plan(kind="combinatorial", folds=tuple(folds), paths=stitched)
