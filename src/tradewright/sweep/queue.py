"""``Queue``: the slots of a sweep as trials of an Optuna study, for any number of workers on any number of machines.

A slot 0..n-1 is one job. It owns a trial: its first *live* one, where a trial is live unless it was *lost* (its worker
died or gave it back), a *duplicate* (two workers queued a slot at the same moment) or *replaced* (it had ended and a
command queued the slot again). The first two marks count only together with the state FAIL, which exactly one process
can set, and what replaces a trial comes to be in one step, so that every judgement hangs on one atomic step and a
worker may be killed between any two writes: what it left half done, the next one finishes.

A worker's calls are ``fill`` (queue the slots that own no trial), ``claim``, ``beat``, ``tell`` or ``release``, and
``reclaim`` (take over what dead workers hold), until ``is_finished``; a command begins with ``repeat`` where something
that has ended is to be run again.
"""

import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tradewright.sweep.claim import Claim as Claim
from tradewright.sweep.claim import Verdict, fault
from tradewright.sweep.lease import Stale, Worker
from tradewright.sweep.parameters import Parameters
from tradewright.sweep.slots import (
    ATTEMPT,
    DUPLICATE,
    LEASE,
    LOST,
    OVERRIDES,
    REASON,
    REPLACES,
    RETURNED,
    SLOT,
    Record,
    Slots,
    by_slot,
    num_losses,
    num_lost,
    owner_of,
    replaced,
)
from tradewright.sweep.space import Space
from tradewright.sweep.study import open_study as open_study
from tradewright.sweep.view import View

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

FILL_PAUSE_S = 0.2
"""How long a worker watches whether another is filling the queue, before it does so itself."""
MAX_MISSES = 4
"""Waiting trials that others may take before our eyes, one after another, until we look again what waits."""


class Queue(View):
    """The slots of a sweep.

    Args:
        study: See ``open_study``.
        space: What varies.
        num_slots: Slots that there shall be; more than before adds the difference, fewer takes none away.
        points: Texts by name of the dimension per slot, of a grid; None: the sampler chooses.
        sampler_for: Returns the sampler of a slot; None where a grid leaves nothing to choose.
        worker: This process.
        grace_s: Seconds without a beat after which another worker counts as dead.

    Raises:
        ValueError: There are fewer points than slots.
    """

    def __init__(
        self,
        study: "Study",
        space: Space,
        *,
        num_slots: int,
        points: list[dict[str, str]] | None,
        sampler_for: "Callable[[int], BaseSampler | None]",
        worker: Worker,
        grace_s: float,
    ) -> None:
        if points is not None and len(points) < num_slots:
            raise ValueError(f"points must be one per slot, were {len(points)} for {num_slots} slots")
        super().__init__(study, Parameters(space, points), num_slots)
        self.space, self.points, self.sampler_for, self.worker = space, points, sampler_for, worker
        self._stale = Stale(worker, grace_s)
        self._held: set[int] = set()
        self._num_beats = 0
        self._waiting: deque[FrozenTrial] = deque()
        self._known: Slots = {}

    def fill(self) -> None:
        """Queue every slot that owns no trial, unless another worker is just doing so."""
        missing = self._missing()
        while missing:
            time.sleep(random.uniform(0.5, 1.0) * FILL_PAUSE_S)
            left = self._missing()
            if len(left) == len(missing):
                left = self._queue_some()
            missing = left

    def claim(self) -> Claim | None:
        """Return a slot to run, with its parameters; None if none waits now.

        What waits is looked up once for many claims: the look need not be fresh to tell a duplicate, for no trial comes
        to life again. A slot whose parameters cannot be chosen fails with the reason, and the next one is claimed.
        """
        from tradewright.sweep import optuna_compat

        num_misses, is_fresh = 0, False
        while self._waiting or not is_fresh:
            if not self._waiting or num_misses > MAX_MISSES:
                num_misses, is_fresh = 0, True
                trials = self._trials.read()
                self._known = by_slot(trials)
                self._waiting = deque(trial for trial in trials if trial.state.name == "WAITING")
                continue
            trial = self._waiting.popleft()
            if not optuna_compat.take(self.study, trial):
                num_misses += 1
                continue
            claim = self._take(trial, self._known)
            if claim is not None:
                return claim
            is_fresh = False  # a slot may have been queued again
        return None

    def beat(self, claims: Sequence[Claim]) -> list[Claim]:
        """Renew the leases of claims; return those that another worker has taken over meanwhile."""
        self._num_beats += 1
        return [claim for claim in claims if not self._set(claim.trial, LEASE, self.worker.lease(self._num_beats))]

    def repeat(self, records: Iterable[Record]) -> None:
        """Queue slots that have ended again, with the same parameters.

        Args:
            records: Of the slots; one that another worker has queued again since is left to it.
        """
        known = self._slots()
        for one in records:
            trials = known[one["slot"]]
            owner = owner_of(trials)
            if owner is not None and owner.number == one["trial"] and owner.state.is_finished():
                self._queue(one["slot"], trials, again=owner.number)

    def release(self, claim: Claim, reason: str, *, is_lost: bool = False) -> bool:
        """Give a slot back to be run again; False if another worker has taken it over already.

        Args:
            claim: The slot.
            reason: Why, one line.
            is_lost: The machine took the job away: that counts as an attempt, an interruption by the user does not.
        """
        self._held.discard(claim.trial.number)
        if not is_lost and not self._set(claim.trial, RETURNED, True):
            return False
        if not self._drop(claim.trial, LOST, reason):
            return False
        self._queue_if_missing(claim.slot)
        return True

    def reclaim(self) -> list[int]:
        """Queue the slots of dead workers again; return those that this call took from them."""
        slots = self._slots()
        running = {
            trial.number: trial
            for trials in slots.values()
            for trial in trials
            if trial.state.name == "RUNNING" and trial.number not in self._held
        }
        orphans = {number for number, trial in running.items() if self._is_own(trial)}
        stale = self._stale.among({number: trial.user_attrs.get(LEASE) for number, trial in running.items()})
        taken = []
        for number in sorted(stale | orphans):
            trial = running[number]
            slot = trial.user_attrs[SLOT]
            is_owner = owner_of(slots[slot]) is trial
            if self._drop(trial, LOST if is_owner else DUPLICATE, "its worker ended" if is_owner else "queued twice"):
                self._queue_if_missing(slot)
                taken += [slot] if is_owner else []
        return taken

    def tell(
        self,
        claim: Claim,
        values: Sequence[float] | None,
        state: Verdict,
        reason: str = "",
        constraints: Mapping[str, float] | None = None,
    ) -> bool:
        """End a slot; False if another worker has taken it over, whose word then counts.

        Args:
            claim: The slot.
            values: One number per objective where it is done; missing or not finite makes it failed.
            state: What the job says.
            reason: One line, of what is not done.
            constraints: Numbers by name, fulfilled where <= 0; one that is not finite makes it failed.
        """
        from optuna.trial import TrialState

        from tradewright.sweep import optuna_compat

        numbers = [float(value) for value in values or ()]
        bounds = {name: float(value) for name, value in (constraints or {}).items()}
        if state == "done":
            why = fault(numbers, len(self.study.directions), bounds)
            if why:
                state, reason = "failed", why if not reason else f"{reason} ({why})"
        self._held.discard(claim.trial.number)
        if not self._note(claim.trial, state, reason, bounds):
            return False
        if state == "done":
            return optuna_compat.finish(self.study, claim.trial, TrialState.COMPLETE, numbers)
        return optuna_compat.finish(
            self.study, claim.trial, TrialState.PRUNED if state == "pruned" else TrialState.FAIL
        )

    def _queue_some(self) -> list[int]:
        """Queue missing slots until all are or another worker is seen to do the same; return what is missing then."""
        from tradewright.sweep import optuna_bulk

        trials = self._trials.read()
        known, num_known = by_slot(trials), len(trials)
        missing = [slot for slot in range(self.num_slots) if owner_of(known.get(slot, [])) is None]
        for first in range(0, len(missing), optuna_bulk.BATCH):
            batch = missing[first : first + optuna_bulk.BATCH]
            entries = [self._entry(slot, known.get(slot, [])) for slot in batch]
            if not optuna_bulk.enqueue(self.study, entries, num_known):
                break
            num_known += len(batch)
        return self._missing()

    def _queue_if_missing(self, slot: int) -> None:
        trials = self._slots()[slot]
        if owner_of(trials) is None:
            self._queue(slot, trials)

    def _queue(self, slot: int, trials: Sequence["FrozenTrial"], again: int | None = None) -> None:
        from tradewright.sweep import optuna_compat

        optuna_compat.enqueue(self.study, *self._entry(slot, trials, again))

    def _entry(
        self, slot: int, trials: Sequence["FrozenTrial"], again: int | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return parameters and attributes of a slot's next trial.

        Args:
            slot: Its number.
            trials: Its trials so far.
            again: Number of the one that it replaces.
        """
        attributes = {SLOT: slot, ATTEMPT: _num_before(trials) + (again is not None)}
        if again is not None:
            attributes[REPLACES] = again
        return self._parameters.bound(slot, trials, again), attributes

    def _take(self, trial: "FrozenTrial", slots: Slots) -> Claim | None:
        """Make a trial that was just taken ours; None if it is a duplicate or cannot get its parameters.

        Args:
            trial: As it was read before it was taken.
            slots: All trials at that moment; that is enough to know a duplicate, for no trial comes to life again.
        """
        from optuna.exceptions import StorageInternalError
        from optuna.trial import TrialState

        from tradewright.sweep import optuna_compat

        slot = trial.user_attrs.get(SLOT)
        if slot is None:
            self._set(trial, REASON, "belongs to no slot of the sweep")
            optuna_compat.finish(self.study, trial, TrialState.FAIL)
            return None
        if not self._set(trial, LEASE, self.worker.lease(self._num_beats)):
            return None
        trials = slots[slot]
        owner, params = owner_of(trials), self._parameters.bound(slot, trials)
        if owner is None or owner.number != trial.number or params != optuna_compat.waiting_params(trial):
            self._drop(trial, DUPLICATE, "queued twice")
            self._queue_if_missing(slot)
            return None
        try:
            return self._choose(slot, trial, trials)
        except StorageInternalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a sampler raises is the slot's failure
            self._set(trial, REASON, f"its parameters could not be chosen: {type(error).__name__}: {error}")
            optuna_compat.finish(self.study, trial, TrialState.FAIL)
            return None

    def _choose(self, slot: int, popped: "FrozenTrial", trials: Sequence["FrozenTrial"]) -> Claim | None:
        """Choose the parameters of a slot; None if another worker has taken it over."""
        from optuna.exceptions import UpdateFinishedTrialError

        from tradewright.sweep import optuna_compat

        try:
            with self._sampler(slot):
                trial = optuna_compat.begin(self.study, popped)
                point = self._parameters.choose(trial)
        except UpdateFinishedTrialError:
            return None
        overrides = self.space.overrides(point)
        if not self._set(trial, OVERRIDES, overrides):
            return None
        self._held.add(trial.number)
        return Claim(
            slot, trial, point, overrides, _num_before(trials), num_losses(trials), num_repeats=len(replaced(trials))
        )

    @contextmanager
    def _sampler(self, slot: int) -> Iterator[None]:
        """Give the study the sampler of a slot for a moment."""
        before, sampler = self.study.sampler, self.sampler_for(slot)
        self.study.sampler = before if sampler is None else sampler
        try:
            yield
        finally:
            self.study.sampler = before

    def _set(self, trial: "FrozenTrial | Trial", key: str, value: Any) -> bool:
        from tradewright.sweep import optuna_compat

        return optuna_compat.set_attribute(self.study, trial, key, value)

    def _drop(self, trial: "FrozenTrial | Trial", mark: str, reason: str) -> bool:
        """Mark a trial as lost or duplicate and end it; False if it had ended."""
        from optuna.trial import TrialState

        from tradewright.sweep import optuna_compat

        if not (self._set(trial, REASON, reason) and self._set(trial, mark, True)):
            return False
        return optuna_compat.finish(self.study, trial, TrialState.FAIL)

    def _note(self, trial: "Trial", state: Verdict, reason: str, bounds: Mapping[str, float]) -> bool:
        """Write what must be known of a trial before it ends, for afterwards nothing can; False if it has ended."""
        from optuna.exceptions import UpdateFinishedTrialError

        if reason and not self._set(trial, REASON, reason):
            return False
        if state == "failed" and not self._set(trial, LOST, False):  # a slow worker's slot may be marked already
            return False
        known = trial.constraints
        try:
            for name, value in bounds.items():
                if name not in known and math.isfinite(value):
                    trial.set_constraint(name, value)
        except UpdateFinishedTrialError:
            return False
        return True

    def _is_own(self, trial: "FrozenTrial") -> bool:
        """Whether this process claimed the trial and then failed before it could return it."""
        lease = trial.user_attrs.get(LEASE)
        return lease is not None and lease.get("worker") == self.worker.uid


def _num_before(trials: Sequence["FrozenTrial"]) -> int:
    """Return how many attempts of a slot were lost or replaced."""
    return num_lost(trials) + len(replaced(trials))
