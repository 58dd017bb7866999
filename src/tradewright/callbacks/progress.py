"""Progress of training: a live bar on a terminal, a log line every tenth of the way elsewhere."""

import logging
import math
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from tradewright.callbacks.eta import Eta

log = logging.getLogger(__name__)

LINES = 10
"""Log lines over a whole training where there is no terminal."""
LEAST_ROUNDED = 100
"""Speed from which on its decimals say nothing."""


class TrainingProgress(Callback):
    """Shows frames (or what the module counts: ``unit``), their speed, time left and the monitored metric.

    Args:
        monitor: Metric to show.
    """

    def __init__(self, *, monitor: str = "validation/sharpe") -> None:
        self.monitor = monitor
        self._bar: Progress | None = None
        self._shown = -1

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Open the bar at the frames already done."""
        self._unit = module.unit
        warm_up = module.warm_up_frames * module.num_processes
        self._total = warm_up + module.frames_per_epoch * trainer.max_epochs
        self._eta = Eta(self._total)
        self._eta.remaining_s(module.frames)
        self._lines_done = int(LINES * module.frames / self._total)
        console = Console(stderr=True)
        if console.is_terminal:
            columns = (TextColumn("training"), BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task("", total=self._total, completed=module.frames)
            self._bar.start()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: object) -> None:
        """Move the bar."""
        frames = module.frames
        if frames == self._shown:  # gradient steps between two rollouts
            return
        self._shown = frames
        remaining_s = self._eta.remaining_s(frames)
        if self._bar is not None:
            self._bar.update(self._task, completed=frames, description=self._text(trainer, frames, remaining_s))

    def on_validation_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Write a line every tenth of the way; ``log.txt`` gets it also when there is a bar."""
        if trainer.sanity_checking:
            return
        lines = int(LINES * module.frames / self._total)
        if lines > self._lines_done:
            self._lines_done = lines
            remaining_s = self._eta.remaining_s(module.frames)
            log.info("trained %d%%: %s", 10 * lines, self._text(trainer, module.frames, remaining_s))

    def _text(self, trainer: lightning.Trainer, frames: int, remaining_s: float) -> str:
        parts = [f"{frames:,} {self._unit}"]
        if math.isfinite(remaining_s):
            decimals = 0 if self._eta.rate >= LEAST_ROUNDED else 2
            parts += [f"{self._eta.rate:,.{decimals}f} {self._unit}/s", f"{remaining_s:.0f} s left"]
        if self.monitor in trainer.callback_metrics:
            parts.append(f"{self.monitor} {float(trainer.callback_metrics[self.monitor]):.3f}")
        return ", ".join(parts)

    def teardown(self, trainer: lightning.Trainer, module: Any, stage: str) -> None:
        """Close the bar, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
