"""Many trials of Optuna 5 at once: queued in one transaction, and read again only where something has changed.

Optuna queues one trial at a time, counting all earlier ones, and reads every unfinished one with all its attributes
whenever it looks: ten thousand waiting slots would take minutes and then seconds per look. Here a batch is one
transaction (of a journal, one write of whole lines), so that a death leaves all of it or none (of a journal, whole
trials). A waiting trial does not change before it is taken, and one that has ended never does: only those that run, or
whose state is another than before, are read anew. Private names of Optuna, held by the contract test.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from optuna.storages import JournalStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import get_lock_file
from optuna.storages.journal._storage import JournalOperation
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tradewright.sweep import optuna_compat

Entry = tuple[dict[str, Any], dict[str, Any]]
"""Parameters and user attributes of a trial to be queued."""
BATCH = 1000
"""Trials per transaction: others wait for a fraction of a second."""


def enqueue(study: Study, entries: Sequence[Entry], num_known: int) -> bool:
    """Queue trials; False, with none of them queued, if somebody else has added trials meanwhile.

    Args:
        study: Their study.
        entries: At most ``BATCH``.
        num_known: Trials that there were when the caller looked.
    """
    storage = study._storage
    if isinstance(storage, _CachedStorage):
        backend: RDBStorage = storage._backend
        return optuna_compat.patiently(lambda: _insert(backend, study._study_id, entries, num_known))
    if isinstance(storage, JournalStorage):
        return optuna_compat.patiently(lambda: _append(storage, study._study_id, entries, num_known))
    for params, attributes in entries:
        optuna_compat.enqueue(study, params, attributes)
    return True


def _insert(backend: RDBStorage, study_id: int, entries: Sequence[Entry], num_known: int) -> bool:
    from sqlalchemy import func, insert, select

    with _create_scoped_session(backend.scoped_session) as session:
        models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)  # one writer at a time
        mine = models.TrialModel.study_id == study_id
        if session.query(func.count(models.TrialModel.trial_id)).filter(mine).scalar() != num_known:
            return False
        table = models.TrialModel.__table__
        rows = [
            {"study_id": study_id, "number": number, "state": TrialState.WAITING}
            for number in range(num_known, num_known + len(entries))
        ]
        session.execute(insert(table), rows)
        ids = select(table.c.trial_id).where(table.c.study_id == study_id, table.c.number >= num_known)
        found = session.execute(ids.order_by(table.c.number)).scalars().all()
        user, system = [], []
        for trial_id, (params, attributes) in zip(found, entries, strict=True):
            user += [_attribute(trial_id, key, value) for key, value in attributes.items()]
            system.append(_attribute(trial_id, optuna_compat.FIXED, params))
        session.execute(insert(models.TrialUserAttributeModel.__table__), user)
        session.execute(insert(models.TrialSystemAttributeModel.__table__), system)
    return True


def _attribute(trial_id: int, key: str, value: Any) -> dict[str, Any]:
    return {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}


def _append(storage: JournalStorage, study_id: int, entries: Sequence[Entry], num_known: int) -> bool:
    common = {
        "op_code": JournalOperation.CREATE_TRIAL,
        "worker_id": storage._replay_result.worker_id,
        "study_id": study_id,
        "datetime_start": None,
        "state": TrialState.WAITING,
        "value": None,
        "values": None,
        "distributions": {},
        "params": {},
        "intermediate_values": {},
    }
    logs = [
        {**common, "user_attrs": attributes, "system_attrs": {optuna_compat.FIXED: params}}
        for params, attributes in entries
    ]
    backend = storage._backend
    assert isinstance(backend, JournalFileBackend)
    with storage._thread_lock, get_lock_file(backend._lock):  # which the one who holds it may take again
        storage._sync_with_backend()
        if len(storage._replay_result.get_all_trials(study_id, None)) != num_known:
            return False
        backend.append_logs(logs)
        storage._sync_with_backend()
    return True


class Trials:
    """The trials of a study, as they are in the storage at each look.

    Args:
        study: The study.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._known: dict[int, FrozenTrial] = {}

    def read(self) -> list[FrozenTrial]:
        """Return all trials in the order of their numbers; they must not be changed.

        A trial may be newer than another: what is read of one may have come to be after another was looked at.
        """
        storage = self.study._storage
        if not isinstance(storage, _CachedStorage):
            return optuna_compat.trials(self.study)
        backend: RDBStorage = storage._backend
        look: Callable[[], list[FrozenTrial]] = lambda: self._changed(backend)  # noqa: E731 - typed
        for trial in optuna_compat.patiently(look):
            self._known[trial._trial_id] = trial
        return sorted(self._known.values(), key=lambda trial: trial.number)

    def _changed(self, backend: RDBStorage) -> list[FrozenTrial]:
        """Return the trials that are new, run, or have another state than before."""
        known, study_id = self._known, self.study._study_id
        newest = max(known, default=-1)
        with _create_scoped_session(backend.scoped_session) as session:
            model = models.TrialModel
            rows = session.query(model.trial_id, model.state).filter(model.study_id == study_id).all()
        changed = {
            number
            for number, state in rows
            if number not in known or state is TrialState.RUNNING or known[number].state is not state
        }
        return backend._get_trials(study_id, None, changed, newest) if changed else []
