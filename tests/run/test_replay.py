"""A run is repeated from its own directory, and a changed number is named."""

import json

import pytest
from tiny import BRIEF

from tradewright.cli import main


def test_replayed_run_repeats_every_figure_to_the_bit(trained, command, capsys) -> None:
    again = command("replay", f"run={trained}")
    assert again != trained
    assert json.loads((again / "metrics.json").read_text()) == json.loads((trained / "metrics.json").read_text())
    assert "all equal" in capsys.readouterr().out


def test_replay_counts_the_trials_that_the_run_knew_of(copied, command, capsys) -> None:
    """Trials recorded later deflate later runs, not the repetition of an earlier one."""
    run = copied(*BRIEF)
    command(*BRIEF, "reward.scale=50")
    command("replay", f"run={run}")
    assert "all equal" in capsys.readouterr().out


def test_replay_names_the_figures_that_differ(copied, capsys) -> None:
    run = copied(*BRIEF)
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["test/sharpe"] = 9.75
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert main(("replay", f"run={run}")) == 2
    assert "figures differ: test/sharpe was 9.75, is " in capsys.readouterr().err


@pytest.mark.parametrize("run", ["nowhere", "."])
def test_replay_of_no_run_says_what_was_expected(tmp_path, monkeypatch, capsys, run: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(("replay", f"run={run}")) == 2
    assert "no finished run; expected config.yaml and metrics.json" in capsys.readouterr().err
