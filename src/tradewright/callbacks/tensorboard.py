"""TensorBoard logger of training curves, over environment frames; the session record is ``callbacks.session``'s."""

from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger

from tradewright.callbacks.curve_logger import CurveLogger
from tradewright.config.runtime import Runtime


class TensorBoard(CurveLogger, TensorBoardLogger):
    """Writes events into the run directory itself.

    Args:
        directory: The run directory.
        flush_secs: Seconds between two writes to disk.
    """

    def __init__(self, *, directory: Runtime[Path], flush_secs: int = 10) -> None:
        super().__init__(save_dir=str(directory), name="", version="", default_hp_metric=False, flush_secs=flush_secs)

    def save(self) -> None:
        """Lightning would write an empty ``hparams.yaml`` here; ``config.yaml`` is the record."""
