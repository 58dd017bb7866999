"""The upper line of reports: the analytic gradient beside an agent, on the same bars at the same costs."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tradewright.cli import main
from tradewright.config.compose import open_hydra
from tradewright.output import read_metrics
from tradewright.task.reference import analytic_config

TINY = (
    "data=synthetic", "data.num_bars=500", "env.window=5", "trainer.max_epochs=1", "evaluate.shuffled_control=false",
    "evaluate.num_random=0", "algorithm.total_frames=2048", "algorithm.num_envs=16",
)  # fmt: skip
PPO = (*TINY, "algorithm.rollout_steps=16", "algorithm.num_minibatches=4")
NOTE = "APG is the upper line, the analytic gradient: it knows the accounting and needs smooth costs"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the command in a fresh folder and return the newest run directory."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Path:
        assert main(words) == 0
        runs = sorted(tmp_path.glob("outputs/**/status.json"), key=lambda path: path.stat().st_mtime_ns)
        return runs[-1].parent

    return run


def test_upper_line_trains_at_the_costs_that_are_judged() -> None:
    """Whatever the run's training accounts pay, those of the upper line pay the configured costs, in one process."""
    overrides = ["env=discrete9", "env.cost_range=[0,3]", "env.cost_curriculum_frames=1000", "trainer=ddp"]
    cfg = open_hydra().compose(overrides)
    merged = analytic_config(cfg)
    assert merged.env.cost_range is None
    assert merged.env.cost_curriculum_frames == 0
    assert merged.trainer.devices == 1
    assert merged.backtest == cfg.backtest
    assert list(cfg.env.cost_range) == [0, 3]  # the run's own is left alone


def test_agent_is_judged_beside_the_analytic_gradient(command, capsys) -> None:
    run = command(*PPO, "env=discrete9")
    metrics = read_metrics(run)
    without = read_metrics(command(*PPO, "env=discrete9", "evaluate.analytic_reference=false", "name=without"))
    own = {key: value for key, value in metrics.items() if key.startswith("test/")}
    np.testing.assert_equal(own, {key: value for key, value in without.items() if key.startswith("test/")})
    assert metrics["baseline/apg/num_bars"] == metrics["test/num_bars"]
    assert metrics["baseline/apg/sharpe"] != metrics["test/sharpe"]
    assert (run / "fits" / "apg" / "checkpoints" / "best.json").is_file()
    assert not list((run / "fits").rglob("events.out*"))
    printed = " ".join(capsys.readouterr().out.split())
    assert NOTE in printed
    page = (run / "report.html").read_text()
    assert NOTE in page
    assert page.count("apg (upper line)") >= 3  # statistics, costs, charts
    assert "The upper line beside an agent (apg) is an analytic policy gradient" in page
    assert len((run.parent / "trials.jsonl").read_text().splitlines()) == 1  # it is no trial
    significance = [line for line in page.splitlines() if "corrected p-value" in line]
    assert not any("apg" in line for line in significance)


def test_interrupted_run_keeps_the_analytic_gradient_that_it_has(command, capsys) -> None:
    run = command(*PPO)
    first = read_metrics(run)
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**status, "state": "failed"}))
    checkpoint = next((run / "fits" / "apg" / "checkpoints").glob("best-*.ckpt"))
    before = checkpoint.stat().st_mtime_ns
    assert main((f"resume={run}",)) == 0
    np.testing.assert_equal(read_metrics(run), first)
    assert checkpoint.stat().st_mtime_ns == before


@pytest.mark.slow
def test_upper_line_pays_the_costs_of_the_run(command) -> None:
    """At ruinous fees the analytic gradient hardly trades: it was trained at the run's costs."""
    cheap = read_metrics(command(*PPO, "evaluate.analytic_reference=true", "trainer.max_epochs=4"))
    dear = read_metrics(command(*PPO, "backtest.costs.fee_bps=200", "trainer.max_epochs=4"))
    assert dear["baseline/apg/turnover"] < cheap["baseline/apg/turnover"]


def test_report_says_where_there_is_no_upper_line_and_why(command) -> None:
    run = command(*PPO, "backtest.stop_loss=0.05", "backtest.costs.fixed_fee=1")
    reason = "backtest.stop_loss must be off, was 0.05; backtest.costs.fixed_fee must be off, was 1"
    assert not any(key.startswith("baseline/apg") for key in read_metrics(run))
    assert (
        f"No upper line: the analytic gradient needs an accounting without jumps, but {reason}."
        in (run / "report.html").read_text()
    )


def test_analytic_agent_needs_no_upper_line_and_a_key_leaves_it_out(command) -> None:
    own = command(*TINY, "algorithm=apg", "algorithm.horizon_bars=16")
    assert not (own / "fits").exists()
    assert "apg (upper line)" not in (own / "report.html").read_text()
    without = command(*PPO, "evaluate.analytic_reference=false")
    assert not (without / "fits").exists()
    ledger = [json.loads(line) for line in (without.parent / "trials.jsonl").read_text().splitlines()]
    assert len({entry["trial"] for entry in ledger}) == len(ledger) == 2
    assert yaml.safe_load((without / "config.yaml").read_text())["evaluate"]["analytic_reference"] is False


def test_every_fold_has_an_upper_line_of_its_own(command) -> None:
    run = command(*PPO, "evaluate=walk_forward", "evaluate.folds.num_folds=2")
    assert "baseline/apg/sharpe" in read_metrics(run)
    assert sorted(path.name for path in (run / "fits").iterdir()) == ["fold_1", "fold_1_apg", "fold_2", "fold_2_apg"]
