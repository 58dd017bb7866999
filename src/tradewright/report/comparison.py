"""``Comparison``: runs, their seeds and their baselines as the rows of one table, best first.

Legend: a row's ``values`` are figures by key; the mean over seeds for a group of runs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tradewright.errors import RunError, suggest
from tradewright.report.compared_rows import (
    DIFFERENCE,
    TEST,
    ComparedRow,
    Wanted,
    baseline_key,
    baseline_rows,
    group_rows,
    rank,
    run_row,
)
from tradewright.report.content import baseline_label
from tradewright.report.differences import SEED, differing_keys, show_key
from tradewright.report.runs import RunRecord
from tradewright.report.tables import best_columns


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The compared runs.

    Args:
        folder: Folder the runs have in common; labels are relative to it.
        metrics: Figure keys, in column order.
        sort: Key the rows are ordered by, best first.
        titles: Titles of the differing configuration keys.
        runs: One row per run.
        groups: One row per configuration where several runs differ only by seed; empty if none do.
        baselines: One row per distinct result of a baseline.
        differences: Keys of figures minus the baseline's, ``difference/sharpe``; columns after ``metrics``.
        baseline_name: How the baseline is called, empty if there is none.
        records: The runs as read, in the order of ``runs``.
        missing: Wanted figures that no run has, each with a hint.
        trade_off: Keys of the two figures whose Pareto front is drawn, or None.
    """

    folder: Path
    metrics: tuple[str, ...]
    sort: str
    titles: tuple[str, ...]
    runs: tuple[ComparedRow, ...]
    groups: tuple[ComparedRow, ...]
    baselines: tuple[ComparedRow, ...]
    records: tuple[RunRecord, ...]
    differences: tuple[str, ...] = ()
    baseline_name: str = ""
    missing: tuple[str, ...] = ()
    trade_off: tuple[str, str] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Keys of all figure columns."""
        return (*self.metrics, *self.differences)

    def best(self, rows: Sequence[ComparedRow]) -> dict[str, frozenset[int]]:
        """Return for each figure the positions of the rows that hold its best value."""
        return {key: best_columns(key, [row.values.get(key, math.nan) for row in rows]) for key in self.columns}

    @property
    def num_judged(self) -> int:
        """Runs that have a value of the sort figure."""
        return sum(not math.isnan(row.values.get(self.sort, math.nan)) for row in self.runs)


def compare(
    records: Sequence[RunRecord],
    *,
    folder: Path,
    metrics: Sequence[str],
    sort: str,
    baseline: str | None = None,
    differences: Sequence[str] = (),
    trade_off: tuple[str, str] | None = None,
    only_differing: bool = True,
) -> Comparison:
    """Return the comparison of some runs.

    Args:
        records: At least one run.
        folder: Folder the labels are relative to.
        metrics: Figure keys; one without a range means ``test/``; one that no run has is left out and named.
        sort: Figure key the rows are ordered by.
        baseline: Name of the baseline that gets its own rows, or None.
        differences: Figures of the test range whose difference to that baseline is shown; none without a baseline.
        trade_off: The two figures whose Pareto front is drawn; None: none.
        only_differing: Show only keys whose values differ; else every key.

    Raises:
        RunError: Runs have figures, but none has the sort figure.
    """
    order = full_key(sort)
    known = {key for record in records for key in record.metrics}
    if known and order not in known:
        raise RunError(f"sort: no run has the figure {hint(order, known)}")
    asked = dict.fromkeys(full_key(key) for key in metrics)
    keys = tuple(key for key in asked if key in known or not known)
    names = dict.fromkeys(full_key(key).removeprefix(TEST) for key in differences)
    against = tuple(DIFFERENCE + name for name in names if {TEST + name, baseline_key(baseline, name)} <= known)
    has_baseline = any(key.startswith(baseline_key(baseline, "")) for key in known)
    expected = (*asked, *(TEST + name for name in names if has_baseline))
    ordered = sorted(records, key=lambda record: rank(record.metrics.get(order, math.nan), order))
    readable_ones = [record for record in ordered if record.config]
    varied = _varied_keys(readable_ones, only_differing)
    wanted = Wanted(sort=order, columns=(*keys, *against), varied=varied, baseline=baseline, trade_off=trade_off)
    return Comparison(
        folder=folder,
        metrics=keys,
        sort=order,
        titles=tuple(show_key(key) for key in varied),
        runs=tuple(run_row(record, folder, wanted) for record in ordered),
        groups=group_rows(readable_ones, wanted),
        baselines=baseline_rows(ordered, wanted) if baseline else (),
        differences=against,
        trade_off=trade_off,
        baseline_name=baseline_label(baseline) if baseline else "",
        records=tuple(ordered),
        missing=tuple(hint(key, known) for key in dict.fromkeys(expected) if known and key not in known),
    )


def _varied_keys(records: Sequence[RunRecord], only_differing: bool) -> list[str]:
    """Return the configuration keys that are shown, the seed last."""
    configs = [record.config for record in records]
    keys = differing_keys(configs) if only_differing else list(dict.fromkeys(key for one in configs for key in one))
    return sorted(keys, key=lambda key: key == SEED)


def full_key(key: str) -> str:
    """Return the key of a figure; one without a range means the test range."""
    return key if "/" in key else TEST + key


def hint(key: str, known: set[str]) -> str:
    """Return the key with its nearest neighbour among the strategy's figures."""
    return f"{key}{suggest(key, [name for name in known if not name.startswith('baseline/')])}"
