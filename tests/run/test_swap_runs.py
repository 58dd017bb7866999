"""Runs on pools as a user starts them: a rule's backtest, two pools beside each other, inspection, labelled files."""

import json
from pathlib import Path

import numpy as np
import pytest

from swap_cases import event_rows, generated, write_events
from tradewright.cli import main

SMALL = ("data=synthetic_swaps", "data.num_swaps=1200", "data.split.embargo_bars=20")
RULE = ("features=onchain", "strategy=swap_rule", "backtest=swaps", "evaluate.num_random=20")
QUICK = ("evaluate.num_random=0", "report=none")


def test_a_rule_is_judged_on_a_pool_and_its_filters_are_reported(command, capsys) -> None:
    run = command("backtest", *SMALL, *RULE, "report=markdown")
    printed = capsys.readouterr().out
    assert "Filters: " in printed
    assert "Synthetic swaps" in printed
    report = (run / "report.md").read_text()
    for part in ("Decisions", "Filters", "Blocked and cut decisions by reason", "Profit by action"):
        assert part in report
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test/num_trades"] is not None
    assert "baseline/buy_and_hold/total_return" in metrics


def write_pools(folder: Path) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        write_events(folder / f"{name}.csv", event_rows(generated(1_000, seed=seed)))


@pytest.mark.row("R42")
def test_two_pools_give_two_comparable_runs(command, tmp_path) -> None:
    write_pools(tmp_path)
    runs = [
        command("backtest", "data=swaps", f"data.path={name}.csv", "data.split.embargo_bars=20", *RULE[:3], *QUICK)
        for name in ("one", "two")
    ]
    metrics = [json.loads((run / "metrics.json").read_text()) for run in runs]
    assert metrics[0].keys() == metrics[1].keys()
    assert metrics[0]["test/total_return"] != metrics[1]["test/total_return"]
    facts = [json.loads((run / "provenance.json").read_text())["data"] for run in runs]
    assert facts[0]["fingerprint"] != facts[1]["fingerprint"]
    assert facts[0]["timeframe_s"] == facts[1]["timeframe_s"] == 12


@pytest.mark.slow
@pytest.mark.row("R42")
def test_a_sweep_over_two_pools_and_their_comparison(command, tmp_path, capsys) -> None:
    write_pools(tmp_path)
    words = ("data=swaps", "data.path=one.csv,two.csv", "data.split.embargo_bars=20")
    command("-m", "task=backtest", *words, *RULE[:3], *QUICK, "name=pools")
    assert len(list(tmp_path.glob("outputs/pools/*/*/metrics.json"))) == 2
    capsys.readouterr()
    command("compare", "runs=outputs/pools", "task.html=false", "task.num_resamples=0")
    assert "different bars" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.row("R44")
def test_inspect_prints_columns_rows_and_labels_of_a_pool(command, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    command("inspect", *SMALL)
    printed = capsys.readouterr().out
    for part in ("1,200 in ", "liquidity_impact", "imbalance_50", "interval_s_10", "BUY", "SELL", "HOLD", "majority"):
        assert part in printed


@pytest.mark.row("R6")
@pytest.mark.row("R8")
def test_label_writes_the_files_of_the_source_system(command, tmp_path) -> None:
    command("label", *SMALL, "task.folder=made", "target=relaxed")
    names = {"core_features.csv", "core_conditions.csv", "labeled_dataset.csv", "train.csv", "val.csv", "test.csv",
             "metadata.json", "normalization.json"}  # fmt: skip
    assert {path.name for path in (tmp_path / "made").iterdir()} == names
    assert np.isfinite(json.loads((tmp_path / "made" / "normalization.json").read_text())["price"]["mean"])


@pytest.mark.row("R43")
@pytest.mark.parametrize(
    "words", [("backtest", *RULE), ("backtest", "strategy=buy_and_hold", "backtest=swaps"), ("label",)]
)
def test_bars_without_swaps_are_named_before_anything_is_trained(words, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main((*words, "data=synthetic", "data.num_bars=400")) != 0
    told = capsys.readouterr().err
    assert "use data=swaps or data=synthetic_swaps" in told.replace("\n", " ")
    assert "Traceback" not in told
