"""Real short trainings that a sweep watches: each figure is told once, what falls behind ends as pruned, unjudged."""

import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import FrozenTrial
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status

from tradewright.callbacks.pruning import PruningCallback
from tradewright.cli import main
from tradewright.config.build import build
from tradewright.errors import PrunedError, RunError
from tradewright.ledger import Ledger
from tradewright.output import STATUS, read_json
from tradewright.sweep.job import STORAGE_VARIABLE, Pruning
from tradewright.sweep.pruning import current_pruning, pruning
from tradewright.sweep.storage import open_storage

EPOCHS = 6
SMALL = (
    "data=synthetic",
    "data.num_bars=400",
    "algorithm.total_frames=1536",
    "algorithm.num_envs=16",
    "algorithm.rollout_steps=16",
    "algorithm.iterations_per_epoch=1",
    "env.window=5",
    "evaluate.shuffled_control=false",
    "evaluate.analytic_reference=false",
    "evaluate.num_random=0",
    "evaluate.significance.num_resamples=100",
    "~callbacks.leaks",
    "report=none",
)
"""Six epochs of 256 frames."""
MONITOR = "validation/sharpe"
MEDIAN: dict[str, Any] = {
    "_target_": "tradewright.sweep.pruners.Median",
    "n_startup_trials": 2,
    "n_warmup_steps": 2,
}
HYPERBAND: dict[str, Any] = {"_target_": "tradewright.sweep.pruners.Hyperband", "max_resource": EPOCHS}


@dataclass
class Sweep:
    """A study with some finished trials, and what a job is told of a new one."""

    study: optuna.Study

    def finished(self, level: float, num: int, pruner: dict[str, Any] = MEDIAN) -> None:
        """Add trials that reported ``level`` in every epoch, asking each time, as jobs do."""
        self.study.pruner = build(pruner, key="pruner").make()
        for _ in range(num):
            trial = self.study.ask()
            for epoch in range(EPOCHS):
                trial.report(level, epoch)
                trial.should_prune()
            self.study.tell(trial, level)

    def begin(self, pruner: dict[str, Any]) -> Pruning:
        return Pruning(self.study.study_name, self.study.ask().number, MONITOR, pruner)

    def trial(self, told: Pruning) -> FrozenTrial:
        return self.study.get_trials()[told.trial]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sweep]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = f"sqlite:///{tmp_path}/queue/study.db"
    monkeypatch.setenv(STORAGE_VARIABLE, url)
    monkeypatch.chdir(tmp_path)
    storage: Any = open_storage(url)
    yield Sweep(optuna.create_study(storage=storage, study_name="default/x", direction="maximize"))
    storage.remove_session()
    storage.engine.dispose()


def train(told: Pruning | None, directory: str, *words: str) -> Path:
    """Run a small training in ``directory`` and return it."""
    with pruning(told):
        code = main([*(words or SMALL), f"hydra.run.dir={directory}"])
    path = Path(directory)
    assert code == (0 if read_json(path / "status.json")["state"] == "done" else 2)
    return path


def epochs_trained(directory: Path) -> int:
    saved = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    return int(saved["epoch"]) + 1


def test_training_that_falls_behind_the_median_ends_as_pruned_and_is_never_judged(sweep: Sweep) -> None:
    sweep.finished(1e6, 2)
    told = sweep.begin(MEDIAN)
    run = train(told, "outputs/default/behind")
    status = read_json(run / "status.json")
    assert status["state"] == "pruned"
    assert status["error"].startswith("pruned in epoch 2: validation/sharpe ")
    assert list(sweep.trial(told).intermediate_values) == [0, 1, 2]
    assert epochs_trained(run) == 3
    assert not (run / "metrics.json").exists()  # the test range was not scored
    assert not (run / "report.html").exists()
    assert not list(run.glob("*.part")) + list((run / "checkpoints").glob("*.part*"))
    assert _session_status(run / "result") == Status.STATUS_UNKNOWN  # neither a success nor a failure
    (line,) = [json.loads(text) for text in Path("outputs/default/trials.jsonl").read_text().splitlines()]
    assert (line["run"], line["state"], line["sharpe"]) == ("behind", "pruned", None)
    assert Ledger(Path("outputs/default")).count(line["data"]) == 1  # it counts in the deflated Sharpe of the others


def _session_status(folder: Path) -> int:
    events = EventAccumulator(str(folder))
    events.Reload()
    content = events.summary_metadata[metadata.SESSION_END_INFO_TAG].plugin_data.content
    return int(metadata.parse_session_end_info_plugin_data(content).status)


def test_training_that_leads_runs_to_its_end_and_tells_every_epoch_as_it_was(sweep: Sweep) -> None:
    sweep.finished(-1e6, 2)
    told = sweep.begin(MEDIAN)
    run = train(told, "outputs/default/ahead")
    assert read_json(run / "status.json")["state"] == "done"
    reported = sweep.trial(told).intermediate_values
    curve = read_json(run / "curves.json")[MONITOR]
    assert list(reported) == list(range(EPOCHS))
    assert list(reported.values()) == pytest.approx(curve["values"])
    assert curve["steps"] == [256 * (epoch + 1) for epoch in range(EPOCHS)]


def test_hyperband_ends_at_a_rung_what_is_not_among_the_best_third(sweep: Sweep) -> None:
    sweep.finished(1e6, 12, HYPERBAND)  # some in every bracket
    told = sweep.begin(HYPERBAND)
    run = train(told, "outputs/default/behind")
    assert read_json(run / "status.json")["state"] == "pruned"
    steps = list(sweep.trial(told).intermediate_values)
    assert steps in ([0, 1], [0, 1, 2, 3])  # rungs at 1 and 3
    assert epochs_trained(run) == len(steps)


def test_pruned_run_that_is_resumed_trains_no_further_and_stays_pruned(sweep: Sweep) -> None:
    """Killed between its last checkpoint and its status: the worker that takes over continues it for a new trial."""
    sweep.finished(1e6, 2)
    run = train(sweep.begin(MEDIAN), "outputs/default/behind")
    status = read_json(run / STATUS)
    (run / STATUS).write_text(json.dumps({**status, "state": "running", "error": None}))
    again = sweep.begin(MEDIAN)
    with pruning(again):
        assert main([f"resume={run}"]) == 2
    assert read_json(run / "status.json")["state"] == "pruned"
    assert epochs_trained(run) == 3
    assert not (run / "metrics.json").exists()


def test_without_a_sweep_nothing_is_reported(sweep: Sweep) -> None:
    assert current_pruning() is None
    told = sweep.begin(MEDIAN)
    with pruning(told):
        assert current_pruning() == told
        with pruning(None):
            assert current_pruning() is None
        assert current_pruning() == told
    assert current_pruning() is None


def trainer(epoch: int, value: float, monitor: str = MONITOR) -> Any:
    """What the callback asks of Lightning's trainer."""
    metrics = {monitor: torch.tensor(value), "validation/sortino": torch.tensor(0.0), "train/loss": torch.tensor(1.0)}
    return SimpleNamespace(sanity_checking=False, should_stop=False, current_epoch=epoch, callback_metrics=metrics)


def test_no_step_is_told_twice_and_a_new_trial_learns_the_earlier_ones(sweep: Sweep) -> None:
    first = sweep.begin(MEDIAN)
    callback = PruningCallback(first)
    for epoch in range(3):
        callback.on_validation_end(trainer(epoch, float(epoch)), None)
    state = torch.load(_saved(callback.state_dict()), weights_only=True)  # as a checkpoint is read
    callback.teardown(trainer(2, 0.0), None, "fit")

    same = PruningCallback(first)
    same.load_state_dict(state)
    same.on_validation_end(trainer(2, 99.0), None)  # a step that the trial knows
    same.on_validation_end(trainer(3, 3.0), None)
    assert sweep.trial(first).intermediate_values == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}

    second = sweep.begin(MEDIAN)
    other = PruningCallback(second)
    other.load_state_dict(state)
    other.on_validation_end(trainer(3, 3.0), None)
    assert sweep.trial(second).intermediate_values == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}
    for one in (same, other):
        one.teardown(trainer(3, 0.0), None, "fit")


def _saved(state: dict[str, Any]) -> Path:
    path = Path("state.pt")
    torch.save(state, path)
    return path


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_undefined_figure_is_not_told_and_ends_nothing(sweep: Sweep, value: float) -> None:
    sweep.finished(1.0, 3)
    told = sweep.begin({**MEDIAN, "n_warmup_steps": 0})
    callback, watched = PruningCallback(told), trainer(0, value)
    callback.on_validation_end(watched, None)
    assert not watched.should_stop
    assert sweep.trial(told).intermediate_values == {}
    callback.raise_if_pruned()


def test_stop_is_told_to_the_trainer_and_raised_afterwards(sweep: Sweep) -> None:
    sweep.finished(1.0, 3)
    callback, watched = PruningCallback(sweep.begin({**MEDIAN, "n_warmup_steps": 1})), trainer(0, -1.0)
    callback.on_validation_end(watched, None)
    assert not watched.should_stop
    watched.current_epoch = 1
    callback.on_validation_end(watched, None)
    assert watched.should_stop
    with pytest.raises(
        PrunedError, match=r"^pruned in epoch 1: validation/sharpe -1 is behind other jobs of the sweep"
    ):
        callback.raise_if_pruned()
    callback.teardown(watched, None, "fit")


def test_sanity_check_is_no_epoch(sweep: Sweep) -> None:
    told = sweep.begin(MEDIAN)
    watched = trainer(0, 1.0)
    watched.sanity_checking = True
    PruningCallback(told).on_validation_end(watched, None)
    assert sweep.trial(told).intermediate_values == {}


def test_metric_that_is_not_logged_is_named_with_the_nearest(sweep: Sweep) -> None:
    told = Pruning(sweep.study.study_name, sweep.study.ask().number, "validation/sharp", MEDIAN)
    message = r"^sweep.objective: 'validation/sharp' is not logged; did you mean 'validation/sharpe'\?"
    with pytest.raises(RunError, match=message):
        PruningCallback(told).on_validation_end(trainer(0, 1.0), None)


def test_trial_that_another_worker_took_over_ends_the_training(sweep: Sweep) -> None:
    told = sweep.begin(MEDIAN)
    sweep.study.tell(told.trial, state=optuna.trial.TrialState.FAIL)
    with pytest.raises(RunError, match=rf"^trial {told.trial} of default/x has ended: another worker took it over"):
        PruningCallback(told).on_validation_end(trainer(0, 1.0), None)


def test_queue_out_of_reach_is_a_warning_without_the_password_and_is_told_later(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told = sweep.begin(MEDIAN)
    callback = PruningCallback(told)
    storage: Any = optuna.storages.RDBStorage
    reach: Callable[..., Any] = storage.set_trial_intermediate_value

    def out_of_reach(*_: Any) -> None:
        raise optuna.exceptions.StorageInternalError("postgresql://user:secret@host/db is gone")

    monkeypatch.setattr(storage, "set_trial_intermediate_value", out_of_reach)
    with caplog.at_level(logging.WARNING, logger="tradewright.callbacks.pruning"):
        callback.on_validation_end(trainer(0, 1.0), None)
    assert "nothing is pruned this epoch: postgresql://user:***@host/db is gone" in caplog.text
    monkeypatch.setattr(storage, "set_trial_intermediate_value", reach)
    callback.on_validation_end(trainer(1, 2.0), None)
    assert sweep.trial(told).intermediate_values == {0: 1.0, 1: 2.0}
    callback.teardown(trainer(1, 0.0), None, "fit")


def test_queue_that_cannot_be_opened_ends_no_training(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told = sweep.begin(MEDIAN)
    monkeypatch.setattr("tradewright.sweep.storage.ATTEMPTS", 1)
    monkeypatch.setenv(STORAGE_VARIABLE, "postgresql+psycopg://user:secret@127.0.0.1:1/none")
    watched = trainer(0, 1.0)
    with caplog.at_level(logging.WARNING, logger="tradewright.callbacks.pruning"):
        PruningCallback(told).on_validation_end(watched, None)
    assert "nothing is pruned this epoch" in caplog.text
    assert "secret" not in caplog.text
    assert not watched.should_stop


def test_journal_file_is_a_queue_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = f"journal://{tmp_path}/queue.log"
    monkeypatch.setenv(STORAGE_VARIABLE, url)
    queue = Sweep(optuna.create_study(storage=open_storage(url), study_name="x", direction="minimize"))
    queue.finished(-1.0, 3)
    told = queue.begin({**MEDIAN, "n_warmup_steps": 0})
    callback, watched = PruningCallback(told), trainer(0, 1.0)
    callback.on_validation_end(watched, None)
    assert watched.should_stop  # the study minimises
    assert queue.trial(told).intermediate_values == {0: 1.0}
    callback.teardown(watched, None, "fit")


def test_job_without_the_queues_url_says_so(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STORAGE_VARIABLE)
    with pytest.raises(RunError, match=f"^{STORAGE_VARIABLE}: must hold the URL of the sweep's queue"):
        PruningCallback(sweep.begin(MEDIAN)).on_validation_end(trainer(0, 1.0), None)


def test_all_processes_of_a_distributed_training_stop_at_the_same_epoch(sweep: Sweep) -> None:
    sweep.finished(1e6, 2)
    told = sweep.begin(MEDIAN)
    words = (*SMALL, "trainer=ddp", "trainer.accelerator=cpu", "algorithm.total_frames=3072")
    run = train(told, "outputs/default/behind", *words)
    assert read_json(run / "status.json")["state"] == "pruned"
    assert list(sweep.trial(told).intermediate_values) == [0, 1, 2]
    assert epochs_trained(run) == 3
    assert not (run / "metrics.json").exists()
