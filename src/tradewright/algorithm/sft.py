"""``algorithm=sft``: supervised fine-tuning of a causal language model, whole or through an adapter.

One Lightning batch is one *window*, which is one optimizer step (see ``window_module``), so checkpoints always lie
between steps and the short last window of an epoch is weighted like any other. The loss is the mean negative
log-likelihood per target token of the window (see ``text_batches``), over scored positions only (see ``masked_head``).
"""

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from tradewright.algorithm import random_state
from tradewright.algorithm.flops import FlopCount, peak_tflops
from tradewright.algorithm.schedule import SCHEDULES, LrSchedule, lr_factor
from tradewright.algorithm.text_batches import FixedWindows, Layout, TrainingWindows, Window
from tradewright.algorithm.text_examples import DATA_REPORT, OVERLONG, Overlong, as_report, tokenise
from tradewright.algorithm.text_meter import SPEED, TextMeter, perplexity
from tradewright.algorithm.trained_weights import (
    describe_base,
    load_trained_state,
    require_same_base,
    trained_state,
)
from tradewright.algorithm.window_module import WindowModule
from tradewright.config.runtime import Runtime
from tradewright.errors import ConfigError, RunError
from tradewright.examples.example import Example, ExampleSets
from tradewright.model.checkpointing import set_checkpointing
from tradewright.model.loaded_model import LoadedModel
from tradewright.model.masked_head import causal_model, check_head
from tradewright.output import write_json

log = logging.getLogger(__name__)

SAVED = "sft"
"""Key of what the module adds to a checkpoint."""


class SFT(WindowModule):
    """Fits a language model to examples.

    Args:
        loaded: The model, with its adapter where it has one; what requires gradients is trained.
        sets: Examples; the validation set chooses the checkpoint.
        seed: Of the order of the examples.
        validate: Judges the module on the validation range; its figures are logged under ``validation/``.
        epochs: Passes over the training set, >= 1.
        batch_size: Examples of a micro-batch, >= 1.
        accumulation: Micro-batches per optimizer step, >= 1; ``batch_size x accumulation`` examples make a step.
        lr: Highest learning rate, > 0.
        lr_schedule: From the end of the warm-up on: ``cosine``, ``linear`` or ``constant``.
        warmup: Fraction of all steps below 1, else steps; >= 0.
        final_lr_fraction: Of ``lr``, reached in the last step, in [0, 1].
        weight_decay: Of matrices, >= 0; biases and norms are not decayed.
        betas: Of AdamW.
        packing: Compute several examples as one row, without padding.
        tokens_per_batch: Most tokens of a packed micro-batch; at least those of the longest example.
        bucket_windows: So many optimizer steps are sorted by length together, >= 1.
        gradient_checkpointing: Compute layers again in the backward pass instead of keeping their activations.
        overlong: What happens to examples longer than the model's ``max_length``.
        train_on_prompt: Learn the prompts too.
        head_chunk: Targets whose logits exist at a time, >= 1.
        log_every: Optimizer steps between two points of the curves, >= 1.
        peak_tflops: Of the device, for the utilisation; None: from the table of known GPUs.

    Raises:
        ValueError: An argument is out of range.
        DataError: The examples cannot be used.
    """

    learns_from: ClassVar[str] = "text"
    trains_in_parallel: ClassVar[bool] = False
    unit: ClassVar[str] = "steps"
    """Of the x-axis of every curve: optimizer steps."""

    def __init__(
        self,
        *,
        loaded: Runtime[LoadedModel],
        sets: Runtime[ExampleSets],
        seed: Runtime[int],
        validate: Runtime[Callable[[Any], dict[str, float]] | None] = None,
        epochs: int = 3,
        batch_size: int = 8,
        accumulation: int = 1,
        lr: float = 2e-4,
        lr_schedule: LrSchedule = "cosine",
        warmup: float = 0.03,
        final_lr_fraction: float = 0.1,
        weight_decay: float = 0.0,
        betas: list[float] | None = None,
        packing: bool = True,
        tokens_per_batch: int = 8192,
        bucket_windows: int = 1,
        gradient_checkpointing: bool = False,
        overlong: Overlong = "drop",
        train_on_prompt: bool = False,
        head_chunk: int = 2048,
        log_every: int = 10,
        peak_tflops: float | None = None,
    ) -> None:
        for name, count in (
            ("epochs", epochs), ("batch_size", batch_size), ("accumulation", accumulation),
            ("tokens_per_batch", tokens_per_batch), ("bucket_windows", bucket_windows), ("head_chunk", head_chunk),
            ("log_every", log_every),
        ):  # fmt: skip
            if count < 1:
                raise ValueError(f"{name} must be >= 1, was {count}")
        _require_ranges(lr, warmup, final_lr_fraction, weight_decay, peak_tflops)
        for name, word, words in (("lr_schedule", lr_schedule, SCHEDULES), ("overlong", overlong, OVERLONG)):
            if word not in words:
                raise ValueError(f"{name} must be one of {', '.join(words)}, was {word!r}")
        tokens = tokens_per_batch if packing else None
        layout = Layout(pad_id=loaded.tokenizer.pad_token_id, batch_size=batch_size, tokens=tokens)
        super().__init__(model=loaded.model, layout=layout, head_chunk=head_chunk)
        self.betas = _betas(betas)
        self.loaded, self.validate, self.epochs, self.lr = loaded, validate, epochs, lr
        self.lr_schedule, self.warmup, self.final_lr_fraction = lr_schedule, warmup, final_lr_fraction
        self.weight_decay, self.log_every, self.peak_tflops = weight_decay, log_every, peak_tflops
        self.is_checkpointing, self.overlong = gradient_checkpointing, overlong
        read = partial(tokenise, tokenizer=loaded.tokenizer, max_length=loaded.max_length, overlong=overlong)
        train, in_training = read(sets.train, train_on_prompt=train_on_prompt)
        validation, in_validation = read(sets.validation, name="validation")
        self.data_report = as_report({"train": in_training, "validation": in_validation})
        """Content of ``data_report.json``."""
        longest = max(in_training.longest, in_validation.longest)
        if packing and tokens_per_batch < longest:
            raise ValueError(f"tokens_per_batch must be >= {longest}, the longest example, was {tokens_per_batch}")
        self.windows = TrainingWindows(
            train, window_size=batch_size * accumulation, bucket_windows=bucket_windows, seed=seed
        )
        self.validation_windows = FixedWindows(validation, window_size=batch_size * accumulation)
        self.num_processes = 1
        self.strict_loading = False  # a checkpoint holds what is trained; ``load_state_dict`` checks it
        self.logged_at = -1
        """Step of the newest point of the curves."""
        self._random: dict[str, Any] | None = None
        self._is_restored = False
        self._saved_meter: dict[str, Any] | None = None

    # What callbacks ask of an algorithm

    @property
    def warm_up_frames(self) -> int:
        """Steps before the first update: none."""
        return 0

    @property
    def frames_per_epoch(self) -> int:
        """Optimizer steps of an epoch, ``ceil(examples / (batch_size x accumulation))``."""
        return len(self.windows)

    @property
    def max_epochs(self) -> int:
        """Passes over the training set."""
        return self.epochs

    @property
    def total_frames(self) -> int:
        """Optimizer steps of the training."""
        return self.frames_per_epoch * self.epochs

    @property
    def frames(self) -> int:
        """Optimizer steps so far; the x-axis of every curve."""
        return self.trainer.global_step

    # Training

    def setup(self, stage: str) -> None:
        """Check that the trainer fits and that there is something to train.

        Raises:
            ConfigError: The trainer is set in a way that does not fit.
            RunError: Nothing is to be trained.
        """
        trainer = self.trainer
        if trainer.accumulate_grad_batches != 1:
            raise ConfigError("trainer.accumulate_grad_batches must be 1; algorithm=sft has algorithm.accumulation")
        if trainer.world_size != 1:
            raise ConfigError(f"trainer.devices must be 1 for algorithm=sft, was {trainer.world_size}")
        if not any(one.requires_grad for one in self.model.parameters()):
            raise RunError("model: no weight requires a gradient; load it for training")

    def on_fit_start(self) -> None:
        """Switch the model to training and say what data it learns from.

        Raises:
            RunError: The architecture's head cannot be trained.
        """
        check_head(self.model)
        self._warn_of_rounding()
        self.model.train()  # transformers hands models out in evaluation mode, without dropout and checkpointing
        if self.is_checkpointing:
            set_checkpointing(causal_model(self.model), is_on=True)
        peak = self.peak_tflops or peak_tflops(self.device, str(self.trainer.precision))
        self.meter = TextMeter(FlopCount.of(self.model, is_recomputing=self.is_checkpointing), peak)
        write_json(Path(self.trainer.default_root_dir) / DATA_REPORT, self.data_report)
        for name, counts in self.data_report.items():
            if counts["num_dropped"] or counts["num_truncated"]:
                log.warning(
                    "%s: of %d examples %d were dropped and %d truncated, longer than model.max_length=%d tokens",
                    name, counts["num_examples"], counts["num_dropped"], counts["num_truncated"], counts["limit"],
                )  # fmt: skip

    def _warn_of_rounding(self) -> None:
        halves = {one.dtype for one in self.model.parameters() if one.requires_grad} & {torch.float16, torch.bfloat16}
        if halves:
            log.warning(
                "trained weights are %s: updates below about 1/256 of a weight are lost; use"
                " trainer.precision=bf16-mixed with model.dtype=float32 or an adapter",
                " and ".join(sorted(str(one).removeprefix("torch.") for one in halves)),
            )

    def on_train_start(self) -> None:
        """Start the clock; a resumed run continues its sums."""
        if self._saved_meter is not None:
            self.meter.load_state_dict(self._saved_meter, self.device)
            self._saved_meter = None
        self.meter.resume()

    def on_train_batch_start(self, batch: Window, batch_idx: int) -> None:
        """Put the random states of a resumed run back at the last moment: Lightning draws before."""
        if self._is_restored and self._random is not None:
            random_state.restore(self._random)
            self._random, self._is_restored = None, False

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the gradients, measuring their norm in the same pass, and log a point where one is due."""
        gradients = [one for one in self.model.parameters() if one.grad is not None]
        limit = math.inf if gradient_clip_val is None else float(gradient_clip_val)
        if gradient_clip_algorithm == "value":
            norm = torch.nn.utils.get_total_norm([one.grad for one in gradients])
            torch.nn.utils.clip_grad_value_(gradients, limit)
        else:
            norm = torch.nn.utils.clip_grad_norm_(gradients, limit if limit > 0 else math.inf)
        step = self.trainer.global_step + 1
        if step % self.log_every == 0 or step == self.trainer.estimated_stepping_batches:
            self._log_point(step, optimizer, norm)

    def _log_point(self, step: int, optimizer: Any, norm: Tensor) -> None:
        """Log what was measured since the last point; the step is about to be taken."""
        points = {
            **self.meter.point(self.device),
            "train/grad_norm": float(norm),
            "train/lr": float(optimizer.param_groups[0]["lr"]),
            "train/micro_batch": float(self.layout.tokens or self.layout.batch_size),
        }
        self.logged_at = step
        self.log_dict(points, batch_size=1, logger=False)
        for logger in self.trainer.loggers:
            logger.log_metrics(points, step=step)

    def configure_optimizers(self) -> Any:
        """Return AdamW, which decays matrices only, and its learning rate."""
        trained = [one for one in self.model.parameters() if one.requires_grad]
        groups = [
            {"params": [one for one in trained if one.ndim >= 2], "weight_decay": self.weight_decay},
            {"params": [one for one in trained if one.ndim < 2], "weight_decay": 0.0},
        ]
        # one kernel, except where Lightning must unscale gradients before they are clipped
        is_fused = str(self.trainer.precision) != "16-mixed"
        optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=self.lr, betas=self.betas, fused=is_fused, foreach=None if is_fused else True,
        )  # fmt: skip
        num_steps = max(1, int(self.trainer.estimated_stepping_batches))
        factor = lr_factor(
            self.lr_schedule, num_steps=num_steps, warmup=self.warmup, final_fraction=self.final_lr_fraction
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_fit_end(self) -> None:
        """Say how long it took, and leave the model as it was found: generation has no use for recomputation."""
        write_json(Path(self.trainer.default_root_dir) / SPEED, self.meter.speed)
        if self.is_checkpointing:
            set_checkpointing(causal_model(self.model), is_on=False)

    # Validation

    def on_validation_start(self) -> None:
        """Keep the random states, so that judging changes nothing of the training that follows, and stop the clock."""
        if not self._is_restored:  # a resumed run that validates first has its states still to come
            self._random = random_state.capture()
        self._validated = []
        if hasattr(self, "meter"):
            self.meter.pause()

    def on_validation_epoch_end(self) -> None:
        """Log loss and perplexity per target token, and what ``validate`` finds."""
        total = float(torch.stack([nll for nll, _ in self._validated]).double().sum())
        loss = total / sum(number for _, number in self._validated)
        figures = {"loss": loss, "perplexity": perplexity(loss)}
        if self.validate is not None and not self.trainer.sanity_checking:
            figures |= self.validate(self)
        self.log_dict({f"validation/{name}": value for name, value in figures.items()}, batch_size=1)

    def on_validation_end(self) -> None:
        """Put the random states of the training back, and start the clock; checkpoints are written by now."""
        if self._random is not None and not self._is_restored:
            random_state.restore(self._random)
            self._random = None
        if hasattr(self, "meter"):
            self.meter.resume()

    @torch.no_grad()
    def mean_nll(self, examples: Sequence[Example]) -> float:
        """Return the mean negative log-likelihood per target token of other examples, nats.

        Args:
            examples: At least one; those beyond the model's context are treated as in training.
        """
        tokens, _ = tokenise(
            examples,
            tokenizer=self.loaded.tokenizer,
            max_length=self.loaded.max_length,
            overlong=self.overlong,
            name="judged",
        )
        was_training = self.model.training
        self.model.eval()
        try:
            windows = FixedWindows(tokens, window_size=self.windows.window_size)
            scored = [one for window in windows for one in self._score(window)]
        finally:
            self.model.train(was_training)
        return float(sum(float(nll) for nll, _ in scored) / sum(number for _, number in scored))

    # Checkpoints

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override] # torch overloads it
        """Return the weights that are trained; all where there is no frozen base."""
        return trained_state(self)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Load them.

        Raises:
            RuntimeError: They are those of another model.
        """
        load_trained_state(self, state_dict)
        return torch.nn.modules.module._IncompatibleKeys([], [])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the base's identity, the random states, the layout and the sums of the curves."""
        checkpoint[SAVED] = {
            "base": describe_base(self, self.loaded.facts),
            "random": self._random if self._random is not None else random_state.capture(),
            "batch_size": self.layout.batch_size,
            "tokens": self.layout.tokens,
            "meter": self.meter.state_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back.

        Raises:
            RunError: The checkpoint is of another algorithm or another base.
        """
        if SAVED not in checkpoint:
            raise RunError("the checkpoint was not written by algorithm=sft; resume with the algorithm of its run")
        saved = checkpoint[SAVED]
        require_same_base(saved["base"], describe_base(self, self.loaded.facts))
        self.layout = Layout(pad_id=self.layout.pad_id, batch_size=saved["batch_size"], tokens=saved["tokens"])
        self._random, self._is_restored, self._saved_meter = saved["random"], True, saved["meter"]


def _betas(betas: list[float] | None) -> tuple[float, float]:
    given = [0.9, 0.999] if betas is None else list(betas)
    if len(given) != 2 or not all(0 <= beta < 1 for beta in given):
        raise ValueError(f"betas must be two numbers in [0, 1), was {given}")
    return given[0], given[1]


def _require_ranges(
    lr: float, warmup: float, final_lr_fraction: float, weight_decay: float, peak_tflops: float | None
) -> None:
    if not lr > 0:
        raise ValueError(f"lr must be > 0, was {lr}")
    if warmup < 0:
        raise ValueError(f"warmup must be >= 0, was {warmup}")
    if not 0 <= final_lr_fraction <= 1:
        raise ValueError(f"final_lr_fraction must be in [0, 1], was {final_lr_fraction}")
    if weight_decay < 0:
        raise ValueError(f"weight_decay must be >= 0, was {weight_decay}")
    if peak_tflops is not None and not peak_tflops > 0:
        raise ValueError(f"peak_tflops must be > 0 or null, was {peak_tflops}")
