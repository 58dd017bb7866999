"""A run without a market from the command line: judged by episodes, resumed, replayed, compared, pruned in a sweep."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tradewright.cli import main
from tradewright.evaluate.episodes import TEST_OFFSET, EpisodeEvaluation, mean_interval
from tradewright.ledger import Ledger
from tradewright.output import read_json, read_metrics

TINY = (
    "env=cartpole",
    "algorithm.total_frames=512",
    "algorithm.num_envs=8",
    "algorithm.rollout_steps=16",
    "algorithm.iterations_per_epoch=2",
    "evaluate.num_episodes=6",
    "evaluate.num_validation_episodes=3",
    "env.max_steps=60",
    "report.plotly=shared",
)
"""Two epochs of 256 frames."""


def episodes_of(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "episodes.csv").read_text().splitlines()))


def test_cartpole_is_trained_judged_resumed_and_replayed(command: Callable[..., Path]) -> None:
    run = command(*TINY)
    metrics = read_metrics(run)
    test = [float(row["return"]) for row in episodes_of(run) if row["range"] == "test"]
    assert metrics["test/mean_return"] == pytest.approx(np.mean(test))
    assert metrics["test/std_return"] == pytest.approx(np.std(test, ddof=1))
    assert metrics["test/mean_return_low"] <= metrics["test/mean_return"] <= metrics["test/mean_return_high"]
    seeds = {name: {row["seed"] for row in episodes_of(run) if row["range"] == name} for name in ("test", "validation")}
    assert len(seeds["test"]) == 6
    assert len(seeds["validation"]) == 3
    assert not seeds["test"] & seeds["validation"]
    assert read_json(run / "status.json")["state"] == "done"
    assert read_json(run / "provenance.json")["data"]["dataset"] == "CartPole-v1"
    best = read_json(run / "checkpoints" / "best.json")
    assert best["monitor"] == "validation/mean_return"
    page = (run / "report.html").read_text()
    for text in ("Learning curves", "validation/mean return", "Mean return of episodes", "ppo on CartPole-v1"):
        assert text in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))  # charts are found by them
    assert {"plot-returns", "payload"} <= set(ids)
    assert "Mean return" in (run / "summary.txt").read_text()
    assert Ledger(run.parent).count(read_json(run / "provenance.json")["data"]["fingerprint"]) == 1

    before = (run / "metrics.json").read_bytes()
    shutil.move(run / "metrics.json", run / "old.json")
    assert main([f"resume={run}"]) == 0
    assert (run / "metrics.json").read_bytes() == before
    assert main(["replay", f"run={run}"]) == 0
    assert main(["evaluate", f"run={run}", "evaluate=episodes", "evaluate.num_episodes=4"]) == 0


def test_sweep_prunes_what_does_not_fit_and_runs_the_rest(
    command: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0, a directory with the reason, a ledger entry on no data, and a row in the comparison."""
    shared = (word for word in TINY if "rollout_steps" not in word)  # sac has no rollouts
    command("-m", "algorithm=ppo,sac", "seed=0", *shared, "report=markdown", "launcher=inline")
    (sweep,) = (path for path in (tmp_path / "outputs" / "default").iterdir() if path.is_dir())
    assert read_json(sweep / "0" / "status.json")["state"] == "done"
    status = read_json(sweep / "1" / "status.json")
    assert status["state"] == "pruned"
    assert "algorithm=sac needs a continuous env; env=cartpole is discrete. Use env=" in status["error"]
    assert not (sweep / "1" / "metrics.json").exists()
    entries = [json.loads(line) for line in (sweep.parent / "trials.jsonl").read_text().splitlines()]
    assert [(entry["state"], bool(entry["data"])) for entry in entries] == [("done", True), ("pruned", False)]
    assert Ledger(sweep.parent).count(entries[0]["data"]) == 1
    capsys.readouterr()
    assert main(["compare", f"runs={sweep}", "html=false"]) == 0
    shown = capsys.readouterr().out
    assert "pruned" in shown
    assert "algorithm=sac needs a continuous env" in shown


def test_sweep_prunes_what_does_not_fit_an_environment_known_only_once_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["-m", "algorithm=dqn", "env=gym", "env.id=Pendulum-v1", "seed=0", "launcher=inline"]) == 2
    assert "none of the 1 jobs can run" in capsys.readouterr().err
    (status,) = (read_json(path) for path in tmp_path.glob("outputs/default/*/0/status.json"))
    assert status["state"] == "pruned"
    assert status["error"].startswith(
        "algorithm=dqn needs a discrete env; env.id=Pendulum-v1 is continuous. Use algorithm"
    )


def test_sweep_in_which_nothing_fits_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["-m", "algorithm=sac", "env=discrete9", "seed=0,1", "launcher=inline"]) != 0
    captured = capsys.readouterr()
    assert "none of the 2 jobs can run" in captured.err
    reason = "algorithm=sac needs a continuous env; env=discrete9 is discrete."
    assert (captured.out + captured.err).count(reason) == 1
    (sweep,) = (path for path in (tmp_path / "outputs" / "default").iterdir() if path.is_dir())
    assert all(reason in read_json(sweep / number / "status.json")["error"] for number in ("0", "1"))
    assert main(["compare", f"runs={sweep}", "html=false"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count(reason) == 1
    assert re.search(r"\b0, \S*1: pruned, algorithm=sac|\b1, \S*0: pruned, algorithm=sac", shown)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["env=cartpole", "task=backtest", "strategy=momentum"], "task=backtest needs a market; env=cartpole has none"),
        (["env=continuous", "evaluate=episodes"], "evaluate=episodes needs an env without a market; env=continuous"),
        (
            ["env=pendulum", "evaluate=backtest"],
            "evaluate=backtest needs a market; env=pendulum has none. Use evaluate",
        ),
        (["data=none"], "data=none leaves env=auto without a market"),
        (["algorithm=dqn", "env=continuous"], "algorithm=dqn needs a discrete env; env=continuous is continuous. Use"),
        (["algorithm=td3", "env=cartpole"], "algorithm=td3 needs a continuous env; env=cartpole is discrete. Use env"),
        (["algorithm=apg", "env=pendulum"], "algorithm=apg needs an env that trades a market; env=pendulum does not"),
    ],
)
def test_combinations_that_cannot_run_are_refused_by_name(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) != 0
    assert message in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_interval_of_the_mean_is_the_percentile_bootstrap() -> None:
    value_E = np.random.default_rng(5).normal(100, 20, 200)
    found = mean_interval(value_E, 4000, 0.9, seed=1)
    half = 1.645 * value_E.std() / np.sqrt(len(value_E))  # of the normal approximation
    assert found.value == value_E.mean()
    assert found.low == pytest.approx(value_E.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(value_E.mean() + half, abs=0.15 * half)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"num_episodes": 1}, "num_episodes must be from 2"),
        ({"num_episodes": TEST_OFFSET + 1}, "num_episodes must be from 2"),
        ({"num_validation_episodes": 0}, "num_validation_episodes must be from 1"),
        ({"num_resamples": 10}, "num_resamples must be >= 100"),
        ({"confidence": 0.4}, "confidence must be in"),
        ({"seed": -1}, "seed must be >= 0"),
    ],
)
def test_bad_arguments_are_refused(keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EpisodeEvaluation(**keys)
