"""A training that ends in the middle, as a process that is killed."""

from typing import Any

from lightning.pytorch.callbacks import Callback


class KilledError(Exception):
    """Stands for the end of the process."""


class Kill(Callback):
    """Ends the training before a step.

    Args:
        step: Its number; what was written after the step before stays.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            raise KilledError
