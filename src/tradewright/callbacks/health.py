"""Watches training for what goes wrong silently: non-finite losses stop the run, the rest is a checklist in the log."""

import logging
import math
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from tradewright.errors import RunError

log = logging.getLogger(__name__)


class TrainHealth(Callback):
    """Stops at the first non-finite loss and logs a checklist after each validation.

    The checklist says whether a device was found, the loss is finite, the monitored metric climbs, and checkpoints are
    being saved.

    Args:
        monitor: Metric whose best value is tracked.
        mode: ``max`` or ``min``.
    """

    def __init__(self, *, monitor: str = "validation/sharpe", mode: str = "max") -> None:
        self.monitor = monitor
        self.sign = 1.0 if mode == "max" else -1.0
        self.best = -math.inf
        self.best_epoch = -1
        self._sum: torch.Tensor | None = None

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Say which device was selected."""
        log.info("device: %s (%s)", module.device, type(trainer.accelerator).__name__)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop before a non-finite loss spoils what is saved; on a GPU the losses of an epoch are looked at once.

        Raises:
            RunError: The loss is NaN or infinite.
        """
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if loss.device.type != "cpu":  # looking at it would make the device finish first
            self._sum = loss if self._sum is None else self._sum + loss
            if batch_idx + 1 < trainer.num_training_batches:
                return
            loss, self._sum = self._sum, None
        if not math.isfinite(float(loss)):
            raise RunError(
                f"algorithm: the loss became {float(loss)} at gradient step {trainer.global_step} (epoch"
                f" {trainer.current_epoch}); lower algorithm.lr or trainer.gradient_clip_val, and look at the data with"
                " `tradewright inspect`"
            )

    def on_validation_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Log the checklist."""
        if trainer.sanity_checking:
            return
        value = float(trainer.callback_metrics.get(self.monitor, math.nan))
        if self.sign * value > self.best:
            self.best, self.best_epoch = self.sign * value, trainer.current_epoch
        loss = float(trainer.callback_metrics.get("train/loss", math.nan))
        log.info(
            "epoch %d: device %s | loss %.4g %s | %s %.4g, best %.4g in epoch %d | %s",
            trainer.current_epoch,
            module.device,
            loss,
            "finite" if math.isfinite(loss) else "not logged yet",
            self.monitor,
            value,
            self.sign * self.best,
            self.best_epoch,
            "checkpoints on" if trainer.checkpoint_callback else "checkpoints OFF",
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
