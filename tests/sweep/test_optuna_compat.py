"""The private names of Optuna keep meaning what sweeps take them for."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from tradewright.sweep import optuna_compat
from tradewright.sweep.storage import open_storage


@pytest.fixture(params=["sqlite", "journal"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> optuna.Study:
    url = f"sqlite:///{tmp_path}/queue.db" if request.param == "sqlite" else f"journal://{tmp_path}/queue.log"
    return optuna.create_study(storage=open_storage(url), study_name="s", sampler=RandomSampler(seed=0))


def second(study: optuna.Study) -> optuna.Study:
    """Return the same study through a storage of its own, as another process has it."""
    storage = study._storage
    backend = getattr(storage, "_backend", storage)
    url = str(getattr(backend, "url", "")) or f"journal://{backend._file_path}"
    return optuna.load_study(storage=open_storage(url), study_name="s")


def taken(study: optuna.Study) -> optuna.trial.FrozenTrial:
    """Take the first waiting trial, as it was read before."""
    trial = next(one for one in optuna_compat.trials(study) if one.state is TrialState.WAITING)
    assert optuna_compat.take(study, trial)
    return trial


def test_waiting_trial_is_taken_by_one_process_only(study: optuna.Study) -> None:
    other = second(study)
    for number in range(3):
        optuna_compat.enqueue(study, {"x": number / 10}, {"slot": number})
    popped = optuna_compat.trials(other)
    assert [one.user_attrs["slot"] for one in popped] == [0, 1, 2]
    assert [optuna_compat.take(one, trial) for trial in popped for one in (study, other, study)] == [
        True,
        False,
        False,
    ] * 3
    assert all(one.state is TrialState.RUNNING for one in optuna_compat.trials(study))
    assert optuna_compat.finish(study, popped[0], TrialState.FAIL)
    assert not optuna_compat.take(other, popped[0])
    assert [optuna_compat.waiting_params(one) for one in popped if one is not None] == [
        {"x": 0.0},
        {"x": 0.1},
        {"x": 0.2},
    ]


def test_begun_trial_takes_what_it_was_queued_with_and_samples_the_rest(study: optuna.Study) -> None:
    study.enqueue_trial({"x": 0.25, "kind": True})
    popped = taken(study)
    trial = optuna_compat.begin(study, popped)
    assert trial.number == popped.number
    assert optuna_compat.suggest(trial, "x", FloatDistribution(0, 1)) == 0.25
    assert optuna_compat.suggest(trial, "kind", CategoricalDistribution((None, True, "a"))) is True
    assert 5 <= optuna_compat.suggest(trial, "y", FloatDistribution(5, 6)) <= 6
    seen = optuna_compat.trials(second(study))[0]
    assert seen.params == trial.params
    assert set(seen.params) == {"x", "kind", "y"}


def test_trial_ends_once_and_only_the_first_word_counts(study: optuna.Study) -> None:
    other = second(study)
    study.enqueue_trial({})
    popped = taken(study)
    assert optuna_compat.finish(study, popped, TrialState.COMPLETE, [0.5])
    assert not optuna_compat.finish(other, popped, TrialState.FAIL)
    assert not optuna_compat.finish(study, popped, TrialState.FAIL)
    assert not optuna_compat.set_attribute(other, popped, "late", True)
    (trial,) = optuna_compat.trials(other)
    assert (trial.state, trial.values, trial.user_attrs) == (TrialState.COMPLETE, [0.5], {})


def test_attributes_of_a_running_trial_are_set_by_anyone_and_seen_at_once(study: optuna.Study) -> None:
    other = second(study)
    study.enqueue_trial({})
    popped = taken(study)
    for beat in range(2):
        assert optuna_compat.set_attribute(other, popped, "lease", {"beat": beat})
        assert optuna_compat.trials(study)[0].user_attrs["lease"] == {"beat": beat}


def test_constraints_are_part_of_a_finished_trial(study: optuna.Study) -> None:
    study.enqueue_trial({})
    popped = taken(study)
    trial = optuna_compat.begin(study, popped)
    trial.set_constraint("drawdown", 0.5)
    assert trial.constraints == {"drawdown": 0.5}
    assert optuna_compat.finish(study, trial, TrialState.COMPLETE, [1.0])
    assert optuna_compat.trials(second(study))[0].constraints == {"drawdown": 0.5}
    with pytest.raises(ValueError, match="feasible"):
        _ = study.best_trial


def test_storage_out_of_reach_is_tried_again_for_a_while(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_compat, "PAUSE_S", 0.001)
    calls: list[str] = []

    def fail_twice(name: str) -> None:
        real = getattr(study._storage, name)

        def call(*args: Any, **more: Any) -> Any:
            calls.append(name)
            if calls.count(name) < 3:
                raise StorageInternalError("the server restarts")
            return real(*args, **more)

        monkeypatch.setattr(study._storage, name, call)

    for name in ("create_new_trial", "get_all_trials", "set_trial_user_attr", "set_trial_state_values"):
        fail_twice(name)
    optuna_compat.enqueue(study, {}, {"slot": 0})
    popped = taken(study)
    assert optuna_compat.set_attribute(study, popped, "lease", 1)
    assert optuna_compat.finish(study, popped, TrialState.COMPLETE, [1.0])
    (trial,) = optuna_compat.trials(study)
    assert (trial.values, trial.user_attrs) == ([1.0], {"slot": 0, "lease": 1})


def test_storage_that_stays_out_of_reach_is_an_error(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise StorageInternalError("gone")

    monkeypatch.setattr(optuna_compat, "PATIENCE_S", 0.05)
    monkeypatch.setattr(optuna_compat, "PAUSE_S", 0.01)
    monkeypatch.setattr(study._storage, "get_all_trials", fail)
    with pytest.raises(StorageInternalError, match="gone"):
        optuna_compat.trials(study)
