"""``CurveLogger``: what the loggers of training curves have in common."""

import math
from collections.abc import Callable, Mapping
from typing import Any


class CurveLogger:
    """Mixed into a Lightning logger: curves over environment frames, without what is not a number."""

    step_of: Callable[[], int] | None = None
    """Gives the x-axis of Lightning's metrics; environment frames for agents. None: Lightning's gradient step."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log curves at the current frame; what is not a number leaves a gap, as it cannot be drawn."""
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(float(value))}
        finite.pop("epoch", None)
        base: Any = super()
        base.log_metrics(finite, step=self.step_of() if self.step_of is not None else step)
