"""The files of a labelled pool: features, conditions, labels, the three sets, what they were made of and scaled with.

core_features.csv, core_conditions.csv, labeled_dataset.csv hold every bar; train.csv, val.csv and test.csv the bars of
each range whose features and label are known; normalization.json the mean and deviation of every feature over
train.csv; metadata.json says where everything comes from. All values are in natural units; an empty cell is unknown.
Legend: T bars.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright import __version__
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range, Ranges
from tradewright.errors import DataError
from tradewright.features.swap_windows import CORE, onchain_table
from tradewright.output import write_json, write_text
from tradewright.target.labels import ACTIONS, SIDES, Labels, Target, check_reach

Float = npt.NDArray[np.float64]
Columns = dict[str, Any]
"""Sequences or arrays, one value per bar."""

SET_FILES = {"train": "train.csv", "validation": "val.csv", "test": "test.csv"}
VERSION = 1


def write_artefacts(
    folder: Path, panel: Panel, ranges: Ranges, target: Target, *, window: int = 50, embargo_bars: int = 0
) -> dict[str, Any]:
    """Write the files into a folder and return the content of ``metadata.json``.

    Args:
        folder: Where; it is created.
        panel: Bars with their swaps.
        ranges: Train, validation and test.
        target: Labels the bars; it is fitted to the training range alone.
        window: Swaps of the core's averages.
        embargo_bars: Unused bars that the split leaves between ranges.

    Raises:
        DataError: The panel has no swaps, or a range no labelled bar.
        ConfigError: The target looks further ahead than the embargo.
    """
    check_reach(target, embargo_bars)
    table = {name: x_T1[:, 0] for name, x_T1 in onchain_table(panel, window=window).items()}
    fitted = target.fit(panel, ranges.training)
    labels = fitted.label(panel)
    keys: Columns = {"bar": range(panel.num_bars), "ts": [str(ts) for ts in panel.ts_T]}
    core: Columns = {name: table[name] for name in CORE}
    conditions: Columns = {name: x_T for name, x_T in table.items() if name not in CORE}
    labelled: Columns = {**keys, **table, **_label_columns(labels, ranges, panel.num_bars)}
    _write(folder / "core_features.csv", {**keys, **core})
    _write(folder / "core_conditions.csv", {**keys, **conditions})
    _write(folder / "labeled_dataset.csv", labelled)
    rows = _set_rows(panel, ranges, table, labels)
    for name, file in SET_FILES.items():
        _write(folder / file, labelled, rows[name])
    scaled = {name: _moments(x_T[rows["train"]]) for name, x_T in table.items()}
    write_json(folder / "normalization.json", scaled)
    metadata = _metadata(panel, ranges, fitted, labels, rows, list(table))
    write_json(folder / "metadata.json", metadata)
    return metadata


def _label_columns(labels: Labels, ranges: Ranges, num_bars: int) -> Columns:
    word = {side: action for action, side in SIDES.items()}
    part = np.full(num_bars, "", dtype=object)
    for name in SET_FILES:
        rows: Range = getattr(ranges, name)
        part[rows.start : rows.stop] = name
    columns: Columns = {
        "label": [word.get(side, "") for side in labels.side_TN[:, 0].tolist()],
        "size": labels.size_TN[:, 0],
        "rule": [labels.causes[cause] for cause in labels.cause_TN[:, 0].tolist()],
        "range": part.tolist(),
    }
    if labels.value_TN is not None:
        columns["value"] = labels.value_TN[:, 0]
    return columns


def _set_rows(
    panel: Panel, ranges: Ranges, table: Mapping[str, Float], labels: Labels
) -> dict[str, npt.NDArray[np.intp]]:
    is_known_T = ~np.isnan(labels.side_TN[:, 0]) & np.all([np.isfinite(x_T) for x_T in table.values()], axis=0)
    found = {}
    for name in SET_FILES:
        part: Range = getattr(ranges, name)
        rows = part.start + np.flatnonzero(is_known_T[part.start : part.stop])
        if not len(rows):
            raise DataError(f"{name}: no bar of '{panel.dataset}' has all features and a label; use more data")
        found[name] = rows
    return found


def _moments(values: Float) -> dict[str, float]:
    return {"mean": float(values.mean()), "std": float(values.std())}


def _metadata(
    panel: Panel,
    ranges: Ranges,
    target: Target,
    labels: Labels,
    rows: Mapping[str, npt.NDArray[np.intp]],
    features: list[str],
) -> dict[str, Any]:
    spans = {name: getattr(ranges, name) for name in SET_FILES}
    distribution = {name: labels.distribution(part) for name, part in spans.items()}
    return {
        "version": VERSION,
        "dataset": panel.dataset,
        "fingerprint": panel.fingerprint,
        "is_synthetic": panel.is_synthetic,
        "note": panel.note,
        "pool": panel.symbols[0],
        "timeframe_s": panel.timeframe_s,
        "num_bars": panel.num_bars,
        "num_swaps": panel.swaps.num_swaps if panel.swaps is not None else 0,
        "first": str(panel.ts_T[0]),
        "last": str(panel.ts_T[-1]),
        "features": features,
        "labels": list(ACTIONS),
        "target": {"class": f"{type(target).__module__}.{type(target).__qualname__}", **target.facts},
        "horizon_bars": target.horizon_bars,
        "ranges": {
            name: {
                "start": part.start,
                "stop": part.stop,
                "first": str(panel.ts_T[part.start]),
                "last": str(panel.ts_T[part.stop - 1]),
                "num_rows": len(rows[name]),
                "distribution": distribution[name],
                "majority_class": max(distribution[name], key=lambda action: distribution[name][action]),
            }
            for name, part in spans.items()
        },
        "tradewright": __version__,
    }


def _write(path: Path, columns: Columns, rows: npt.NDArray[np.intp] | None = None) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    lists = [_cells(values) for values in columns.values()]
    everything = list(zip(*lists, strict=True))
    writer.writerows(everything if rows is None else [everything[row] for row in rows.tolist()])
    write_text(path, text.getvalue())


def _cells(values: Any) -> list[Any]:
    """Return numbers with all their digits, and nothing where there is none."""
    if not isinstance(values, np.ndarray):
        return list(values)
    return ["" if value != value else repr(value) for value in values.tolist()]
