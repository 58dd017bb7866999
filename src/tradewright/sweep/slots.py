"""The trials of a study, read as slots: which trial a slot owns, what is lost, what came out, and what is best.

A trial is *live* unless it was *lost*, is a *duplicate* or was *replaced*; a slot owns its first live one. The first
two marks count only together with the state FAIL, which exactly one process can set. A trial that has ended cannot be
changed any more; it is replaced by a later one that names it, which comes to be in one step, name and all. Two workers
that replace one trial make a duplicate like any other.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

Record = dict[str, Any]
"""JSON values of one slot, see ``record``."""
Slots = dict[int, list["FrozenTrial"]]
"""Trials by slot, in the order of their numbers."""

SLOT, LEASE, ATTEMPT, LOST, DUPLICATE = "slot", "lease", "attempt", "lost", "duplicate"
RETURNED = "returned"
"""Beside ``LOST``: the worker gave the slot back in good order, which says nothing about the job."""
REPLACES = "replaces"
"""Number of the trial, ended, in whose place this one runs."""
REASON, OVERRIDES = "reason", "overrides"
OWN = (SLOT, LEASE, ATTEMPT, LOST, DUPLICATE, RETURNED, REPLACES, REASON, OVERRIDES)
"""User attributes of a trial that belong to the queue."""
STATES = {"WAITING": "waiting", "RUNNING": "running", "COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}


def by_slot(trials: Iterable["FrozenTrial"]) -> Slots:
    """Return the trials of every slot; trials that belong to none are left out."""
    slots: Slots = {}
    for trial in trials:
        if SLOT in trial.user_attrs:
            slots.setdefault(trial.user_attrs[SLOT], []).append(trial)
    return slots


def owner_of(trials: Sequence["FrozenTrial"]) -> "FrozenTrial | None":
    """Return the trial that a slot owns; None if it has to be queued."""
    if len(trials) == 1:  # nearly always
        return None if _is_dropped(trials[0]) else trials[0]
    gone = replaced(trials)
    return next((trial for trial in trials if trial.number not in gone and not _is_dropped(trial)), None)


def replaced(trials: Sequence["FrozenTrial"]) -> set[int]:
    """Return the numbers of the trials of a slot that had ended and were queued again."""
    return {trial.user_attrs[REPLACES] for trial in trials if REPLACES in trial.user_attrs}


def is_lost(trial: "FrozenTrial") -> bool:
    """Return whether a trial was an attempt whose worker died or gave it back."""
    return _is_dropped(trial) and not trial.user_attrs.get(DUPLICATE)


def _is_dropped(trial: "FrozenTrial") -> bool:
    return trial.state.name == "FAIL" and bool(trial.user_attrs.get(LOST) or trial.user_attrs.get(DUPLICATE))


def num_lost(trials: Sequence["FrozenTrial"]) -> int:
    """Return how many attempts of a slot were lost."""
    return sum(is_lost(trial) for trial in trials)


def num_losses(trials: Sequence["FrozenTrial"]) -> int:
    """Return how many attempts a slot has lost with their worker since a command last queued it."""
    begin = max(replaced(trials), default=-1)
    return sum(is_lost(one) and not one.user_attrs.get(RETURNED) and one.number > begin for one in trials)


def count(slots: Slots, num_slots: int) -> dict[str, int]:
    """Return slots by state (``missing``: to be queued yet), and how many attempts were ``lost``."""
    counts = dict.fromkeys(("missing", *STATES.values(), LOST), 0)
    counts["missing"] = sum(owner_of(slots.get(slot, [])) is None for slot in range(num_slots))
    for trials in slots.values():
        owner = owner_of(trials)
        if owner is not None:
            counts[STATES[owner.state.name]] += 1
        counts[LOST] += num_lost(trials)
    return counts


def record(slot: int, trials: Sequence["FrozenTrial"], trial: "FrozenTrial", point: Mapping[str, str]) -> Record:
    """Return what is known of a slot.

    Args:
        slot: Its number.
        trials: All its trials.
        trial: The one it owns.
        point: Texts of what varies.
    """
    attributes = trial.user_attrs
    state = STATES[trial.state.name]
    return {
        "slot": slot,
        "trial": trial.number,
        "state": state,
        "values": trial.values if state == "done" else None,
        "point": dict(point),
        "overrides": attributes.get(OVERRIDES, []),
        "reason": "" if state == "done" else attributes.get(REASON, ""),
        "constraints": dict(trial.constraints),
        "num_lost": num_lost(trials),
        "num_repeats": len(replaced(trials)),
        "attributes": {key: value for key, value in attributes.items() if key not in OWN},
    }


def best_of(records: Sequence[Record], is_maximized: Sequence[bool]) -> list[Record]:
    """Return the best done slot that fulfils its constraints; of several objectives every one on the Pareto front.

    Args:
        records: Of all slots.
        is_maximized: Per objective; a smaller value of any other is better.

    Returns:
        In the order of the records, of equal ones with one objective the first; empty if there is none.
    """
    signs = [-1.0 if flag else 1.0 for flag in is_maximized]
    done = [
        ([sign * value for sign, value in zip(signs, one["values"], strict=True)], number, one)
        for number, one in enumerate(records)
        if one["state"] == "done" and all(value <= 0 for value in one["constraints"].values())
    ]
    front: list[tuple[list[float], int, Record]] = []
    for entry in sorted(done, key=lambda entry: entry[:2]):  # what dominates an entry comes before it
        if not any(_dominates(other[0], entry[0]) for other in front):
            front.append(entry)
    ordered = [one for _, _, one in sorted(front, key=lambda entry: entry[1])]
    return ordered[:1] if len(signs) == 1 else ordered


def _dominates(losses: Sequence[float], others: Sequence[float]) -> bool:
    """Whether losses are nowhere worse and somewhere better than others."""
    return losses != others and all(a <= b for a, b in zip(losses, others, strict=True))
