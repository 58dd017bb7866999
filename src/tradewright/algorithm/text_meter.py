"""What a language model's training measures between two points of its curves: loss, speed, memory."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tradewright.algorithm.flops import TERA, FlopCount
from tradewright.algorithm.text_batches import MicroBatch
from tradewright.callbacks.throughput import MEBIBYTE, resident_mb, total_mb

SPEED = "training_speed.json"
"""File of a run with what its training took; not among its metrics, which are equal on every machine."""


@dataclass
class TextMeter:
    """Sums over optimizer steps; nothing is read from the device before a point is due.

    Args:
        flops: Of the model.
        peak_tflops: Of the device; None: utilisation is not reported.
        clock: Monotonic seconds.
    """

    flops: FlopCount
    peak_tflops: float | None
    clock: Callable[[], float] = time.monotonic
    nll: Tensor | None = None
    """Summed over what was added: a scalar, or a vector of what a kind of training measures."""
    num_targets: int = 0
    num_tokens: int = 0
    _timed: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """Seconds, tokens and targets of this process since the last point: a resumed run knows no earlier clock."""
    _total: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Seconds and tokens of this process up to the last point."""
    _since: float | None = None

    def resume(self) -> None:
        """Let the clock run."""
        self._since = self.clock()

    def pause(self) -> None:
        """Stop the clock, for validations."""
        if self._since is not None:
            self._timed[0] += self.clock() - self._since
            self._since = None

    def add(self, batch: MicroBatch, nll: Tensor) -> None:
        """Count a micro-batch that is part of a finished step."""
        self.nll = nll if self.nll is None else self.nll + nll
        self.num_targets += batch.num_targets
        self.num_tokens += batch.num_tokens
        self._timed[1] += batch.num_tokens
        self._timed[2] += batch.num_targets

    def point(self, device: torch.device) -> dict[str, float]:
        """Return the figures since the last point, and start anew."""
        assert self.nll is not None, "points follow steps"
        self.pause()
        seconds, tokens, targets = self._timed
        found = self.figures(self.nll, self.num_targets)
        figures = {**{f"train/{name}": value for name, value in found.items()}, **memory(device)}
        if seconds > 0:
            figures["throughput/tokens_per_s"] = tokens / seconds
            figures["throughput/target_tokens_per_s"] = targets / seconds
            if self.peak_tflops is not None:
                work = self.flops.body * tokens + self.flops.head * targets
                figures["throughput/mfu"] = work / seconds / (self.peak_tflops * TERA)
                if self.flops.recomputed:
                    again = self.flops.recomputed * tokens
                    figures["throughput/hardware_utilisation"] = (work + again) / seconds / (self.peak_tflops * TERA)
        self._total = [self._total[0] + seconds, self._total[1] + tokens]
        self.nll, self.num_targets, self.num_tokens, self._timed = None, 0, 0, [0.0, 0.0, 0.0]
        self.resume()
        return figures

    @staticmethod
    def figures(nll: Tensor, num_targets: int) -> dict[str, float]:
        """Return loss and perplexity per target token.

        Args:
            nll: Summed.
            num_targets: How many.
        """
        loss = float(nll) / num_targets
        return {"loss": loss, "perplexity": perplexity(loss)}

    @property
    def speed(self) -> dict[str, float]:
        """Seconds of training up to the last point, validations excluded, tokens of that time, and their ratio.

        Of this process alone: a resumed run does not know for how long it ran before.
        """
        seconds, tokens = self._total
        return {
            "training_s": seconds, "num_tokens": tokens, "tokens_per_s": tokens / seconds if seconds > 0 else math.nan
        }  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far, for a checkpoint between two points; speeds start anew."""
        nll = None if self.nll is None else self.nll.detach().cpu()
        return {"nll": nll, "num_targets": self.num_targets, "num_tokens": self.num_tokens}

    def load_state_dict(self, state_dict: dict[str, Any], device: torch.device) -> None:
        """Continue from a saved state."""
        nll = state_dict["nll"]
        self.nll = None if nll is None else nll.to(device)
        self.num_targets, self.num_tokens = state_dict["num_targets"], state_dict["num_tokens"]


def perplexity(loss: float) -> float:
    """Return ``exp(loss)``; infinite where it exceeds what a double holds, NaN for NaN."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def memory(device: torch.device) -> dict[str, float]:
    """Return the memory in use in MiB and as a fraction of what there is: the peak on CUDA, resident on a CPU."""
    if device.type == "cuda":
        used, total = torch.cuda.max_memory_allocated(device), torch.cuda.get_device_properties(device).total_memory
        return {"memory/mb": used / MEBIBYTE, "memory/fraction": used / total}
    return {"memory/mb": resident_mb(), "memory/fraction": resident_mb() / total_mb()}
