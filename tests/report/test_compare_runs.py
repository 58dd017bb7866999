"""Comparing runs: what is found, how states, differences, seeds and baselines are shown, and what is written."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from compare_samples import METRIC_KEYS, compared, config, write_run, write_study
from rich.console import Console

from tradewright.errors import RunError
from tradewright.metrics.figures import DASH
from tradewright.output import read_metrics, write_text
from tradewright.report.compare_charts import labels, setting_axis
from tradewright.report.compare_page import write_page
from tradewright.report.compare_table import show_duration
from tradewright.report.compare_text import print_comparison
from tradewright.report.comparison import Comparison
from tradewright.report.differences import differing_keys, group_by_seed, show_value
from tradewright.report.runs import flatten
from tradewright.task.compare import Compare


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("outputs") / "default")


def text_of(comparison: Comparison, width: int = 200, max_rows: int = 40) -> str:
    buffer = io.StringIO()
    print_comparison(comparison, max_rows=max_rows, page=None, console=Console(file=buffer, width=width))
    return buffer.getvalue()


@pytest.mark.row("B31")
@pytest.mark.row("B34")
def test_one_table_lists_every_run_best_first_with_its_state(study: Path) -> None:
    comparison = compared(study)
    assert len(comparison.runs) == 16
    states = [row.state for row in comparison.runs]
    assert states[:12] == ["done"] * 12
    assert sorted(states[12:]) == ["dead", "failed", "running", "unreadable"]
    sharpes = [row.values["test/sharpe"] for row in comparison.runs[:12]]
    assert sharpes == sorted(sharpes, reverse=True)
    assert sharpes == sorted((read_metrics(row.path)["test/sharpe"] for row in comparison.runs[:12]), reverse=True)
    text = text_of(comparison)
    for words in ("grid/011", "failed, ValueError: lr must be > 0, was 0", "unreadable", "buy and hold", "± "):
        assert words in text, words


@pytest.mark.row("B31")
def test_best_value_of_each_figure_is_marked(study: Path) -> None:
    comparison = compared(study)
    best = comparison.best(comparison.runs)
    drawdowns = [row.values["test/max_drawdown"] for row in comparison.runs[:12]]
    assert best["test/sharpe"] == {0}
    assert best["test/max_drawdown"] == {drawdowns.index(min(drawdowns))}


def test_only_differing_keys_are_shown_and_another_algorithm_hides_its_own_keys(study: Path) -> None:
    comparison = compared(study)
    assert comparison.titles == ("algorithm", "algorithm.lr", "seed")
    assert {row.settings["algorithm"] for row in comparison.runs if row.settings} == {"ppo", "sac"}
    everything = compared(study, only_differing=False)
    assert {"algorithm.clip", "algorithm.tau", "name", "lora"} <= set(everything.titles)


def test_runs_that_differ_by_seed_are_averaged(study: Path) -> None:
    comparison = compared(study)
    assert [row.num_runs for row in comparison.groups] == [3, 3, 3, 3]
    row = comparison.groups[0]
    values = [
        run.values["test/sharpe"]
        for run in comparison.runs[:12]
        if all(run.settings[key] == row.settings[key] for key in ("algorithm", "algorithm.lr"))
    ]
    mean = sum(values) / 3
    assert row.label == "0, 1, 2"
    assert row.values["test/sharpe"] == pytest.approx(mean)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
    # 4.302653 is the 97.5 % point of Student's t with two degrees of freedom (any printed table)
    assert row.halves["test/sharpe"] == pytest.approx(4.302653 * deviation / math.sqrt(3), rel=1e-6)
    assert " ± " in text_of(comparison)
    assert "deflation does not cover the choice of a seed" in text_of(comparison)


def test_baseline_has_one_row_per_data_set(tmp_path: Path) -> None:
    write_run(tmp_path / "a", config(seed=1), fingerprint="one", hold_seed=1)
    write_run(tmp_path / "b", config(seed=2), fingerprint="one", hold_seed=1)
    write_run(tmp_path / "c", config(seed=3), fingerprint="two", hold_seed=2)
    comparison = compared(tmp_path)
    assert [row.num_runs for row in comparison.baselines] == [2, 1]
    assert "The baseline has 2 different results" in text_of(comparison)
    assert compared(tmp_path, baseline=None).baselines == ()
    assert sorted(row.num_runs for row in comparison.groups) == [1, 2]


@pytest.mark.row("B31")
@pytest.mark.row("B32")
def test_task_prints_one_table_and_writes_page_csv_and_json(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Compare(runs=str(study), metrics=METRIC_KEYS, formats=("csv", "json")).execute(None)
    out = capsys.readouterr().out
    assert "grid/000" in out
    assert f"Page: {study / 'compare.html'}" in out
    with (study / "compare.csv").open(newline="") as file:
        from_csv = list(csv.DictReader(file))
    from_json = json.loads((study / "compare.json").read_text())
    assert len(from_csv) == len(from_json) == 17
    for left, right in zip(from_csv, from_json, strict=True):
        assert left["run"] == right["run"]
        for key in ("test/total_return", "test/sharpe", "test/max_drawdown"):
            assert (float(left[key]) if left[key] else None) == right[key]
    page = (study / "compare.html").read_text()
    assert "plot-equity" in page
    assert "plot-parallel" in page
    assert page.count("<td>grid/") == 12


def test_page_links_to_reports_and_shows_hostile_names_as_text(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", config(name="<script>alert(1)</script>"))
    write_run(tmp_path / "b", config(seed=1))
    write_text(run / "report.html", "<p>report</p>")
    page = write_page(compared(tmp_path), tmp_path).read_text()
    assert '<a href="a/report.html">a</a>' in page
    assert "<script>alert" not in page


def test_page_of_a_run_without_equity_names_it_and_draws_the_rest(tmp_path: Path) -> None:
    write_run(tmp_path / "a", config(seed=1))
    broken = write_run(tmp_path / "b", config(seed=2))
    write_text(broken / "equity.parquet", "not parquet")
    write_run(tmp_path / "c", config(seed=3), with_equity=False)
    page = write_page(compared(tmp_path), tmp_path).read_text()
    assert "seed 2: its equity is not drawn" in page
    assert "plot-equity" in page


def test_runs_without_figures_are_listed_and_nothing_is_drawn(tmp_path: Path) -> None:
    write_run(tmp_path / "a", config(), state="failed", error="boom")
    comparison = compared(tmp_path)
    assert [row.state for row in comparison.runs] == ["failed"]
    assert 'id="plot-' not in write_page(comparison, tmp_path).read_text()
    assert "boom" in text_of(comparison)


def test_choosing_by_the_test_range_is_cautioned_and_by_validation_is_not(study: Path) -> None:
    assert "the best of many is partly luck" in text_of(compared(study))
    assert "partly luck" not in text_of(compared(study, sort="validation/sharpe"))


def test_long_list_is_cut_on_the_terminal(study: Path) -> None:
    text = text_of(compared(study), max_rows=5)
    assert "11 more runs are not listed." in text


def test_narrow_terminal_keeps_the_sort_figure_and_names_what_is_missing(study: Path) -> None:
    text = text_of(compared(study), width=70)
    assert "Sharpe" in text.splitlines()[1]
    assert "Too narrow for:" in text
    assert all(len(line) <= 70 for line in text.splitlines())


def test_unknown_sort_figure_is_refused_with_the_nearest_one(study: Path) -> None:
    with pytest.raises(RunError, match=r"^sort: no run has the figure test/sharp; did you mean 'test/sharpe'\?$"):
        compared(study, sort="sharp")


def test_unknown_figure_is_left_out_and_named(study: Path) -> None:
    comparison = compared(study, metrics=("sharpe", "total_retrun"))
    assert comparison.metrics == ("test/sharpe",)
    assert "No run has the figure test/total_retrun; did you mean 'test/total_return'?" in text_of(comparison)


def flat(**nodes: Any) -> dict[str, Any]:
    return dict(flatten(nodes))


def test_equal_configurations_have_no_differing_key() -> None:
    assert differing_keys([flat(a=1, b={"c": 2})] * 3) == []


def test_interpolated_copies_are_shown_once_under_the_root_key() -> None:
    runs = [flat(data={"seed": seed}, seed=seed, output_dir=str(seed)) for seed in (0, 1)]
    assert differing_keys(runs) == ["seed"]


def test_node_that_is_absent_elsewhere_is_one_column() -> None:
    adapters = [flat(lora={"_target_": "peft.LoraConfig", "r": rank}) for rank in (8, 16)]
    runs = [flat(lora=None), *adapters]
    assert differing_keys(runs) == ["lora._target_", "lora.r"]


def test_key_of_an_exchanged_node_is_shown_only_if_it_differs_within_one_kind() -> None:
    ppo = [flat(algorithm={"_target_": "x.ppo.PPO", "lr": lr, "clip": 0.2}) for lr in (1, 2)]
    sac = [flat(algorithm={"_target_": "x.sac.SAC", "lr": 1, "tau": 0.1})]
    assert differing_keys(ppo + sac) == ["algorithm._target_", "algorithm.lr"]
    assert differing_keys(ppo[:1] + sac) == ["algorithm._target_"]


def test_runs_of_one_trial_are_one_group_whatever_their_other_seeds() -> None:
    runs = [flat(seed=seed, data={"seed": 0}) for seed in (0, 1, 2)]
    assert group_by_seed(runs, ["d"] * 3, ["t"] * 3) == [[0, 1, 2]]
    assert group_by_seed(runs, ["d"] * 3, ["t", "t", "u"]) == [[0, 1], [2]]


def test_runs_without_a_trial_are_grouped_by_configuration_and_data() -> None:
    runs = [flat(seed=s, lr=lr, data={"seed": 0}) for lr in (1, 2) for s in (0, 1)]
    assert group_by_seed(runs, ["d"] * 4, [""] * 4) == [[0, 1], [2, 3]]
    assert group_by_seed(runs, ["d", "e", "d", "d"], [""] * 4) == [[0], [1], [2, 3]]
    own = [flat(seed=0, data={"seed": s}) for s in (1, 2)]
    assert group_by_seed(own, ["d", "d"], ["", ""]) == [[0], [1]]


def test_seed_that_equals_another_seed_by_chance_does_not_split_the_group(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / str(seed), config(seed=seed, data={"seed": 1}), walk_seed=seed)
    assert [row.num_runs for row in compared(tmp_path).groups] == [3]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("a._target_", "tradewright.algorithm.ppo.PPO", "ppo"),
        ("a._target_", "peft.LoraConfig", "LoraConfig"),
        ("a", None, "none"),
        ("a", True, "true"),
        ("a", 0.00001, "1e-05"),
        ("a", math.inf, "inf"),
        ("a", [1, "x"], '[1, "x"]'),
        ("a", 12, "12"),
    ],
)
def test_values_are_shown_short(key: str, value: Any, text: str) -> None:
    assert show_value(key, value) == text


@pytest.mark.parametrize(
    ("texts", "axis"),
    [
        (["1", "2"], {"label": "x", "values": [1.0, 2.0]}),
        (["0.001", "1"], {"label": "x (log)", "values": [-3.0, 0.0]}),
        (["b", "a", "b"], {"label": "x", "values": [1, 0, 1]}),
        (["8", "n/a"], {"label": "x", "values": [0, 1]}),
        (["0", "100"], {"label": "x", "values": [0.0, 100.0]}),
    ],
)
def test_parallel_axis_is_linear_logarithmic_or_words(texts: list[str], axis: dict[str, Any]) -> None:
    got = setting_axis("x", texts)
    assert got["label"] == axis["label"]
    assert got["values"] == pytest.approx(axis["values"])


def test_labels_name_the_settings_and_are_distinct(study: Path) -> None:
    comparison = compared(study)
    names = labels(comparison)
    assert len(set(names)) == len(names)
    assert any(name.startswith("sac, lr 0.01, seed ") for name in names)


@pytest.mark.parametrize(
    ("seconds", "text"), [(math.nan, DASH), (4.4, "4 s"), (59.7, "60 s"), (187, "3:07 min"), (8100, "2:15 h")]
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ["xlsx"]}, r"^formats must be of csv, json, parquet, markdown, was 'xlsx'$"),
        ({"max_rows": 0}, r"^max_rows must be >= 1, was 0$"),
    ],
)
def test_wrong_option_of_the_task_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Compare(runs="x", **options)
