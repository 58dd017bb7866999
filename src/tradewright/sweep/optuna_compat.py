"""The private names of Optuna 5 that sweeps need, in one place and held by a contract test.

Optuna hands out a trial only together with its parameters and picks the next waiting one itself; slots need to know a
trial's attributes before its parameters are chosen, and to drop one without running it.

A storage that cannot be reached for a moment (its server restarts, a network drive hangs) is tried again for a while.
A write whose answer was lost is then found done by somebody else, which every caller must expect anyway.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

PATIENCE_S, PAUSE_S = 60.0, 0.25
"""How long, and how often, a storage is tried that cannot be reached."""
FIXED = "fixed_params"
"""Attribute of a queued trial, Optuna's own: the parameters that it must have."""

T = TypeVar("T")


def patiently(call: Callable[[], T]) -> T:
    """Return what a call on a storage returns, trying again while the storage cannot be reached."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except (StorageInternalError, OSError):
            if time.monotonic() > end:
                raise
        time.sleep(PAUSE_S)


def take(study: Study, trial: FrozenTrial) -> bool:
    """Claim a waiting trial for this process; False if another has it.

    No two processes get the same one, provided that the storage serialises writers (see ``storage.open_storage``).
    """
    return finish(study, trial, TrialState.RUNNING)


def begin(study: Study, trial: FrozenTrial) -> Trial:
    """Return a claimed trial for its parameters to be chosen by the study's present sampler."""
    storage = study._storage
    if isinstance(storage, _CachedStorage):  # which can only change what it has seen
        with storage._lock:
            if trial._trial_id not in storage._trial_id_to_study_id_and_number:
                storage._studies.setdefault(study._study_id, _StudyInfo())
                storage._add_trials_to_cache(study._study_id, [trial])
    return Trial(study, trial._trial_id)


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    """Return the value of a parameter: the one it was queued with, else the sampler's."""
    return trial._suggest(name, distribution)


def waiting_params(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters that a trial was queued with."""
    params: dict[str, Any] = trial.system_attrs.get(FIXED, {})
    return dict(params)


def finish(study: Study, trial: FrozenTrial | Trial, state: TrialState, values: Sequence[float] | None = None) -> bool:
    """End a trial; False if another process ended it first.

    Args:
        study: Its study.
        trial: The trial, of any process.
        state: COMPLETE, PRUNED or FAIL.
        values: One finite number per objective, of a COMPLETE trial.
    """
    try:
        return bool(
            patiently(lambda: study._storage.set_trial_state_values(trial._trial_id, state=state, values=values))
        )
    except UpdateFinishedTrialError:
        return False


def enqueue(study: Study, params: dict[str, Any], attributes: dict[str, Any]) -> None:
    """Queue a trial with given parameters and user attributes."""
    patiently(lambda: study.enqueue_trial(params, user_attrs=attributes))


def set_attribute(study: Study, trial: FrozenTrial | Trial, key: str, value: Any) -> bool:
    """Set a user attribute of a trial of any process; False if it has ended."""
    try:
        patiently(lambda: study._storage.set_trial_user_attr(trial._trial_id, key, value))
    except UpdateFinishedTrialError:
        return False
    return True


def trials(study: Study) -> list[FrozenTrial]:
    """Return all trials as they are in the storage now, in the order of their numbers; they must not be changed."""
    study._thread_local.cached_all_trials = None
    return patiently(lambda: study.get_trials(deepcopy=False))
