"""TensorBoard logger of training curves, over environment frames; the session record is ``callbacks.session``'s."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger

from tradewright.config.runtime import Runtime


class TensorBoard(TensorBoardLogger):
    """Writes events into the run directory itself.

    Args:
        directory: The run directory.
        flush_secs: Seconds between two writes to disk.
    """

    def __init__(self, *, directory: Runtime[Path], flush_secs: int = 10) -> None:
        super().__init__(save_dir=str(directory), name="", version="", default_hp_metric=False, flush_secs=flush_secs)
        self.step_of: Callable[[], int] | None = None
        """Gives the x-axis of Lightning's metrics; environment frames for agents. None: Lightning's gradient step."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log curves at the current frame; what is not a number leaves a gap, as TensorBoard cannot draw it."""
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(float(value))}
        finite.pop("epoch", None)
        super().log_metrics(finite, step=self.step_of() if self.step_of is not None else step)

    def save(self) -> None:
        """Lightning would write an empty ``hparams.yaml`` here; ``config.yaml`` is the record."""
