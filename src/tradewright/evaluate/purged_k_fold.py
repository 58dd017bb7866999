"""``evaluate=purged_k_fold``: every bar is judged once, by a fit that trained on the bars around its block.

Later bars train fits that judge earlier ones: a test of how far skill depends on the period, not a history that anyone
could have traded. Source: López de Prado (2018), §7.4.
"""

from dataclasses import dataclass

from tradewright.data.folds import FoldPlan, Plan, check_fold_settings, equal_blocks, fold_ranges
from tradewright.data.ranges import Range


@dataclass(frozen=True, kw_only=True)
class PurgedKFold:
    """Lays out k fits.

    Args:
        num_folds: k, >= 2.
        purge_bars: Training bars left out before a test block: as many as a label looks ahead, >= 0.
        embargo_bars: Training bars left out after a test block: about as many as features look back, >= 0.
        validation: Fraction of the training bars that chooses, in (0, 1).

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    num_folds: int = 5
    purge_bars: int = 5
    embargo_bars: int = 20
    validation: float = 0.2

    def __post_init__(self) -> None:
        if self.num_folds < 2:
            raise ValueError(f"num_folds must be >= 2, was {self.num_folds}")
        check_fold_settings(purge_bars=self.purge_bars, embargo_bars=self.embargo_bars, validation=self.validation)

    def plan(self, rows: Range) -> Plan:
        """Return the folds over ``rows``.

        Raises:
            DataError: Too few bars.
        """
        blocks = equal_blocks(rows, self.num_folds)
        folds = []
        for i, block in enumerate(blocks):
            ranges = fold_ranges(
                rows, [block], purge_bars=self.purge_bars, embargo_bars=self.embargo_bars, validation=self.validation
            )
            folds.append(FoldPlan(name=f"fold_{i + 1}", ranges=ranges, tests=(block,)))
        path = tuple((i, block) for i, block in enumerate(blocks))
        return Plan(kind="purged_k_fold", folds=tuple(folds), paths=(path,))
