"""``FineTuning``: what every training of a causal language model shares, whatever its loss; see ``sft`` and ``dpo``.

One Lightning batch is one *window*, which is one optimizer step (see ``window_module``), so checkpoints always lie
between steps and the short last window of an epoch is weighted like any other. What a subclass adds is what an item of
a window is (an example, or a pair of answers), its loss, and what is measured of it.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tradewright.algorithm import random_state
from tradewright.algorithm.fine_tuning_settings import FineTuningSettings
from tradewright.algorithm.flops import FlopCount, peak_tflops
from tradewright.algorithm.schedule import lr_factor
from tradewright.algorithm.text_batches import FixedWindows, Item, Layout, TrainingWindows, Window
from tradewright.algorithm.text_examples import DATA_REPORT, LengthReport, as_report, tokenise
from tradewright.algorithm.text_meter import SPEED, TextMeter
from tradewright.algorithm.trained_weights import (
    describe_base,
    load_trained_state,
    require_same_base,
    trained_state,
)
from tradewright.algorithm.window_module import WindowModule
from tradewright.errors import ConfigError, RunError
from tradewright.examples.example import Example
from tradewright.model.checkpointing import set_checkpointing
from tradewright.model.loaded_model import LoadedModel
from tradewright.model.masked_head import causal_model, check_head
from tradewright.output import write_json

log = logging.getLogger(__name__)


class FineTuning(WindowModule):
    """Fits a language model to items.

    Args:
        loaded: The model, with its adapter where it has one; what requires gradients is trained.
        items: Tokens of the training and the validation set, by name.
        reports: Their counts.
        seed: Of the order.
        validate: Judges the module on the validation range; its figures are logged under ``validation/``.
        settings: How it is trained.

    Raises:
        ValueError: A pack could not hold the longest item.
    """

    learns_from: ClassVar[str] = "text"
    trains_in_parallel: ClassVar[bool] = False
    unit: ClassVar[str] = "steps"
    """Of the x-axis of every curve: optimizer steps."""
    learns_from_pairs: ClassVar[bool] = False
    """Whether an item is a pair of answers, so that what the training changes can be told from where it began."""
    meter_type: ClassVar[type[TextMeter]] = TextMeter
    """What measures the training."""
    option: ClassVar[str]
    """Name of the option, which is also the key of what the module adds to a checkpoint."""

    def __init__(
        self,
        *,
        loaded: LoadedModel,
        items: Mapping[str, Sequence[Item]],
        reports: Mapping[str, LengthReport],
        seed: int,
        validate: Callable[[Any], dict[str, float]] | None,
        settings: FineTuningSettings,
    ) -> None:
        tokens = settings.tokens_per_batch if settings.packing else None
        layout = Layout(pad_id=loaded.tokenizer.pad_token_id, batch_size=settings.batch_size, tokens=tokens)
        super().__init__(model=loaded.model, layout=layout, head_chunk=settings.head_chunk)
        self.loaded, self.validate, self.settings = loaded, validate, settings
        self.log_every = settings.log_every
        self.data_report = as_report(reports)
        """Content of ``data_report.json``."""
        longest = max(report.longest for report in reports.values())
        if tokens is not None and tokens < longest:
            raise ValueError(f"tokens_per_batch must be >= {longest}, the longest example, was {tokens}")
        self.windows = TrainingWindows(
            items["train"], window_size=settings.window_size, bucket_windows=settings.bucket_windows, seed=seed
        )
        self.validation_windows = FixedWindows(items["validation"], window_size=settings.window_size)
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
        """Optimizer steps of an epoch, ``ceil(items / (batch_size x accumulation))``."""
        return len(self.windows)

    @property
    def max_epochs(self) -> int:
        """Passes over the training set."""
        return self.settings.epochs

    @property
    def total_frames(self) -> int:
        """Optimizer steps of the training."""
        return self.frames_per_epoch * self.settings.epochs

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
            raise ConfigError(
                f"trainer.accumulate_grad_batches must be 1; algorithm={self.option} has algorithm.accumulation"
            )
        if trainer.world_size != 1:
            raise ConfigError(f"trainer.devices must be 1 for algorithm={self.option}, was {trainer.world_size}")
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
        if self.settings.gradient_checkpointing:
            set_checkpointing(causal_model(self.model), is_on=True)
        peak = self.settings.peak_tflops or peak_tflops(self.device, str(self.trainer.precision))
        flops = FlopCount.of(self.model, is_recomputing=self.settings.gradient_checkpointing)
        self.meter = self.meter_type(flops, peak)
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
        settings = self.settings
        trained = [one for one in self.model.parameters() if one.requires_grad]
        groups = [
            {"params": [one for one in trained if one.ndim >= 2], "weight_decay": settings.weight_decay},
            {"params": [one for one in trained if one.ndim < 2], "weight_decay": 0.0},
        ]
        # one kernel, except where Lightning must unscale gradients before they are clipped
        is_fused = str(self.trainer.precision) != "16-mixed"
        optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=settings.lr, betas=settings.betas, fused=is_fused, foreach=None if is_fused else True,
        )  # fmt: skip
        num_steps = max(1, int(self.trainer.estimated_stepping_batches))
        factor = lr_factor(
            settings.lr_schedule,
            num_steps=num_steps,
            warmup=settings.warmup,
            final_fraction=settings.final_lr_fraction,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_fit_end(self) -> None:
        """Say how long it took, and leave the model as it was found: generation has no use for recomputation."""
        write_json(Path(self.trainer.default_root_dir) / SPEED, self.meter.speed)
        if self.settings.gradient_checkpointing:
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
        """Log what the kind of meter makes of the sums, and what ``validate`` finds."""
        total = torch.stack([sums for sums, _ in self._validated]).double().sum(dim=0)
        figures = self.meter_type.figures(total, sum(number for _, number in self._validated))
        if "perplexity" in figures:
            report = self.data_report["validation"]
            figures["characters_per_target"] = report["num_characters"] / report["num_targets"]
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
            overlong=self.settings.overlong,
            name="judged",
        )
        scored = self._scored(self._score, tokens)
        return float(sum(float(nll) for nll, _ in scored) / sum(number for _, number in scored))

    def margins(self, examples: Sequence[Example]) -> npt.NDArray[np.float64]:
        """Return by how much the reward of preferred answers is the higher one; empty: there are no rewards here."""
        return np.empty(0)

    def _scored(self, score: Callable[[Window], list[Any]], items: Sequence[Item]) -> list[Any]:
        """Return what a function makes of the windows of items, in evaluation mode."""
        was_training = self.model.training
        self.model.eval()
        try:
            windows = FixedWindows(items, window_size=self.settings.window_size)
            return [one for window in windows for one in score(window)]
        finally:
            self.model.train(was_training)

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
        checkpoint[self.option] = {
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
        if self.option not in checkpoint:
            raise RunError(
                f"the checkpoint was not written by algorithm={self.option}; resume with the algorithm of its run"
            )
        saved = checkpoint[self.option]
        require_same_base(saved["base"], describe_base(self, self.loaded.facts))
        self.layout = Layout(pad_id=self.layout.pad_id, batch_size=saved["batch_size"], tokens=saved["tokens"])
        self._random, self._is_restored, self._saved_meter = saved["random"], True, saved["meter"]
