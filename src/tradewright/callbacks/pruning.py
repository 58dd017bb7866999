"""Reports a training to its sweep after every validation and stops it where the sweep's pruner says so.

The stop is an ordinary end of the training: loggers and checkpoints finish. Only process 0 talks to the queue; all
processes stop at the same epoch.
"""

import logging
import math
import os
from typing import TYPE_CHECKING, Any

import lightning
from lightning.pytorch.callbacks import Callback

from tradewright.config.build import build
from tradewright.distributed import from_first, rank
from tradewright.errors import PrunedError, RunError, suggest
from tradewright.sweep.job import STORAGE_VARIABLE, Pruning
from tradewright.sweep.storage import open_storage, without_secret

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study

log = logging.getLogger(__name__)


class PruningCallback(Callback):
    """Reports ``monitor`` of epoch k as step k of the trial; an undefined figure is not reported.

    Reported figures travel in the checkpoint. A run that continues elsewhere belongs to a new trial of the study,
    which is told the earlier figures too; a trial is told no step twice.

    Args:
        trial: Where to report.
    """

    def __init__(self, trial: Pruning) -> None:
        self.trial = trial
        self.values: dict[int, float] = {}
        """Figures by epoch."""
        self.reason = ""
        """Why the training was stopped; empty where it was not."""
        self._connection: _Connection | None = None

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Train no further where the continued run had been stopped already."""
        if self.reason:
            trainer.should_stop = True

    def on_validation_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Report, and stop every process if the pruner says so.

        Raises:
            RunError: No such metric is logged, or the trial has ended in the queue.
        """
        if trainer.sanity_checking:
            return
        monitor, epoch = self.trial.monitor, trainer.current_epoch
        if monitor not in trainer.callback_metrics:
            logged = [name for name in trainer.callback_metrics if name.startswith("validation/")]
            raise RunError(f"sweep.objective: {monitor!r} is not logged{suggest(monitor, logged)}")
        value = float(trainer.callback_metrics[monitor])
        if math.isfinite(value):
            self.values[epoch] = value
            is_behind = from_first(self._report() if rank() == 0 else None)
            if is_behind:
                self.reason = f"pruned in epoch {epoch}: {monitor} {value:.4g} is behind other jobs of the sweep"
                log.info("%s", self.reason)
                trainer.should_stop = True

    def teardown(self, trainer: lightning.Trainer, module: Any, stage: str) -> None:
        """Close the connection to the queue."""
        self._disconnect()

    def raise_if_pruned(self) -> None:
        """End the run as pruned, once its training has ended.

        Raises:
            PrunedError: The training was stopped.
        """
        if self.reason:
            raise PrunedError(self.reason)

    def state_dict(self) -> dict[str, Any]:
        """Return the reported figures and whether the training was stopped."""
        return {"values": dict(self.values), "reason": self.reason}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.values, self.reason = dict(state_dict["values"]), state_dict["reason"]

    def _report(self) -> bool:
        """Tell the queue what it does not know yet; return whether the pruner wants the training to stop.

        A queue that cannot be reached is told with the next validation: a training does not end for it.

        Raises:
            RunError: The trial has ended: another worker has taken its job over; or nothing says where the queue is.
        """
        from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
        from sqlalchemy.exc import SQLAlchemyError

        url = os.environ.get(STORAGE_VARIABLE)
        if not url:
            raise RunError(f"{STORAGE_VARIABLE}: must hold the URL of the sweep's queue where a job can be pruned")
        try:
            if self._connection is None:
                self._connection = _Connection(self.trial, url)
            return self._connection.report(self.values)
        except UpdateFinishedTrialError:
            raise RunError(
                f"trial {self.trial.trial} of {self.trial.study} has ended: another worker took it over"
            ) from None
        except (StorageInternalError, SQLAlchemyError, OSError, RunError) as error:
            text = without_secret(" ".join(str(error).split()))
            log.warning("the sweep's queue cannot be reached, nothing is pruned this epoch: %s", text)
            self._disconnect()
            return False

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Connection:
    """One trial of the study, as its storage has it."""

    def __init__(self, trial: Pruning, url: str) -> None:
        import optuna

        self.storage: BaseStorage = open_storage(url)
        pruner = build(trial.pruner, key="pruner").make()
        sampler = optuna.samplers.RandomSampler()  # never asked; the default would be made for nothing
        self.study: Study = optuna.load_study(
            study_name=trial.study, storage=self.storage, sampler=sampler, pruner=pruner
        )
        study_id = self.storage.get_study_id_from_name(trial.study)
        self.trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, trial.trial)

    def report(self, values: dict[int, float]) -> bool:
        """Tell the trial the steps that it lacks; return whether it should be pruned."""
        known = self.storage.get_trial(self.trial_id).intermediate_values
        for step, value in sorted(values.items()):
            if step not in known:
                self.storage.set_trial_intermediate_value(self.trial_id, step, value)
        return bool(self.study.pruner.prune(self.study, self.storage.get_trial(self.trial_id)))

    def close(self) -> None:
        """Close the connections that the storage holds open."""
        engine = getattr(self.storage, "engine", None)
        self.storage.remove_session()
        if engine is not None:
            engine.dispose()
