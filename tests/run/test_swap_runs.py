"""Runs on pools as a user starts them: a rule's backtest, two pools beside each other, inspection, labelled files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from swap_cases import event_rows, generated, write_events

SMALL = ["data=synthetic_swaps", "data.num_swaps=1500", "data.split.embargo_bars=20"]
RULE = ["features=onchain", "strategy=swap_rule", "backtest=swaps", "evaluate.num_random=20"]


def tradewright(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "160", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "tradewright", *words], cwd=folder, capture_output=True, text=True, env=environment
    )


def test_a_rule_is_judged_on_a_pool_and_its_filters_are_reported(tmp_path) -> None:
    done = tradewright(tmp_path, "backtest", *SMALL, *RULE, "report=markdown")
    assert done.returncode == 0, done.stderr
    assert "Filters: " in done.stdout
    assert "Synthetic swaps" in done.stdout
    (run,) = (tmp_path / "outputs" / "default").glob("*-*")
    report = (run / "report.md").read_text()
    for part in ("Decisions", "Filters", "Blocked and cut decisions by reason", "Profit by action"):
        assert part in report
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test/num_trades"] is not None
    assert "baseline/buy_and_hold/total_return" in metrics


@pytest.mark.row("R42")
def test_a_sweep_over_two_pools_gives_two_comparable_runs(tmp_path) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        write_events(tmp_path / f"{name}.csv", event_rows(generated(1_200, seed=seed)))
    words = ["data=swaps", "data.path=one.csv,two.csv", "data.split.embargo_bars=20", "evaluate.num_random=0"]
    done = tradewright(tmp_path, "-m", "task=backtest", *words, *RULE[:3], "report=none", "name=pools")
    assert done.returncode == 0, done.stderr
    metrics = [json.loads(path.read_text()) for path in (tmp_path / "outputs" / "pools").glob("*/*/metrics.json")]
    assert len(metrics) == 2
    assert metrics[0].keys() == metrics[1].keys()
    assert metrics[0]["test/total_return"] != metrics[1]["test/total_return"]
    table = tradewright(tmp_path, "compare", "runs=outputs/pools", "task.html=false", "task.num_resamples=0")
    assert table.returncode == 0, table.stderr
    assert table.stdout.count("swaps-") >= 2


@pytest.mark.row("R44")
def test_inspect_prints_columns_rows_and_labels_of_a_pool(tmp_path) -> None:
    done = tradewright(tmp_path, "inspect", *SMALL)
    assert done.returncode == 0, done.stderr
    for part in ("1,500 in ", "liquidity_impact", "imbalance_50", "interval_s_10", "BUY", "SELL", "HOLD", "majority"):
        assert part in done.stdout


@pytest.mark.row("R6")
@pytest.mark.row("R8")
def test_label_writes_the_files_of_the_source_system(tmp_path) -> None:
    done = tradewright(tmp_path, "label", *SMALL, "task.folder=made", "target@task.target=relaxed")
    assert done.returncode == 0, done.stderr
    names = {"core_features.csv", "core_conditions.csv", "labeled_dataset.csv", "train.csv", "val.csv", "test.csv",
             "metadata.json", "normalization.json"}  # fmt: skip
    assert {path.name for path in (tmp_path / "made").iterdir()} == names
    assert np.isfinite(json.loads((tmp_path / "made" / "normalization.json").read_text())["price"]["mean"])


@pytest.mark.row("R43")
def test_bars_without_swaps_are_named_before_anything_is_trained(tmp_path) -> None:
    for words in (["backtest", *RULE], ["backtest", "strategy=buy_and_hold", "backtest=swaps"], ["label"]):
        done = tradewright(tmp_path, *words, "data=synthetic", "data.num_bars=400")
        assert done.returncode != 0
        assert "swaps" in done.stderr
        assert "Traceback" not in done.stderr
