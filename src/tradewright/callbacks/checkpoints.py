"""Checkpoints of a run: the best by validation and the last, each written whole or not at all.

Lightning writes to the system's temporary folder and moves across file systems, which can leave half a file; here the
temporary file lies beside the target. Only iteration boundaries are saved, so a resumed run repeats nothing and skips
nothing.
"""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from tradewright.config.runtime import Runtime
from tradewright.errors import RunError, suggest
from tradewright.output import write_with

LAST = "last.ckpt"
BULK = "bulk"
"""Key of what is large and only a resumed run needs, such as a replay; None where it was left out."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint plugin with a temporary file in the target's own folder, flushed before the rename."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Write ``checkpoint`` to ``path``, whole or not at all; only the last one keeps its bulk."""
        if Path(path).name != LAST:
            checkpoint = _without_bulk(checkpoint)
        write_with(Path(path), lambda part: torch.save(checkpoint, part))


def _without_bulk(state: Any) -> Any:
    """Return nested dictionaries and lists with None for every ``bulk``; parts without any are the same objects."""
    if isinstance(state, dict):
        lean = {key: None if key == BULK else _without_bulk(value) for key, value in state.items()}
        return state if all(lean[key] is value for key, value in state.items()) else lean
    return [_without_bulk(value) for value in state] if isinstance(state, list) else state


def _has_bulk(state: Any) -> bool:
    """Whether nothing was left out."""
    if isinstance(state, dict):
        return all(_has_bulk(value) and not (key == BULK and value is None) for key, value in state.items())
    return all(map(_has_bulk, state)) if isinstance(state, list) else True


class BestCheckpoint(ModelCheckpoint):
    """Keeps the ``keep`` best checkpoints by a validation metric.

    Args:
        directory: Where checkpoints go.
        monitor: A ``validation/*`` metric.
        mode: ``max`` or ``min``.
        keep: How many to keep, >= 1.

    Raises:
        ValueError: ``monitor`` is not a validation metric, or ``keep`` is below 1.
    """

    def __init__(
        self, *, directory: Runtime[Path], monitor: str = "validation/sharpe", mode: str = "max", keep: int = 1
    ) -> None:
        if not monitor.startswith("validation/"):
            raise ValueError(f"monitor must be a validation/* metric, was {monitor!r}; the test range is scored once")
        if keep < 1:
            raise ValueError(f"keep must be >= 1, was {keep}")
        super().__init__(
            dirpath=directory,
            filename="best-{epoch:04d}",
            monitor=monitor,
            mode=mode,
            save_top_k=keep,
            enable_version_counter=False,
            auto_insert_metric_name=False,
            save_on_train_epoch_end=False,
        )

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save if the metric is among the best.

        Raises:
            RunError: No such metric is logged.
        """
        assert self.monitor is not None
        if not trainer.sanity_checking and self.monitor not in trainer.callback_metrics:
            logged = [name for name in trainer.callback_metrics if name.startswith("validation/")]
            raise RunError(f"callbacks.best.monitor: {self.monitor!r} is not logged{suggest(self.monitor, logged)}")
        super().on_validation_end(trainer, pl_module)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state; its paths are taken into this run's folder, which may have been moved."""
        here = Path(str(self.dirpath))

        def moved(path: str) -> str:
            return str(here / Path(path).name) if path else path

        scores = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        names = ("best_model_path", "kth_best_model_path", "last_model_path")
        paths = {name: moved(state_dict[name]) for name in names}
        super().load_state_dict({**state_dict, **paths, "best_k_models": scores, "dirpath": self.dirpath})


class LastCheckpoint(ModelCheckpoint):
    """Keeps the newest checkpoint, for ``tradewright resume``.

    Args:
        directory: Where checkpoints go.
        every_n_epochs: Epochs between two checkpoints, >= 1.
        every_n_steps: Optimizer steps between two more checkpoints within an epoch, >= 1; None: none. For algorithms
            that can continue there.

    Raises:
        ValueError: A number is below 1.
    """

    def __init__(self, *, directory: Runtime[Path], every_n_epochs: int = 1, every_n_steps: int | None = None) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs must be >= 1, was {every_n_epochs}")
        if every_n_steps is not None and every_n_steps < 1:
            raise ValueError(f"every_n_steps must be >= 1 or null, was {every_n_steps}")
        self.every_n_steps = every_n_steps
        super().__init__(
            dirpath=directory,
            filename=LAST.removesuffix(".ckpt"),
            save_top_k=1,
            every_n_epochs=every_n_epochs,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        )

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within an epoch; what its end is followed by, the validation, saves for itself.

        Lightning takes either steps or epochs, not both.
        """
        is_due = self.every_n_steps is not None and trainer.global_step % self.every_n_steps == 0
        is_last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if is_due and not is_last and not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save once more after a validation within an epoch: what it found belongs to the state."""
        self._last_global_step_saved = -1
        super().on_validation_end(trainer, pl_module)


def newest_checkpoint(directory: Path) -> Path | None:
    """Return the newest checkpoint to resume from, ``last`` first; None if there is none.

    One that was saved without its bulk is passed over: training cannot go on from it.

    Raises:
        RunError: Checkpoints exist, but those that could be resumed from cannot be read.
    """
    found = sorted(directory.glob("*.ckpt"), key=lambda path: (path.name != LAST, -path.stat().st_mtime))
    damaged = []
    for path in found:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, KeyError, ValueError, UnpicklingError) as error:
            damaged.append(f"{path.name} ({error})")
            continue
        if _has_bulk(state):
            return path
    if damaged:
        raise RunError(f"{directory}: no checkpoint can be read: {'; '.join(damaged)}; start the run anew")
    return None
