"""A run is repeated from its own directory; what differs in code, versions, data and numbers is said."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tradewright import surroundings
from tradewright.cli import main
from tradewright.ledger import Ledger
from tradewright.output import PROVENANCE, read_json, write_json

RULE = ("task=backtest", "strategy=sma_cross", "report=none", "evaluate.num_random=0", "callbacks.leaks=null")
SYNTHETIC = ("data=synthetic", "data.num_bars=500")


def mend(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file, as if it had been recorded differently."""
    content = read_json(path)
    change(content)
    write_json(path, content)


def test_replayed_run_repeats_every_figure_to_the_bit(trained, command, capsys) -> None:
    again = command("replay", f"run={trained}")
    assert again != trained
    assert json.loads((again / "metrics.json").read_text()) == json.loads((trained / "metrics.json").read_text())
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.endswith("all equal; code, versions, machine and data are equal too")
    found = read_json(again / "replay.json")
    assert found["is_equal"]
    assert found["changes"] == found["figures"] == found["equity"] == []
    assert "replay.json" in read_json(again / "manifest.json")["files"]


def test_replay_counts_the_trials_that_the_run_knew_of(command, capsys) -> None:
    """Trials recorded later deflate later runs, not the repetition of an earlier one."""
    run = command(*RULE, *SYNTHETIC)
    command(*RULE, *SYNTHETIC, "strategy.fast=7")
    command("replay", f"run={run}")
    assert "all equal" in capsys.readouterr().out


def test_replay_names_the_figures_that_differ_and_what_may_be_why(command, capsys) -> None:
    run = command(*RULE, *SYNTHETIC)
    mend(run / "metrics.json", lambda figures: figures.update({"test/sharpe": 9.75, "test/gone": 1.0}))
    mend(run / PROVENANCE, lambda record: record["packages"].update(numpy="1.0"))
    mend(run / PROVENANCE, lambda record: record["machine"].update(cpu="Abacus"))
    mend(run / PROVENANCE, lambda record: record["code"].update(tradewright="0123"))
    assert main(("replay", f"run={run}")) == 2
    out, err = capsys.readouterr()
    (error,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert "2 of " in error
    assert "figures differ: test/gone was 1.0, is None; test/sharpe was 9.75, is " in error
    assert error.endswith("candidates: code (source of tradewright), versions (numpy), machine (cpu)")
    table = [line.split() for line in out.splitlines()]
    assert ["code", "source", "of", "tradewright", "0123", surroundings.code_digests([])["tradewright"]] in table
    assert ["versions", "numpy", "1.0", surroundings.package_versions()["numpy"]] in table
    assert out.index("Abacus") < out.index("test/sharpe")
    assert "the equity of every strategy is the same at every bar" in out
    (again,) = [path.parent for path in run.parent.glob("*/replay.json")]
    found = read_json(again / "replay.json")
    assert [one["name"] for one in found["figures"]] == ["test/gone", "test/sharpe"]
    assert {one["part"] for one in found["changes"]} == {"code", "versions", "machine"}


def test_first_bar_of_another_equity_is_named(command, capsys) -> None:
    run = command(*RULE, *SYNTHETIC)
    path = run / "equity.parquet"
    where = "\"range\" = 'test' AND name = 'sma_cross' AND ts >= '2001-10-06'"
    with duckdb.connect() as connection:
        ((expected,),) = connection.execute(f"SELECT min(ts)::VARCHAR FROM '{path}' WHERE {where}").fetchall()
        moved = f"CASE WHEN {where} THEN equity + 1 ELSE equity END"
        connection.execute(
            f"COPY (SELECT * REPLACE ({moved} AS equity) FROM '{path}') TO '{run / 'other'}' (FORMAT parquet)"
        )
    shutil.move(run / "other", path)
    again = command("replay", f"run={run}")
    (bar,) = read_json(again / "replay.json")["equity"]
    assert (bar["range"], bar["name"], bar["ts"]) == ("test", "sma_cross", expected)
    assert bar["then"] == bar["now"] + 1
    assert "test/sma_cross" in capsys.readouterr().out


def test_changed_data_are_refused_after_what_else_differs_and_replayed_on_request(command, capsys, tmp_path) -> None:
    words = (*RULE, "data=csv", "data.path=bars.csv")
    days = [f"20{year:02}-{month:02}-{day:02}" for year in (1, 2) for month in range(1, 13) for day in range(1, 28)]
    rows = [f"{day},{100 + n % 7},{110 + n % 7},{90 + n % 7},{100 + n * 3 % 11},1000" for n, day in enumerate(days)]
    (tmp_path / "bars.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows]) + "\n")
    run = command(*words)
    mend(run / PROVENANCE, lambda record: record["packages"].update(numpy="1.0"))
    (tmp_path / "bars.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows[:-5]]) + "\n")
    assert main(("replay", f"run={run}")) == 2
    out, err = capsys.readouterr()
    assert out.index("numpy") < out.index("fingerprint")
    assert ["data", "num", "bars", "648", "643"] in [line.split() for line in out.splitlines()]
    assert "the bars have changed since this run; its numbers cannot be repeated (task.any_data=true replays" in err
    assert len(list(run.parent.glob("*/config.yaml"))) == 1
    assert main(("replay", f"run={run}", "any_data=true")) == 2
    err = capsys.readouterr().err
    assert "figures differ" in err
    assert "candidates: versions (numpy), data (fingerprint, num bars, last)" in err
    assert Ledger(run.parent).count(read_json(run / PROVENANCE)["data"]["fingerprint"]) == 1


def test_replay_of_a_sweeps_job_lies_beside_the_sweep_and_is_no_trial(command, capsys, tmp_path, monkeypatch) -> None:
    command("-m", *RULE, *SYNTHETIC, "strategy.fast=5,7", "sweep.name=fast", "launcher=inline")
    job = tmp_path / "outputs" / "default" / "fast" / "1"
    before = (tmp_path / "outputs/default/trials.jsonl").read_text()
    monkeypatch.chdir(tmp_path / "outputs")  # the ledger and the store are found from where the run was started
    assert main(("replay", "run=default/fast/1")) == 0
    (again,) = [path.parent for path in tmp_path.glob("outputs/**/replay.json")]
    assert again.parent == tmp_path / "outputs" / "default"
    assert read_json(again / PROVENANCE)["replay_of"] == {
        "run": "fast/1",
        "trial": read_json(job / PROVENANCE)["trial"],
    }
    assert (tmp_path / "outputs/default/trials.jsonl").read_text() == before
    assert [json.loads(line)["run"] for line in before.splitlines()] == ["fast/0", "fast/1"]
    assert (job / "result").is_dir()
    assert not (again / "result").exists()
    capsys.readouterr()
    assert main(("compare", "runs=default", "html=false", "num_resamples=0")) == 0
    out = capsys.readouterr().out
    assert again.name not in out
    assert "Left out: 1 replay of these runs" in out
    assert main(("compare", f"runs=[default/fast/1,default/{again.name}]", "html=false", "num_resamples=0")) == 0
    assert again.name in capsys.readouterr().out


def test_replay_of_one_seed_of_a_trial_lies_beside_the_sweep(command, tmp_path) -> None:
    words = ("sweep.name=seeds", "sweep.seeds=2", "launcher=inline", "strategy.fast=5")
    command("-m", *RULE, *SYNTHETIC, *words)
    job = tmp_path / "outputs" / "default" / "seeds" / "0" / "1"
    again = command("replay", f"run={job}")
    assert again.parent == tmp_path / "outputs" / "default"
    assert read_json(again / PROVENANCE)["replay_of"]["run"] == "seeds/0/1"
    assert read_json(again / PROVENANCE)["seed"] == 1


def test_own_classes_are_found_and_their_change_is_named(command, capsys, tmp_path) -> None:
    rule = (Path(surroundings.__file__).parent / "strategy" / "buy_and_hold.py").read_text()
    (tmp_path / "mine_rule.py").write_text(rule)
    run = command(
        *RULE, *SYNTHETIC, "allow=[mine_rule]", "strategy=buy_and_hold", "strategy._target_=mine_rule.BuyAndHold"
    )
    (tmp_path / "mine_rule.py").write_text(rule + "\n# changed\n")
    command("replay", f"run={run}")
    assert "all equal; although these are not: code (source of mine_rule)" in capsys.readouterr().out
    assert Ledger(run.parent).count(read_json(run / PROVENANCE)["data"]["fingerprint"]) == 2  # another rule was judged


def test_replay_of_a_replay_repeats_the_first_run(command) -> None:
    run = command(*RULE, *SYNTHETIC)
    command(*RULE, *SYNTHETIC, "strategy.fast=7")
    again = command("replay", f"run={run}")
    third = command("replay", f"run={again}")
    assert read_json(third / "replay.json")["equity"] == []
    assert read_json(third / PROVENANCE)["replay_of"]["run"] == run.name
    assert len((again.parent / "trials.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("run", ["nowhere", "."])
def test_replay_of_no_run_says_what_was_expected(tmp_path, monkeypatch, capsys, run: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(("replay", f"run={run}")) == 2
    assert "no finished run; expected config.yaml and metrics.json" in capsys.readouterr().err
