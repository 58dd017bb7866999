"""``Comparison``: runs, their seeds and their baselines as the rows of one table, best first.

Legend: a row's ``values`` are figures by key; the mean over seeds for a group of runs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tradewright.errors import RunError, suggest
from tradewright.metrics.figures import describe
from tradewright.metrics.seeds import interval_half_width
from tradewright.report.content import baseline_label
from tradewright.report.differences import ABSENT, SEED, differing_keys, group_by_seed, show_key, show_value
from tradewright.report.runs import RunRecord
from tradewright.report.tables import best_columns

TEST = "test/"
DIFFERENCE = "difference/"
"""Prefix of a figure of the test range minus the baseline's on the same bars."""


@dataclass(frozen=True, kw_only=True)
class ComparedRow:
    """One row of the table.

    Args:
        label: Path of the run relative to the common folder, or the name of a baseline or group.
        state: State of the run; ``baseline`` or ``group`` for the other rows.
        duration_s: Seconds, the mean over a group's runs.
        settings: The differing configuration, title to text.
        values: Figures by key; NaN where undefined or absent.
        halves: Half the 95 % interval of the mean by key over the seeds of a group; empty otherwise.
        num_runs: Runs behind the row.
        path: The run directory, None for baselines and groups.
        error: Why the run failed, or empty.
    """

    label: str
    state: str
    duration_s: float = math.nan
    settings: dict[str, str] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    halves: dict[str, float] = field(default_factory=dict)
    num_runs: int = 1
    path: Path | None = None
    error: str = ""


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


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What is shown of every run: the sort figure and the columns, the differing keys, and the baseline's name."""

    sort: str
    columns: tuple[str, ...]
    varied: list[str]
    baseline: str | None
    trade_off: tuple[str, str] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Every figure that a row holds."""
        return tuple(dict.fromkeys((self.sort, *self.columns, *(self.trade_off or ()))))

    def value(self, record: RunRecord, key: str) -> float:
        """Return a figure of a run, NaN where it has none."""
        if not key.startswith(DIFFERENCE):
            return record.metrics.get(key, math.nan)
        name = key.removeprefix(DIFFERENCE)
        return record.metrics.get(TEST + name, math.nan) - record.metrics.get(_of(self.baseline, name), math.nan)

    def values(self, record: RunRecord) -> dict[str, float]:
        """Return all figures of a run."""
        return {key: self.value(record, key) for key in self.keys}

    def settings(self, record: RunRecord, *, with_seed: bool = True) -> dict[str, str]:
        """Return the differing keys of a run as texts."""
        return {
            show_key(key): show_value(key, record.config.get(key, ABSENT))
            for key in self.varied
            if with_seed or key != SEED
        }


def _of(baseline: str | None, name: str) -> str:
    return f"baseline/{baseline}/{name}"


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
    against = tuple(DIFFERENCE + name for name in names if {TEST + name, _of(baseline, name)} <= known)
    ordered = sorted(records, key=lambda record: _rank(record.metrics.get(order, math.nan), order))
    readable_ones = [record for record in ordered if record.config]
    configs = [record.config for record in readable_ones]
    varied = differing_keys(configs) if only_differing else list(dict.fromkeys(key for one in configs for key in one))
    varied.sort(key=lambda key: key == SEED)
    wanted = _Wanted(sort=order, columns=(*keys, *against), varied=varied, baseline=baseline, trade_off=trade_off)
    return Comparison(
        folder=folder,
        metrics=keys,
        sort=order,
        titles=tuple(show_key(key) for key in varied),
        runs=tuple(_run_row(record, folder, wanted) for record in ordered),
        groups=_group_rows(readable_ones, wanted),
        baselines=_baseline_rows(ordered, wanted) if baseline else (),
        differences=against,
        trade_off=trade_off,
        baseline_name=baseline_label(baseline) if baseline else "",
        records=tuple(ordered),
        missing=tuple(
            hint(key, known)
            for key in dict.fromkeys((*asked, *(TEST + name for name in names)))
            if known and key not in known
        ),
    )


def full_key(key: str) -> str:
    """Return the key of a figure; one without a range means the test range."""
    return key if "/" in key else TEST + key


def hint(key: str, known: set[str]) -> str:
    """Return the key with its nearest neighbour among the strategy's figures."""
    return f"{key}{suggest(key, [name for name in known if not name.startswith('baseline/')])}"


def _rank(value: float, key: str) -> tuple[bool, float]:
    """Order best first; a figure without a better direction descends; undefined values come last."""
    direction = describe(key).better or 1
    return math.isnan(value), 0.0 if math.isnan(value) else -direction * value


def _run_row(record: RunRecord, folder: Path, wanted: _Wanted) -> ComparedRow:
    inside = record.path.is_relative_to(folder) and record.path != folder
    return ComparedRow(
        label=record.path.relative_to(folder).as_posix() if inside else record.path.name,
        state=record.state,
        duration_s=record.duration_s,
        settings=wanted.settings(record) if record.config else {},
        values=wanted.values(record),
        path=record.path,
        error=record.error,
    )


def _group_rows(records: Sequence[RunRecord], wanted: _Wanted) -> tuple[ComparedRow, ...]:
    """Return the mean and interval of every configuration that ended; none if no seeds were repeated."""
    ended = [record for record in records if record.metrics]
    indices = group_by_seed(
        [record.config for record in ended],
        [record.fingerprint for record in ended],
        [record.trial for record in ended],
    )
    groups = [[ended[index] for index in group] for group in indices]
    if all(len(group) < 2 for group in groups):
        return ()
    rows = []
    for group in groups:
        figures = [wanted.values(record) for record in group]
        columns = {key: np.array([one[key] for one in figures]) for key in figures[0]}
        seeds = sorted({str(record.config.get(SEED, ABSENT)) for record in group}, key=lambda text: (len(text), text))
        rows.append(
            ComparedRow(
                label=", ".join(seeds),
                state="group",
                duration_s=float(np.mean([record.duration_s for record in group])),
                settings=wanted.settings(group[0], with_seed=False),
                values={key: float(np.mean(values)) for key, values in columns.items()},
                halves={key: interval_half_width(values) for key, values in columns.items()},
                num_runs=len(group),
            )
        )
    return tuple(sorted(rows, key=lambda row: _rank(row.values[wanted.sort], wanted.sort)))


def _baseline_rows(records: Sequence[RunRecord], wanted: _Wanted) -> tuple[ComparedRow, ...]:
    """Return one row per distinct result of a baseline: runs on the same bars and costs share it."""
    rows: dict[tuple[str, ...], ComparedRow] = {}
    for record in records:
        values = {
            key: record.metrics.get(_of(wanted.baseline, key.removeprefix(TEST)), math.nan)
            for key in wanted.keys
            if key.startswith(TEST)
        }
        if all(math.isnan(value) for value in values.values()):
            continue
        identity = (record.fingerprint, *(repr(value) for value in values.values()))
        known = rows.get(identity)
        rows[identity] = ComparedRow(
            label=baseline_label(str(wanted.baseline)),
            state="baseline",
            values=values,
            num_runs=known.num_runs + 1 if known else 1,
        )
    return tuple(rows.values())
