"""Open the study that is a sweep's queue, and refuse one that was begun for something else."""

import json
import random
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradewright.errors import ConfigError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study

DESCRIPTION = "description"
BARE = ("configuration", "space")
"""Parts of a description whose keys are keys of the command line; the keys of others are shown with the part's name."""
ABSENT = "absent"
WAIT_S, PAUSE_S = 3.0, 0.05
"""How long to wait for the description by the worker that created the study, before it counts as dead."""
MAX_LINES = 30


def open_study(
    storage: "BaseStorage", name: str, directions: Sequence[str], description: Mapping[str, Mapping[str, Any]]
) -> "Study":
    """Create a study or load the one that another worker, or the same command earlier, has created.

    Args:
        storage: See ``open_storage``.
        name: Unique in the storage.
        directions: ``maximize`` or ``minimize`` per objective.
        description: What the sweep is known by, JSON values by part and key; its number of jobs is no part of it.

    Raises:
        ConfigError: The study was begun with another description.
    """
    import optuna
    from optuna.exceptions import DuplicatedStudyError
    from optuna.pruners import NopPruner
    from optuna.samplers import RandomSampler

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ours = json.loads(json.dumps({"directions": list(directions), **description}))
    ways: Any = directions
    how: dict[str, Any] = {"sampler": RandomSampler(), "pruner": NopPruner()}
    try:
        study = optuna.create_study(storage=storage, study_name=name, directions=list(ways), **how)
    except DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=name, **how)
        theirs = _wait_for_description(study)
    else:
        theirs = study.user_attrs.get(DESCRIPTION)
    if theirs is None:
        study.set_user_attr(DESCRIPTION, ours)
        theirs = study.user_attrs[DESCRIPTION]
    lines = difference(theirs, ours)
    if lines:
        raise ConfigError("\n".join([f"sweep {name} was begun with other settings:", *lines, _advice()]))
    return study


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return one line per key whose value differs between two descriptions.

    >>> difference({"space": {"lora.r": "integers 4 to 64"}}, {"space": {"lora.r": "choice(8, 16)"}})
    ['lora.r: was integers 4 to 64, is now choice(8, 16)']
    """
    old, new = _lines(before), _lines(now)
    keys = [key for key in dict.fromkeys((*old, *new)) if old.get(key, ABSENT) != new.get(key, ABSENT)]
    lines = [f"{key}: was {old.get(key, ABSENT)}, is now {new.get(key, ABSENT)}" for key in keys]
    return [*lines[:MAX_LINES], f"and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else lines


def _lines(description: Mapping[str, Any]) -> dict[str, str]:
    """Return the value of every key as text; a key that varies is shown as such, whatever its fixed value."""
    lines: dict[str, str] = {}
    for part, values in description.items():
        _flatten("" if part in BARE else part, values, lines)
    return lines


def _flatten(key: str, value: Any, lines: dict[str, str]) -> None:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            _flatten(f"{key}.{name}" if key else str(name), inner, lines)
    elif key:
        lines[key] = value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _advice() -> str:
    return "give the new one a sweep.name of its own, or repeat the old settings to continue the old one"


def _wait_for_description(study: "Study") -> dict[str, Any] | None:
    """Return what the study was created with; None if whoever created it died before telling."""
    end = time.monotonic() + WAIT_S * random.uniform(1.0, 1.5)
    while True:
        known: dict[str, Any] | None = study.user_attrs.get(DESCRIPTION)
        if known is not None or time.monotonic() > end:
            return known
        time.sleep(PAUSE_S)
