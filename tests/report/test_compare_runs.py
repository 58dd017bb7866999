"""Comparing runs: what is found, how states, differences, seeds and baselines are shown, and what is written."""

import csv
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compare_samples import config, write_run, write_study
from rich.console import Console

from tradewright.errors import RunError
from tradewright.metrics.figures import DASH
from tradewright.output import METRICS, STATUS, read_metrics, write_json, write_text
from tradewright.report.compare_charts import labels, setting_axis
from tradewright.report.compare_page import write_page
from tradewright.report.compare_text import print_comparison, show_duration
from tradewright.report.comparison import Comparison, compare
from tradewright.report.differences import differing_keys, group_by_seed, show_value
from tradewright.report.runs import find_runs, flatten, is_alive, read_run
from tradewright.task.compare import Compare

METRIC_KEYS = ("total_return", "sharpe", "max_drawdown")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("outputs") / "default")


def compared(folder: Path, **changes: Any) -> Comparison:
    options: dict[str, Any] = {"metrics": METRIC_KEYS, "sort": "sharpe", "baseline": "buy_and_hold"}
    return compare([read_run(path) for path in find_runs([folder])], folder=folder, **(options | changes))


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
    assert row.spreads["test/sharpe"] == pytest.approx(math.sqrt(sum((value - mean) ** 2 for value in values) / 2))


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


@pytest.mark.parametrize("runs", [None, [], ""])
def test_no_path_is_refused_with_an_example(runs: Any) -> None:
    with pytest.raises(
        RunError, match=r"^runs: name a folder of runs, e\.g\. `tradewright compare runs=outputs/default`$"
    ):
        Compare(runs=runs or None).execute(None)


def test_nothing_found_says_where_was_looked_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run found \(a run is a folder with a status.json\); start one with"):
        Compare(runs=str(tmp_path)).execute(None)
    with pytest.raises(RunError, match=r"missing: no such folder; runs lie under outputs/<experiment>/"):
        Compare(runs=str(tmp_path / "missing")).execute(None)


def test_patterns_lists_and_single_runs_are_found_once(study: Path) -> None:
    assert len(find_runs([study])) == 16
    assert len(find_runs([study, study / "grid"])) == 16
    assert len(find_runs([f"{study}/grid/00*"])) == 10
    assert find_runs([study / "grid" / "003"]) == [study / "grid" / "003"]


def test_hidden_folders_links_and_folders_inside_runs_are_not_searched(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", config())
    write_run(tmp_path / ".trash" / "b", config())
    write_run(run / "nested", config())
    (tmp_path / "link").symlink_to(run, target_is_directory=True)
    assert find_runs([tmp_path]) == [run]


def test_single_run_puts_the_page_above_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "outputs" / "a", config())
    Compare(runs=str(run)).execute(None)
    assert (tmp_path / "outputs" / "compare.html").is_file()
    assert not (run / "compare.html").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("status.json", "{", "not valid JSON"),
        ("status.json", "[]", "expected an object, found list"),
        ("status.json", '{"state": "odd"}', "state must be running, done, failed or pruned, was 'odd'"),
        ("config.yaml", "a: [", "not valid YAML"),
        ("config.yaml", "- 1", "expected keys and values, found list"),
        ("config.yaml", "# nothing\n", "expected keys and values, found nothing"),
        ("config.yaml", None, "no such file"),
        ("metrics.json", None, "no such file, although the run is done"),
        ("metrics.json", "[1]", ""),
        ("metrics.json", '{"test/sharpe": "high"}', "could not convert string to float"),
        ("provenance.json", "{", "not valid JSON"),
    ],
)
def test_damaged_run_is_listed_as_unreadable_and_others_are_compared(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    write_run(tmp_path / "good", config(seed=1))
    bad = write_run(tmp_path / "bad", config(seed=2))
    if content is None:
        (bad / name).unlink()
    else:
        write_text(bad / name, content)
    rows = {row.label: row for row in compared(tmp_path).runs}
    assert rows["good"].state == "done"
    assert rows["bad"].state == "unreadable"
    assert message in rows["bad"].error


def test_run_without_provenance_or_git_is_read(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", config())
    write_json(run / "provenance.json", {"git": None, "data": {"fingerprint": "ab"}})
    assert (read_run(run).commit, read_run(run).fingerprint) == ("", "ab")
    (run / "provenance.json").unlink()
    assert read_run(run).state == "done"


def test_state_of_a_running_run_follows_its_process(tmp_path: Path) -> None:
    assert read_run(write_run(tmp_path / "a", config(), state="running")).state == "running"
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert read_run(write_run(tmp_path / "b", config(), state="running", pid=ended.pid)).state == "dead"
    elsewhere = write_run(tmp_path / "c", config(), state="running", pid=ended.pid)
    status = json.loads((elsewhere / STATUS).read_text()) | {"host": "another-machine"}
    write_json(elsewhere / STATUS, status)
    assert read_run(elsewhere).state == "running"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="zombies are recognised by /proc, which is missing")
def test_zombie_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(child.pid)
    assert is_alive(os.getpid())


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb:\n  c: x\n  d:\n  - 1\n  - 2\nallow:\n- p\n- q\ne: null\n",
        "# a comment\na: 1\n\n# another\nb: two\n",
        "a: |\n  first\n\n  second\nb: 'one\n  two'\n",
        "a: &x\n  k: 1\nb: *x\n",
        "---\na: 1\nb: {}\n",
        "a: {k: 1, l: [1,\n  2]}\n'b c': 2\n",
    ],
)
def test_configuration_read_in_parts_equals_the_whole(text: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", config())
    write_text(run / "config.yaml", text)
    assert read_run(run).config == dict(flatten(yaml.safe_load(text)))


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
        ({"formats": ["xlsx"]}, r"^formats must be of csv, json, was 'xlsx'$"),
        ({"max_rows": 0}, r"^max_rows must be >= 1, was 0$"),
    ],
)
def test_wrong_option_of_the_task_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Compare(runs="x", **options)


def test_metrics_file_with_null_is_undefined_and_not_zero(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", config())
    write_json(run / METRICS, {"test/sharpe": None, "test/total_return": 0.1, "test/max_drawdown": 0.2})
    write_run(tmp_path / "b", config(seed=1))
    rows = compared(tmp_path).runs
    assert rows[-1].label == "a"
    assert math.isnan(rows[-1].values["test/sharpe"])
