"""``TextHealth``: watches a language model's training and warns, once each, of what its curves say."""

import logging
import math
from typing import Any

import lightning

from tradewright.callbacks.curves import Curves
from tradewright.callbacks.health import TrainHealth
from tradewright.callbacks.training_findings import Finding, training_findings
from tradewright.errors import RunError

log = logging.getLogger(__name__)

GROWTH = 1.05
"""The rules read whole curves, so they run when the curves have grown by so much."""


class TextHealth(TrainHealth):
    """Stops at a loss that is not finite, logs a checklist after each validation, and warns of findings.

    Args:
        monitor: Metric whose best value is tracked.
        mode: ``max`` or ``min``.
    """

    def __init__(self, *, monitor: str = "validation/loss", mode: str = "min") -> None:
        super().__init__(monitor=monitor, mode=mode)
        self.findings: dict[str, Finding] = {}
        """What was warned of, by name."""
        self._curves = Curves()
        self._num_checked = 0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at every new point of the curves; the device is not made to wait for the steps between.

        Raises:
            RunError: The loss is NaN or infinite.
        """
        if module.logged_at != module.frames:
            return
        loss = float(trainer.callback_metrics["train/loss"])
        if not math.isfinite(loss):
            raise RunError(
                f"algorithm: the loss became {loss} within the {module.log_every} optimizer steps up to"
                f" {module.frames}; lower algorithm.lr or trainer.gradient_clip_val or use trainer.precision=bf16-mixed"
            )
        self._curves.on_train_batch_end(trainer, module, outputs, batch, batch_idx)
        num_points = len(self._curves.curves["train/loss"][1])
        if num_points >= GROWTH * self._num_checked:
            self._num_checked = num_points
            self._warn()

    def on_validation_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Log the checklist and look at the curves."""
        super().on_validation_end(trainer, module)
        self._curves.on_validation_end(trainer, module)
        self._warn()

    def _warn(self) -> None:
        for finding in training_findings(self._curves.curves):
            if finding.name not in self.findings:
                self.findings[finding.name] = finding
                log.warning("step %d: %s; %s", finding.step, finding.message, finding.advice)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, the curves so far and what was warned of."""
        found = {name: vars(finding) for name, finding in self.findings.items()}
        return {**super().state_dict(), "curves": self._curves.state_dict(), "findings": found}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state."""
        super().load_state_dict(state_dict)
        self._curves.load_state_dict(state_dict["curves"])
        self.findings = {name: Finding(**values) for name, values in state_dict["findings"].items()}
