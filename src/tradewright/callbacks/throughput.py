"""Logs speed and memory: frames per second, resident memory, and GPU memory with a warning near its limit."""

import logging
import os
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

log = logging.getLogger(__name__)

MEBIBYTE = 2**20


def resident_mb() -> float:
    """Return this process's resident memory in MiB; NaN where the system does not tell (no ``/proc``)."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return float("nan")
    pages = int(status.read_text().split()[1])
    import resource

    return pages * resource.getpagesize() / MEBIBYTE


def total_mb() -> float:
    """Return the machine's memory in MiB; NaN where the system does not tell."""
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(names):
        return float("nan")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MEBIBYTE


class Throughput(Callback):
    """Logs speed, ``device/memory_mb`` and, on a GPU, ``device/gpu_memory_mb`` per epoch.

    The speed is ``device/frames_per_second``, or of what the module counts (``unit``).

    Args:
        warn_fraction: Share of GPU memory above which a warning is logged once, in (0, 1].
    """

    def __init__(self, *, warn_fraction: float = 0.9) -> None:
        if not 0 < warn_fraction <= 1:
            raise ValueError(f"warn_fraction must be in (0, 1], was {warn_fraction}")
        self.warn_fraction = warn_fraction
        self._has_warned = False
        self._start: float | None = None

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Start the clock."""
        self._start, self._frames = time.monotonic(), module.frames

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Log the epoch's figures; a resumed run may end an epoch that it did not start."""
        if self._start is None:
            return
        elapsed_s = time.monotonic() - self._start
        figures = {
            f"device/{module.unit}_per_second": (module.frames - self._frames) / elapsed_s,
            "device/memory_mb": resident_mb(),
        }
        self._start = None
        if module.device.type == "cuda":
            free, total = torch.cuda.mem_get_info(module.device)
            figures["device/gpu_memory_mb"] = (total - free) / MEBIBYTE
            if not self._has_warned and (total - free) / total > self.warn_fraction:
                self._has_warned = True
                log.warning("GPU memory is %.0f %% full; lower the batch or the model", 100 * (total - free) / total)
        for logger in trainer.loggers:
            logger.log_metrics(figures, step=module.frames)
