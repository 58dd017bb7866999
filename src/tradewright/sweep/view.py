"""``View``: the slots of a sweep as they are now, for whoever only looks."""

from typing import TYPE_CHECKING

from tradewright.sweep.parameters import Parameters
from tradewright.sweep.slots import Record, Slots, best_of, by_slot, count, owner_of, record

if TYPE_CHECKING:
    from optuna.study import Study


class View:
    """Reads the slots of a sweep.

    Args:
        study: See ``open_study``.
        parameters: What the slots vary.
        num_slots: Slots that there shall be.
    """

    def __init__(self, study: "Study", parameters: Parameters, num_slots: int) -> None:
        from tradewright.sweep import optuna_bulk

        self.study, self.num_slots = study, num_slots
        self._parameters = parameters
        self._trials = optuna_bulk.Trials(study)

    def counts(self) -> dict[str, int]:
        """Return slots by state (``missing``: to be queued yet), and how many attempts were ``lost``."""
        return count(self._slots(), self.num_slots)

    @property
    def is_finished(self) -> bool:
        """Whether every slot has ended, and nothing is left of dead workers."""
        slots = self._slots()
        if any(not trial.state.is_finished() for trials in slots.values() for trial in trials):
            return False
        return all(owner_of(slots.get(slot, [])) is not None for slot in range(self.num_slots))

    def records(self) -> list[Record]:
        """Return every slot that owns a trial, see ``slots.record``."""
        return [
            record(slot, trials, owner, self._parameters.point(owner.params))
            for slot, trials in sorted(self._slots().items())
            if (owner := owner_of(trials)) is not None
        ]

    def best(self) -> list[Record]:
        """Return the best done slot that fulfils its constraints, or the Pareto front, see ``slots.best_of``."""
        return best_of(self.records(), [way.name == "MAXIMIZE" for way in self.study.directions])

    def _slots(self) -> Slots:
        return by_slot(self._trials.read())

    def _missing(self) -> list[int]:
        slots = self._slots()
        return [slot for slot in range(self.num_slots) if owner_of(slots.get(slot, [])) is None]
