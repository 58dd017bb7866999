"""Many trials at once: what is queued and read in batches is what Optuna itself would have queued and read."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState
from queue_cases import claim
from queue_workers import make_queue
from test_optuna_compat import second

from tradewright.sweep import optuna_bulk, optuna_compat
from tradewright.sweep.storage import open_storage


@pytest.fixture(params=["sqlite", "journal"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> optuna.Study:
    url = f"sqlite:///{tmp_path}/queue.db" if request.param == "sqlite" else f"journal://{tmp_path}/queue.log"
    return optuna.create_study(storage=open_storage(url), study_name="s", sampler=RandomSampler(seed=0))


def entries(first: int, num: int) -> list[optuna_bulk.Entry]:
    return [({"x": slot / 100, "kind": None}, {"slot": slot, "attempt": 0}) for slot in range(first, first + num)]


def facts(trial: optuna.trial.FrozenTrial) -> tuple[Any, ...]:
    return (trial.number, trial.state, trial.user_attrs, trial.system_attrs, trial.params, trial.values)


def test_batch_is_what_optuna_queues_one_by_one(study: optuna.Study, tmp_path: Path) -> None:
    peer = optuna.create_study(sampler=RandomSampler(seed=0))
    for params, attributes in entries(0, 7):
        peer.enqueue_trial(params, user_attrs=attributes)
    study.enqueue_trial(*entries(0, 1)[0][:1], user_attrs=entries(0, 1)[0][1])
    assert optuna_bulk.enqueue(study, entries(1, 4), 1)
    assert optuna_bulk.enqueue(study, entries(5, 2), 5)
    expected = [facts(one) for one in peer.get_trials()]
    assert [facts(one) for one in study.get_trials()] == expected
    assert [facts(one) for one in second(study).get_trials()] == expected
    study.enqueue_trial({}, user_attrs={"slot": 7})
    assert study.get_trials()[-1].number == 7


def test_batch_of_one_who_has_not_seen_the_newest_trials_is_refused_whole(study: optuna.Study) -> None:
    other = second(study)
    assert optuna_bulk.enqueue(study, entries(0, 3), 0)
    assert not optuna_bulk.enqueue(other, entries(0, 3), 0)
    assert [one.user_attrs["slot"] for one in other.get_trials()] == [0, 1, 2]


def test_death_within_a_batch_leaves_none_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path}/queue.db"), study_name="s")
    with monkeypatch.context() as patch:
        patch.setattr(optuna_bulk, "_attribute", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            optuna_bulk.enqueue(study, entries(0, 3), 0)
    assert second(study).get_trials() == []
    assert optuna_bulk.enqueue(study, entries(0, 3), 0)


@pytest.mark.parametrize("seed", range(3))
def test_reader_sees_what_optuna_reads_whatever_happened(study: optuna.Study, seed: int) -> None:
    generator, other = random.Random(seed), second(study)
    reader = optuna_bulk.Trials(study)
    for step in range(40):
        trials = other.get_trials()
        waiting = [one for one in trials if one.state is TrialState.WAITING]
        running = [one for one in trials if one.state is TrialState.RUNNING]
        match generator.randrange(4):
            case 0:
                optuna_bulk.enqueue(other, entries(len(trials), generator.randrange(1, 4)), len(trials))
            case 1 if waiting:
                optuna_compat.take(other, generator.choice(waiting))
            case 2 if running:
                optuna_compat.set_attribute(other, generator.choice(running), "lease", step)
            case 3 if running:
                state, values = generator.choice([(TrialState.COMPLETE, [1.0 * step]), (TrialState.FAIL, None)])
                optuna_compat.finish(other, generator.choice(running), state, values)
        if generator.random() < 0.5:
            assert [facts(one) for one in reader.read()] == [facts(one) for one in other.get_trials()]
    assert len(reader.read()) > 5


@contextmanager
def counted(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], dict[str, int]]]:
    """Count transactions of a database, and trials that were built from its rows."""
    import sqlalchemy

    backend: Any = study._storage._backend  # type: ignore[attr-defined]
    found = {"transactions": 0, "trials": 0}
    build = backend._build_frozen_trial_from_trial_model

    def begins(_: Any) -> None:
        found["transactions"] += 1

    def built(model: Any) -> Any:
        found["trials"] += 1
        return build(model)

    sqlalchemy.event.listen(backend.engine, "begin", begins)
    monkeypatch.setattr(backend, "_build_frozen_trial_from_trial_model", built)
    yield lambda: dict(found)
    sqlalchemy.event.remove(backend.engine, "begin", begins)


def test_thousands_of_slots_are_queued_in_few_transactions_and_a_job_reads_few_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradewright.sweep.queue.FILL_PAUSE_S", 0.001)
    queue = make_queue(f"sqlite:///{tmp_path}/queue.db", 2500)
    with counted(queue.study, monkeypatch) as so_far:
        queue.fill()
        assert so_far()["transactions"] < 20
        assert queue.counts()["waiting"] == 2500
        claim(queue)
        before = so_far()["trials"]
        for _ in range(5):
            one = claim(queue)
            assert queue.tell(one, [1.0], "done")
            assert queue.counts()["running"] == 1
        assert so_far()["trials"] - before < 40
    assert [trial.user_attrs["slot"] for trial in queue.study.get_trials()] == list(range(2500))
