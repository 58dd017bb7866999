"""Cross-validation and controls of a trained agent, through the command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tiny import BRIEF

from tradewright.cli import main
from tradewright.output import read_json, read_metrics
from tradewright.task.train import Train

FOLDED = (*BRIEF, "evaluate=walk_forward", "evaluate.folds.num_folds=3", "report=markdown", "seed=5")


@contextmanager
def stopped_at(fold: str) -> Iterator[None]:
    """Interrupt the run before a fold is trained, as a killed process would."""
    train = Train.strategy

    def interrupted(self, context):
        if context.fit == fold:
            raise KeyboardInterrupt
        return train(self, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Train, "strategy", interrupted)
        yield


def test_walk_forward_trains_once_per_fold_and_judges_the_joined_blocks(copied) -> None:
    run = copied(*FOLDED)
    folds = sorted(path.name for path in (run / "fits").iterdir())
    assert folds == ["fold_1", "fold_2", "fold_3"]
    assert all((run / "fits" / fold / "checkpoints" / "best.json").is_file() for fold in folds)
    scalers = [(run / "fits" / fold / "scaler.json").read_text() for fold in folds]
    assert len(set(scalers)) == 3  # each fitted on its own training bars
    assert not (run / "checkpoints").exists()
    metrics = read_metrics(run)
    assert metrics["test/num_bars"] == (500 - 60) / 2  # after the warm-up of the features and the first window
    assert np.isfinite(metrics["validation/sharpe"])
    assert "fold_3" in (run / "report.md").read_text()


def test_interrupted_folds_are_resumed_without_training_finished_ones_again(copied) -> None:
    whole = read_metrics(copied(*FOLDED))
    with stopped_at("fold_3"):
        assert main(FOLDED) == 130
    run = max(Path("outputs").glob("*/*/status.json"), key=lambda path: path.stat().st_mtime_ns).parent
    finished = {
        path: path.stat().st_mtime_ns for path in run.glob("fits/*/checkpoints/*.ckpt") if path.name.startswith("best")
    }
    assert len(finished) == 2
    assert main((f"resume={run}",)) == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    np.testing.assert_equal(read_metrics(run), whole)
    assert read_json(run / "status.json")["state"] == "done"


def test_trained_agents_have_a_control_trained_on_shuffled_features(command) -> None:
    run = command(*BRIEF, "evaluate.shuffled_control=true")
    metrics = read_metrics(run)
    assert "baseline/shuffled_labels/sharpe" in metrics
    assert (run / "fits" / "shuffled_labels" / "checkpoints" / "best.json").is_file()
    assert metrics["baseline/shuffled_labels/total_return"] != metrics["test/total_return"]


def test_single_agent_of_folds_cannot_be_evaluated_or_predicted_with(copied, capsys) -> None:
    run = copied(*FOLDED)
    assert main(("evaluate", f"run={run}")) == 2
    assert f"{run}: keeps one agent per fold or control in fits/" in capsys.readouterr().err


def test_run_stopped_before_its_report_is_checked_for_leaks_when_it_is_resumed(copied) -> None:
    run = copied(*FOLDED)
    (run / "summary.txt").unlink()
    (run / "status.json").write_text('{"state": "running", "started_at": "2020-01-01", "duration_s": 1}')
    assert main((f"resume={run}",)) == 0
    assert "No leak in" in (run / "summary.txt").read_text()


def test_evaluation_of_a_trained_run_refuses_folds(trained, capsys) -> None:
    assert main(("evaluate", f"run={trained}", "evaluate=walk_forward")) == 2
    assert "evaluate.folds trains one agent per fold" in capsys.readouterr().err


def test_evaluation_takes_single_keys_over_the_trained_runs_own(command, capsys) -> None:
    run = command(*BRIEF, "backtest.costs.slippage_bps=7")
    again = command("evaluate", f"run={run}", "backtest.costs.fee_bps=9")
    config = (again / "config.yaml").read_text()
    assert "fee_bps: 9" in config
    assert "slippage_bps: 7" in config
    assert "num_bars: 500" in config
    assert main(("evaluate", f"run={run}", "algorithm.gamma=0.5")) == 2
    assert f"algorithm.gamma: belongs to the trained run {run}" in capsys.readouterr().err
