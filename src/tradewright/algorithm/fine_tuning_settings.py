"""``FineTuningSettings``: how a language model is trained, whatever its loss; checked before anything is computed."""

from dataclasses import dataclass
from typing import Any

from tradewright.algorithm.schedule import SCHEDULES, LrSchedule
from tradewright.algorithm.text_examples import OVERLONG, Overlong


@dataclass(frozen=True)
class FineTuningSettings:
    """Settings that ``algorithm=sft`` and ``algorithm=dpo`` share.

    Args:
        epochs: Passes over the training set, >= 1.
        batch_size: Items of a micro-batch, >= 1.
        accumulation: Micro-batches per optimizer step, >= 1.
        lr: Highest learning rate, > 0.
        lr_schedule: From the end of the warm-up on: ``cosine``, ``linear`` or ``constant``.
        warmup: Fraction of all steps below 1, else steps; >= 0.
        final_lr_fraction: Of ``lr``, reached in the last step, in [0, 1].
        weight_decay: Of matrices, >= 0.
        betas: Of AdamW, two numbers in [0, 1).
        packing: Compute several items as one row, without padding.
        tokens_per_batch: Most tokens of a packed micro-batch, >= 1.
        bucket_windows: So many optimizer steps are sorted by length together, >= 1.
        gradient_checkpointing: Compute layers again in the backward pass.
        overlong: What happens to items longer than the model's ``max_length``.
        head_chunk: Targets whose logits exist at a time, >= 1.
        log_every: Optimizer steps between two points of the curves, >= 1.
        peak_tflops: Of the device, > 0; None: from the table of known GPUs.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    epochs: int
    batch_size: int
    accumulation: int
    lr: float
    lr_schedule: LrSchedule
    warmup: float
    final_lr_fraction: float
    weight_decay: float
    betas: tuple[float, float]
    packing: bool
    tokens_per_batch: int
    bucket_windows: int
    gradient_checkpointing: bool
    overlong: Overlong
    head_chunk: int
    log_every: int
    peak_tflops: float | None

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in (
            "epochs", "batch_size", "accumulation", "tokens_per_batch", "bucket_windows", "head_chunk", "log_every",
        ):  # fmt: skip
            _require(getattr(self, name) >= 1, name, ">= 1", getattr(self, name))
        _require(self.lr > 0, "lr", "> 0", self.lr)
        _require(self.warmup >= 0, "warmup", ">= 0", self.warmup)
        _require(0 <= self.final_lr_fraction <= 1, "final_lr_fraction", "in [0, 1]", self.final_lr_fraction)
        _require(self.weight_decay >= 0, "weight_decay", ">= 0", self.weight_decay)
        _require(self.peak_tflops is None or self.peak_tflops > 0, "peak_tflops", "> 0 or null", self.peak_tflops)
        _require(self.lr_schedule in SCHEDULES, "lr_schedule", f"one of {', '.join(SCHEDULES)}", repr(self.lr_schedule))
        _require(self.overlong in OVERLONG, "overlong", f"one of {', '.join(OVERLONG)}", repr(self.overlong))

    @property
    def window_size(self) -> int:
        """Items of an optimizer step."""
        return self.batch_size * self.accumulation


def _require(is_right: bool, name: str, wanted: str, found: Any) -> None:
    if not is_right:
        raise ValueError(f"{name} must be {wanted}, was {found}")


def betas_of(betas: list[float] | None) -> tuple[float, float]:
    """Return the moments of AdamW, its own where none are given.

    Raises:
        ValueError: They are not two numbers in [0, 1).
    """
    given = [0.9, 0.999] if betas is None else list(betas)
    if len(given) != 2 or not all(0 <= beta < 1 for beta in given):
        raise ValueError(f"betas must be two numbers in [0, 1), was {given}")
    return given[0], given[1]
