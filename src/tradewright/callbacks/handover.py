"""Brings what callbacks learnt in the training processes back into the process that started them.

``trainer=ddp`` trains in forked processes; Lightning hands back weights and metrics, but no state of callbacks.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher

FILE = "handover.pt"


class Handover(Callback):
    """Writes the states of all callbacks when the training ends, where it ran in processes of its own.

    Args:
        directory: The run directory.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE

    def on_fit_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Write, from the first process."""
        if is_forked(trainer) and trainer.is_global_zero:
            torch.save([one.state_dict() for one in _callbacks(trainer)], self.path)


def _callbacks(trainer: lightning.Trainer) -> list[Callback]:
    found: list[Callback] = trainer.callbacks  # type: ignore[attr-defined] # set by a connector of Lightning
    return found


def is_forked(trainer: lightning.Trainer) -> bool:
    """Whether the trainer trains in processes that it starts."""
    return isinstance(trainer.strategy.launcher, _MultiProcessingLauncher)


def take_over(trainer: lightning.Trainer, callbacks: Iterable[Callback]) -> None:
    """Give the callbacks of this process the states that they have in the training processes.

    Args:
        trainer: The trainer, once its training has ended.
        callbacks: Those that are asked for what they found.
    """
    handover = next((one for one in _callbacks(trainer) if isinstance(one, Handover)), None)
    if handover is None or not handover.path.is_file():
        return
    states = torch.load(handover.path, weights_only=True)
    handover.path.unlink()
    wanted = list(callbacks)
    for callback, state in zip(_callbacks(trainer), states, strict=True):
        if state and callback in wanted:
            callback.load_state_dict(state)
