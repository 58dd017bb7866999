"""The rows of a comparison: runs, the means over their seeds, and their baselines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tradewright.metrics.figures import describe
from tradewright.metrics.seeds import interval_half_width
from tradewright.report.content import baseline_label
from tradewright.report.differences import ABSENT, SEED, group_by_seed, show_key, show_value
from tradewright.report.runs import RunRecord

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
class Wanted:
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
        return record.metrics.get(TEST + name, math.nan) - record.metrics.get(
            baseline_key(self.baseline, name), math.nan
        )

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


def baseline_key(baseline: str | None, name: str) -> str:
    """Return the key of a baseline's figure."""
    return f"baseline/{baseline}/{name}"


def rank(value: float, key: str) -> tuple[bool, float]:
    """Order best first; a figure without a better direction descends; undefined values come last."""
    direction = describe(key).better or 1
    return math.isnan(value), 0.0 if math.isnan(value) else -direction * value


def run_row(record: RunRecord, folder: Path, wanted: Wanted) -> ComparedRow:
    """Return the row of one run; its label is relative to ``folder``."""
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


def group_rows(records: Sequence[RunRecord], wanted: Wanted) -> tuple[ComparedRow, ...]:
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
    return tuple(sorted(rows, key=lambda row: rank(row.values[wanted.sort], wanted.sort)))


def baseline_rows(records: Sequence[RunRecord], wanted: Wanted) -> tuple[ComparedRow, ...]:
    """Return one row per distinct result of a baseline: runs on the same bars and costs share it."""
    rows: dict[tuple[str, ...], ComparedRow] = {}
    for record in records:
        values = {
            key: record.metrics.get(baseline_key(wanted.baseline, key.removeprefix(TEST)), math.nan)
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
