"""Finding and reading runs to compare: folders, states, damaged runs, configurations in parts."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml
from compare_samples import compared, config, walk, write_run, write_study

from tradewright.errors import RunError
from tradewright.output import METRICS, STATUS, write_json, write_text
from tradewright.report import curves
from tradewright.report.runs import find_runs, flatten, is_alive, read_run
from tradewright.task.compare import Compare


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("outputs") / "default")


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


def test_metrics_file_with_null_is_undefined_and_not_zero(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", config())
    write_json(run / METRICS, {"test/sharpe": None, "test/total_return": 0.1, "test/max_drawdown": 0.2})
    write_run(tmp_path / "b", config(seed=1))
    rows = compared(tmp_path).runs
    assert rows[-1].label == "a"
    assert math.isnan(rows[-1].values["test/sharpe"])


def test_curves_of_many_runs_are_those_of_each_and_a_damaged_file_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "CHUNK", 2)
    records = []
    for number in range(5):
        run = write_run(tmp_path / f"it's [{number}] *", config(seed=number), walk_seed=number, num_bars=200 + number)
        records.append(read_run(run))
    write_text(records[3].path / "equity.parquet", "not parquet")
    with duckdb.connect() as connection:
        found = list(curves.read_all_curves(records, connection))
    assert isinstance(found[3], duckdb.Error)
    for number in (0, 1, 2, 4):
        read = found[number]
        assert not isinstance(read, duckdb.Error)
        assert list(read) == ["policy", "buy_and_hold"]
        for name, seed in (("policy", number), ("buy_and_hold", 999)):
            expected = walk(name, seed, num_bars=200 + number)
            np.testing.assert_array_equal(read[name][0], expected.ts_T)
            np.testing.assert_array_equal(read[name][1], expected.equity_T)
