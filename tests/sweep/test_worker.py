"""The worker with real processes: jobs that hang, and jobs that another worker has taken over."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from kill_sweep import hang, plan_of

from tradewright.output import read_json
from tradewright.sweep.lease import Worker as Identity
from tradewright.sweep.optuna_compat import finish, trials
from tradewright.sweep.plan import Plan
from tradewright.sweep.queue import Queue, open_study
from tradewright.sweep.samplers import Random
from tradewright.sweep.storage import close_storage, open_storage
from tradewright.sweep.sweep import Sweep
from tradewright.sweep.worker import Worker


def worker_of(plan: Plan, said: list[str]) -> Worker:
    storage = open_storage(plan.url)
    study = open_study(storage, plan.study, plan.objectives.directions, plan.description)
    queue = Queue(
        study,
        plan.space,
        num_slots=plan.num_slots,
        points=None,
        sampler_for=plan.sampler_for,
        worker=Identity.current(),
        grace_s=plan.sweep.grace_s,
    )
    return Worker(plan, queue, run=hang, place={"conf": "", "extra": None, "cwd": str(plan.directory)}, say=said.append)


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
