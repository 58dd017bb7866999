"""What a comparison leaves as files, and the difference to the baseline in all of them."""

import csv
import json
import math
from pathlib import Path

import duckdb
import pytest
from compare_samples import METRIC_KEYS, compared, config, write_run, write_study

from tradewright.metrics.figures import DASH
from tradewright.output import write_text
from tradewright.report.compare_files import write_table
from tradewright.report.compare_table import column_title, reasons, show_cell
from tradewright.task.compare import Compare

OPTIONS = {"differences": ("total_return", "sharpe")}
FIGURES = [f"test/{key}" for key in METRIC_KEYS] + ["difference/total_return", "difference/sharpe"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("outputs") / "default")


def test_difference_is_the_runs_figure_minus_the_baselines(study: Path) -> None:
    comparison = compared(study, **OPTIONS)
    assert comparison.columns == tuple(FIGURES)
    for row in comparison.runs[:12]:
        figures = json.loads((row.path / "metrics.json").read_text())
        expected = figures["test/sharpe"] - figures["baseline/buy_and_hold/sharpe"]
        assert row.values["difference/sharpe"] == pytest.approx(expected, abs=1e-12)
    group = comparison.groups[0]
    own = [r for r in comparison.runs[:12] if r.settings | group.settings == r.settings]
    assert group.values["difference/sharpe"] == pytest.approx(sum(r.values["difference/sharpe"] for r in own) / 3)
    assert math.isnan(comparison.baselines[0].values.get("difference/sharpe", math.nan))


def test_difference_is_shown_with_its_sign_and_its_caption(study: Path) -> None:
    row = compared(study, **OPTIONS).runs[0]
    assert column_title("difference/total_return") == "Δ Return"
    assert show_cell(row, "difference/sharpe").startswith("+" if row.values["difference/sharpe"] > 0 else "-")
    row.values["difference/sharpe"] = 1e-9
    assert show_cell(row, "difference/sharpe") == "0.000"
    row.values["difference/sharpe"] = math.nan
    assert show_cell(row, "difference/sharpe") == DASH


def test_without_a_baseline_there_is_no_difference(study: Path) -> None:
    assert compared(study, baseline=None, **OPTIONS).differences == ()
    unknown = compared(study, differences=("sharp",))
    assert unknown.differences == ()
    assert unknown.missing == ("test/sharp; did you mean 'test/sharpe'?",)


@pytest.mark.row("B32")
def test_parquet_json_and_csv_carry_the_same_rows_in_full_precision(study: Path) -> None:
    formats = ("parquet", "json", "csv", "markdown")
    Compare(runs=str(study), metrics=METRIC_KEYS, formats=formats, num_resamples=0, **OPTIONS).execute(None)
    with duckdb.connect() as connection:
        described = connection.execute(f"DESCRIBE SELECT * FROM '{study / 'compare.parquet'}'").fetchall()
        rows = connection.execute(f"SELECT * FROM '{study / 'compare.parquet'}'").fetchall()
    types = {name: kind for name, kind, *_ in described}
    assert types["algorithm.lr"] == "VARCHAR"
    assert all(types[key] == "DOUBLE" for key in (*FIGURES, "duration_s"))
    from_json = json.loads((study / "compare.json").read_text())
    with (study / "compare.csv").open(newline="") as file:
        from_csv = list(csv.DictReader(file))
    assert len(rows) == len(from_json) == len(from_csv) == 17
    for row, left, right in zip(rows, from_json, from_csv, strict=True):
        assert dict(zip(types, row, strict=True)) == left
        assert [str(value) if value is not None else "" for value in left.values()] == list(right.values())


def test_markdown_marks_the_best_and_quotes_reasons_as_text(tmp_path: Path) -> None:
    write_run(tmp_path / "a", config(lr=0.1), walk_seed=1)
    write_run(tmp_path / "b", config(lr=0.2), walk_seed=2)
    write_run(tmp_path / "c", config(lr=0.3), state="failed", error="ValueError: a|b <script>\nsecond *line*")
    comparison = compared(tmp_path, **OPTIONS)
    text = write_table(comparison, tmp_path / "compare.md").read_text()
    lines = text.splitlines()
    assert lines[4].startswith("| Run | State | Time | lr | Return |")
    assert lines[5] == "|---|---|---:|---|---:|---:|---:|---:|---:|"
    assert all(line.count("|") - line.count("\\|") == 10 for line in lines[4:10])
    best = next(line for line in lines if line.startswith("| a |" if comparison.runs[0].label == "a" else "| b |"))
    assert f"**{show_cell(comparison.runs[0], 'test/sharpe')}**" in best
    assert "- c: failed, ValueError: a\\|b \\<script> second \\*line\\*" in lines
    assert "Δ: minus that of buy and hold on the same bars of the test range." in lines


def test_runs_that_ended_for_one_reason_share_a_line(tmp_path: Path) -> None:
    for number in range(9):
        write_run(tmp_path / f"{number}", config(seed=number), state="pruned", error="stopped early")
    write_run(tmp_path / "x", config(seed=99), state="failed", error="boom")
    assert reasons(compared(tmp_path).runs) == [
        ("0, 1, 2, 3, 4, 5 and 3 more", "pruned", "stopped early"),
        ("x", "failed", "boom"),
    ]


def test_run_whose_process_is_gone_says_how_to_continue(study: Path) -> None:
    dead = [row for row in compared(study).runs if row.state == "dead"]
    assert dead
    assert all(f"continue with `tradewright resume={row.path}`" in row.error for row in dead)


def test_sweep_folders_with_seeds_below_slots_and_files_beside_them_are_compared(tmp_path: Path) -> None:
    for slot, lr in enumerate((0.1, 0.2)):
        for seed in range(2):
            write_run(tmp_path / f"{slot}" / f"{seed}", config(lr=lr, seed=seed), walk_seed=10 * slot + seed)
    write_run(tmp_path / "2", config(lr=0.3), state="pruned", error="stopped early: the median was better")
    for name in ("study.db", "sweep.json", "best.yaml"):
        write_text(tmp_path / name, "not a run")
    comparison = compared(tmp_path)
    assert {row.label for row in comparison.runs} == {"0/0", "0/1", "1/0", "1/1", "2"}
    assert [row.num_runs for row in comparison.groups] == [2, 2]
    assert comparison.runs[-1].state == "pruned"
