"""The private names of Optuna 5 that sweeps need, in one place and held by a contract test.

Optuna hands out a trial only together with its parameters and picks the next waiting one itself; slots need to know a
trial's attributes before its parameters are chosen, and to drop one without running it.
"""

from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState


def pop_waiting(study: Study) -> FrozenTrial | None:
    """Claim the oldest waiting trial for this process; None if there is none.

    No two processes get the same one, provided that the storage serialises writers (see ``storage.open_storage``).
    """
    trial_id = study._pop_waiting_trial_id()
    return None if trial_id is None else study._storage.get_trial(trial_id)


def begin(study: Study, trial: FrozenTrial) -> Trial:
    """Return a claimed trial for its parameters to be chosen by the study's present sampler."""
    return Trial(study, trial._trial_id)


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    """Return the value of a parameter: the one it was queued with, else the sampler's."""
    return trial._suggest(name, distribution)


def waiting_params(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters that a trial was queued with."""
    params: dict[str, Any] = trial.system_attrs.get("fixed_params", {})
    return dict(params)


def finish(study: Study, trial: FrozenTrial | Trial, state: TrialState, values: Sequence[float] | None = None) -> bool:
    """End a trial; False if another process ended it first.

    Args:
        study: Its study.
        trial: The trial, of any process.
        state: COMPLETE, PRUNED or FAIL.
        values: One finite number per objective, of a COMPLETE trial.
    """
    from optuna.exceptions import UpdateFinishedTrialError

    try:
        return bool(study._storage.set_trial_state_values(trial._trial_id, state=state, values=values))
    except UpdateFinishedTrialError:
        return False


def set_attribute(study: Study, trial: FrozenTrial | Trial, key: str, value: Any) -> bool:
    """Set a user attribute of a trial of any process; False if it has ended."""
    from optuna.exceptions import UpdateFinishedTrialError

    try:
        study._storage.set_trial_user_attr(trial._trial_id, key, value)
    except UpdateFinishedTrialError:
        return False
    return True


def trials(study: Study) -> list[FrozenTrial]:
    """Return all trials as they are in the storage now, in the order of their numbers; they must not be changed."""
    study._thread_local.cached_all_trials = None
    found: list[FrozenTrial] = study.get_trials(deepcopy=False)
    return found
