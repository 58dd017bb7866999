"""The worker with real processes: jobs that hang, and jobs that another worker has taken over."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kill_sweep import do, hang, plan_of, queue_of

from tradewright.output import METRICS, Status, read_json, write_json
from tradewright.sweep.inline import Inline
from tradewright.sweep.job import Ended, Job, Run
from tradewright.sweep.optuna_compat import finish, trials
from tradewright.sweep.plan import Plan
from tradewright.sweep.samplers import Random
from tradewright.sweep.slurm import Slurm
from tradewright.sweep.storage import close_storage
from tradewright.sweep.sweep import Sweep
from tradewright.sweep.worker import Worker


def worker_of(plan: Plan, said: list[str], run: Run = hang) -> Worker:
    return Worker(
        plan, queue_of(plan), run=run, place={"conf": "", "extra": None, "cwd": str(plan.directory)}, say=said.append
    )


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewright.sweep.child.PRELOAD", "tradewright.sweep.inside")


def test_job_that_takes_too_long_is_ended_and_failed(tmp_path: Path) -> None:
    sweep = Sweep(sampler=Random(), num_trials=1, trial_timeout_s=1.0, heartbeat_s=0.2, grace_s=5.0)
    plan = replace(plan_of(tmp_path), sweep=sweep, num_slots=1)
    said: list[str] = []
    worker = worker_of(plan, said)
    begun = time.monotonic()
    tally = worker.work()
    assert time.monotonic() - begun < 30.0
    assert tally.failures == {0: "took longer than sweep.trial_timeout_s = 1 s"}
    assert said == ["job 0 failed: took longer than sweep.trial_timeout_s = 1 s"]
    status = read_json(tmp_path / "0" / "status.json")
    assert (status["state"], status["error"]) == ("failed", "took longer than sweep.trial_timeout_s = 1 s")
    last = (tmp_path / "0" / "log.txt").read_text().splitlines()[-1]
    assert last.endswith("[ERROR] took longer than sweep.trial_timeout_s = 1 s")
    close_storage(worker.queue.study._storage)


def test_job_that_another_worker_has_taken_over_is_ended_without_a_word_to_the_queue(tmp_path: Path) -> None:
    """As after a long sleep of the machine: the trial was given up and queued again meanwhile."""
    from optuna.trial import TrialState

    sweep = Sweep(sampler=Random(), num_trials=1, trial_timeout_s=3.0, heartbeat_s=0.2, grace_s=5.0)
    plan = replace(plan_of(tmp_path), sweep=sweep, num_slots=1)
    said: list[str] = []
    worker = worker_of(plan, said)
    study, start = worker.queue.study, worker._start_next

    def start_and_lose(session: object) -> bool:
        is_started = start(session)  # type: ignore[arg-type]
        if is_started and len(trials(study)) == 1:
            (trial,) = trials(study)
            study._storage.set_trial_user_attr(trial._trial_id, "lost", True)
            assert finish(study, trial, TrialState.FAIL)
        return is_started

    worker._start_next = start_and_lose  # type: ignore[method-assign]
    tally = worker.work()
    assert said[0] == "job 0 was taken over by another worker: this one was away for too long"
    assert [one.user_attrs.get("attempt") for one in trials(study)] == [0, 1]
    assert list(tally.failures) == [0]  # of the second attempt, which hangs as well
    close_storage(study._storage)


def lose(plan: Plan, num: int) -> None:
    """Let ``num`` workers die while they hold the sweep's only slot, whose job had begun."""
    worker = worker_of(plan, [])
    worker.queue.fill()
    for _ in range(num):
        claim = worker.queue.claim()
        assert claim is not None
        worker._own(claim)
        Status(plan.directory / "0").write("running")
        assert worker.queue.release(claim, "its worker ended", is_lost=True)  # as a survivor says it
    close_storage(worker.queue.study._storage)


def small(folder: Path, **more: float) -> Plan:
    """Return a plan of one job in this process."""
    settings: dict[str, Any] = {"num_trials": 1, "max_attempts": 3, "heartbeat_s": 0.2, "grace_s": 5.0, **more}
    return replace(plan_of(folder), sweep=Sweep(sampler=Random(), **settings), num_slots=1, launcher=Inline())


def test_job_that_was_lost_too_often_has_failed_and_one_less_is_run(tmp_path: Path) -> None:
    for num, state in ((2, "done"), (3, "failed")):
        plan, said = small(tmp_path / str(num)), []  # type: ignore[var-annotated]
        plan.directory.mkdir()
        lose(plan, num)
        worker = worker_of(plan, said, do)
        worker.work()
        assert [one["state"] for one in worker.queue.records()] == [state]
        close_storage(worker.queue.study._storage)
    reason = "lost 3 times: its worker died or fell silent (sweep.max_attempts = 3)"
    assert said == [f"job 0 failed: {reason}"]
    assert read_json(plan.directory / "0" / "status.json")["error"] == reason
    assert (plan.directory / "0" / "log.txt").read_text().endswith(f"{reason}\n")
    assert not (plan.directory / "0" / "runs.txt").exists()


def test_job_that_ended_before_its_last_worker_died_is_adopted_however_often_it_was_lost(tmp_path: Path) -> None:
    plan = small(tmp_path)
    lose(plan, 4)
    Status(tmp_path / "0").write("done")
    write_json(tmp_path / "0" / METRICS, {"validation/sharpe": 2.0})
    worker = worker_of(plan, [])
    worker.work()
    assert [one["values"] for one in worker.queue.records()] == [[2.0]]
    close_storage(worker.queue.study._storage)


def test_job_that_the_machine_takes_away_each_time_ends_the_sweep_as_failed(tmp_path: Path) -> None:
    """As where the fork server is the one that memory costs: nobody dies, and nothing would end it."""
    plan, said = small(tmp_path), []  # type: ignore[var-annotated]
    attempts: list[bool] = []

    def taken(job: Job) -> Ended:
        attempts.append(job.resume)
        Status(Path(job.directory)).write("running")
        return Ended("interrupted", "the fork server was killed", is_lost=True)

    worker = worker_of(plan, said, taken)
    tally = worker.work()
    assert len(attempts) == 3
    assert list(tally.failures) == [0]
    close_storage(worker.queue.study._storage)


def test_grace_follows_the_launcher(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path), sweep=Sweep(sampler=Random(), num_trials=1))
    assert plan.grace_s == 60.0
    assert replace(plan, launcher=Slurm(timeout_min=5)).grace_s == 240.0
    assert replace(plan, sweep=Sweep(sampler=Random(), num_trials=1, grace_s=20.0)).grace_s == 20.0
