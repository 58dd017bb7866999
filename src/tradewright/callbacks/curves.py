"""Keeps the curves of training for the report; they travel in the checkpoint, so a resumed run draws whole lines."""

import math
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

SHOWN = ("train/", "validation/sharpe", "validation/total_return", "validation/mean_return", "validation/mean_length")
"""Prefixes of the metrics that a report draws."""
STEPWISE = ("train/", "throughput/", "memory/")
"""Prefixes of what a module that says when it logged (``logged_at``) is asked for at every such step."""


class Curves(Callback):
    """Collects metrics after each validation: ``{name: ([frames], [values])}``.

    A module with ``logged_at``, the frame of its newest point, has its own figures collected at each of its points.
    """

    def __init__(self) -> None:
        self.curves: dict[str, tuple[list[int], list[float]]] = {}

    def on_validation_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Append the epoch's values, before the checkpoint is written; what is not a number is left out."""
        if not trainer.sanity_checking:
            self._append(trainer, module, ("validation/",) if hasattr(module, "logged_at") else SHOWN)

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: object) -> None:
        """Append the values of a new point."""
        if getattr(module, "logged_at", None) == module.frames:
            self._append(trainer, module, STEPWISE)

    def _append(self, trainer: lightning.Trainer, module: Any, prefixes: tuple[str, ...]) -> None:
        for name, value in trainer.callback_metrics.items():
            number = float(value)
            if name.startswith(prefixes) and math.isfinite(number):
                steps, values = self.curves.setdefault(name, ([], []))
                if not steps or steps[-1] < module.frames:
                    steps.append(module.frames)
                    values.append(number)

    def state_dict(self) -> dict[str, Any]:
        """Return the curves so far."""
        return {name: {"steps": list(steps), "values": list(values)} for name, (steps, values) in self.curves.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue saved curves."""
        self.curves = {name: (list(curve["steps"]), list(curve["values"])) for name, curve in state_dict.items()}
