"""The files of a labelled pool: columns, disjoint sets in time order, scaling of the training set, provenance."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from swap_cases import random_swap_panel
from tradewright.data.ranges import Range, Ranges
from tradewright.errors import ConfigError
from tradewright.examples.swap_artefacts import write_artefacts
from tradewright.features.swap_windows import CORE, onchain_table
from tradewright.target.forward import ForwardReturn
from tradewright.target.rules import RuleTarget

QUANTILES = dict.fromkeys(("deviation", "reversion_volume", "momentum", "volatility", "breakout_volume"), 0.6)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    panel = random_swap_panel(900, seed=8)
    a, b = int(panel.num_bars * 0.6), int(panel.num_bars * 0.8)
    ranges = Ranges(train=Range(0, a), validation=Range(a + 20, b), test=Range(b + 20, panel.num_bars))
    folder = tmp_path_factory.mktemp("labels")
    metadata = write_artefacts(folder, panel, ranges, RuleTarget(unit="quantile", **QUANTILES), embargo_bars=20)
    return panel, ranges, folder, metadata


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.row("R6")
def test_core_features_and_conditions_have_their_columns_and_values(made) -> None:
    panel, _, folder, _ = made
    table = onchain_table(panel)
    core, conditions = read(folder / "core_features.csv"), read(folder / "core_conditions.csv")
    assert tuple(core[0]) == ("bar", "ts", *CORE)
    assert set(conditions[0]) == {"bar", "ts", *table} - set(CORE)
    assert len(core) == len(conditions) == panel.num_bars
    for rows in (core, conditions):
        for t in (0, 5, 60, panel.num_bars - 1):
            for name, text in rows[t].items():
                if name in table:
                    value = table[name][t, 0]
                    assert (text == "") == np.isnan(value)
                    assert text == "" or float(text) == value
    assert core[3]["ts"] == str(panel.ts_T[3])


@pytest.mark.row("R7")
def test_labelled_data_set_has_the_label_of_every_bar(made) -> None:
    panel, ranges, folder, _ = made
    rows = read(folder / "labeled_dataset.csv")
    labels = RuleTarget(unit="quantile", **QUANTILES).fit(panel, ranges.training).label(panel)
    words = {1.0: "BUY", -1.0: "SELL", 0.0: "HOLD"}
    assert [row["label"] for row in rows] == [words.get(side, "") for side in labels.side_TN[:, 0].tolist()]
    assert [float(row["size"]) for row in rows] == labels.size_TN[:, 0].tolist()
    assert {row["rule"] for row in rows} == {"", "mean_reversion", "breakout"}


@pytest.mark.row("R8")
def test_three_sets_are_disjoint_and_in_time_order(made) -> None:
    _, ranges, folder, _ = made
    bars = {}
    for file, part in (("train.csv", ranges.train), ("val.csv", ranges.validation), ("test.csv", ranges.test)):
        bars[file] = [int(row["bar"]) for row in read(folder / file)]
        assert bars[file] == sorted(bars[file])
        assert all(part.start <= bar < part.stop for bar in bars[file])
        assert all(value or name == "rule" for row in read(folder / file) for name, value in row.items())
    assert max(bars["train.csv"]) < min(bars["val.csv"]) <= max(bars["val.csv"]) < min(bars["test.csv"])


@pytest.mark.row("R9")
def test_metadata_says_where_everything_comes_from(made) -> None:
    panel, ranges, folder, metadata = made
    stored = json.loads((folder / "metadata.json").read_text())
    assert stored == json.loads(json.dumps(metadata))
    assert stored["fingerprint"] == panel.fingerprint
    for key in ("dataset", "is_synthetic", "note", "pool", "num_bars", "num_swaps", "first", "last", "features",
                "labels", "target", "ranges", "tradewright"):  # fmt: skip
        assert key in stored
    assert (
        stored["target"]["thresholds"]
        == RuleTarget(unit="quantile", **QUANTILES).fit(panel, ranges.training).facts["thresholds"]
    )
    assert stored["ranges"]["train"]["majority_class"] == "HOLD"
    assert sum(stored["ranges"]["test"]["distribution"].values()) == pytest.approx(1.0)


@pytest.mark.row("R10")
def test_normalisation_is_that_of_the_training_file(made) -> None:
    _, _, folder, metadata = made
    stored, rows = json.loads((folder / "normalization.json").read_text()), read(folder / "train.csv")
    assert list(stored) == metadata["features"]
    for name, found in stored.items():
        values = np.array([float(row[name]) for row in rows])
        assert found["mean"] == values.mean()
        assert found["std"] == values.std()


def test_labels_that_look_ahead_need_an_embargo_as_long(made, tmp_path) -> None:
    panel, ranges, _, _ = made
    with pytest.raises(ConfigError, match=r"embargo_bars must be >= 30"):
        write_artefacts(tmp_path, panel, ranges, ForwardReturn(horizon_bars=30), embargo_bars=20)
    metadata = write_artefacts(tmp_path, panel, ranges, ForwardReturn(horizon_bars=10), embargo_bars=20)
    assert metadata["horizon_bars"] == 10
    assert "value" in read(tmp_path / "labeled_dataset.csv")[0]
