"""``algorithm=multitask``: one network over a window of bars, three heads: side, size and the return to come.

loss = w_side·CE(side) + w_size·MSE(size) + w_horizon·MSE(return)

Sizes and returns are measured in deviations of the training set, so that the three are of one magnitude and an MSE of
1 is what predicting the mean costs. A HOLD has no size: the size loss is the mean over the bars with a side, and 0
where a batch has none. The size head ends in a sigmoid: every size that it can say is a fraction of equity.
Legend: B examples, W window, F features, T bars, R rows of a range, L = 3 sides in the order of ``ACTIONS``.
"""

import logging
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewright.algorithm.label_batches import LabelBatch, LabelBatches, TrainingBatches
from tradewright.algorithm.schedule import SCHEDULES, LrSchedule, lr_factor
from tradewright.config.runtime import Runtime
from tradewright.data.ranges import Range
from tradewright.env.market_tensors import gather_window
from tradewright.errors import ConfigError, RunError
from tradewright.features.features import Features
from tradewright.metrics.temperature import fit_temperature
from tradewright.model.encoder import BarModel
from tradewright.strategy.forecast import Forecasts
from tradewright.target.label_sets import LabelledMarket
from tradewright.target.labels import ACTIONS

log = logging.getLogger(__name__)

PARTS = ("side", "size", "horizon")
"""Of the loss."""
SAVED = "multitask"
"""Key of what the module adds to a checkpoint."""
BATCH = 2048
"""Windows that are forecast at once."""


class Said(NamedTuple):
    """What the heads say of a batch.

    Args:
        logits_BL: Of the sides.
        size_B: Fraction of equity, in (0, 1).
        horizon_B: Return, in deviations from the mean of the training set.
    """

    logits_BL: Tensor
    size_B: Tensor
    horizon_B: Tensor


class Multitask(lightning.LightningModule):
    """Fits a network to labels.

    Args:
        market: Bars, features, ranges and what labels them.
        model: Encoder of the window, built with its widths.
        seed: Of the first weights and the order of the examples.
        validate: Judges the module on the validation range; its figures are logged under ``validation/``.
        epochs: Passes over the training set, >= 1.
        batch_size: Examples per optimizer step, >= 1.
        lr: Highest learning rate, > 0.
        lr_schedule: ``constant``, ``linear`` or ``cosine``.
        weight_decay: Of matrices, >= 0; biases are not decayed.
        window: W, bars that an example shows, >= 1.
        horizon_bars: Bars that the forecast return looks ahead, >= 1.
        side_weight, size_weight, horizon_weight: Of the parts of the loss, >= 0, one of them above 0.
        log_every: Optimizer steps between two points of the curves, >= 1.

    Raises:
        ValueError: An argument is out of range.
        DataError: The market has no labels to learn from.
    """

    learns_from: ClassVar[str] = "labels"
    learns_from_reward: ClassVar[bool] = False
    trains_in_parallel: ClassVar[bool] = False
    unit: ClassVar[str] = "steps"
    """Of the x-axis of every curve: optimizer steps."""
    size_moments: Tensor
    """Mean and deviation of the training set, float64; likewise of the return."""
    horizon_moments: Tensor
    temperature: Tensor

    def __init__(
        self,
        *,
        market: Runtime[LabelledMarket],
        model: Runtime[Callable[..., BarModel]],
        seed: Runtime[int],
        validate: Runtime[Callable[[Any], dict[str, float]] | None] = None,
        epochs: int = 10,
        batch_size: int = 32,
        lr: float = 5e-4,
        lr_schedule: LrSchedule = "constant",
        weight_decay: float = 0.01,
        window: int = 30,
        horizon_bars: int = 10,
        side_weight: float = 1.0,
        size_weight: float = 1.0,
        horizon_weight: float = 1.0,
        log_every: int = 50,
    ) -> None:
        super().__init__()
        for name, count in (
            ("epochs", epochs), ("batch_size", batch_size), ("window", window), ("horizon_bars", horizon_bars),
            ("log_every", log_every),
        ):  # fmt: skip
            if count < 1:
                raise ValueError(f"{name} must be >= 1, was {count}")
        if not lr > 0:
            raise ValueError(f"lr must be > 0, was {lr}")
        if lr_schedule not in SCHEDULES:
            raise ValueError(f"lr_schedule must be one of {', '.join(SCHEDULES)}, was {lr_schedule!r}")
        if weight_decay < 0:
            raise ValueError(f"weight_decay must be >= 0, was {weight_decay}")
        self.weights = dict(zip(PARTS, (side_weight, size_weight, horizon_weight), strict=True))
        for name, weight in self.weights.items():
            if not weight >= 0:
                raise ValueError(f"{name}_weight must be >= 0, was {weight}")
        if not any(self.weights.values()):
            raise ValueError("side_weight, size_weight and horizon_weight must not all be 0: nothing would be learnt")
        self.validate, self.epochs, self.batch_size = validate, epochs, batch_size
        self.lr, self.lr_schedule, self.weight_decay = lr, lr_schedule, weight_decay
        self.window, self.log_every = window, log_every
        self.num_processes = 1
        self.logged_at = -1
        """Step of the newest point of the curves."""
        self.sets = market.sets(window=window, horizon_bars=horizon_bars)
        features = _flat(market.features)
        self.batches = TrainingBatches(features, self.sets.train, window=window, batch_size=batch_size, seed=seed)
        self.validation_batches = LabelBatches(features, self.sets.validation, window=window, batch_size=BATCH)
        self._build(model, features.shape[1], seed)
        self._sums = torch.zeros(len(PARTS) + 2, dtype=torch.float64)
        """Of the parts since the last point, then examples and those with a side."""
        self._validated: list[tuple[Tensor, Said, Tensor]] = []

    def _build(self, model: Callable[..., BarModel], num_features: int, seed: int) -> None:
        """Build encoder and heads from the seed; the heads start at the means of the training set."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = model(in_features=self.window * num_features, window=self.window, num_features=num_features)
            self.heads = nn.ModuleDict(
                {
                    name: nn.Linear(self.model.out_features, width)
                    for name, width in zip(PARTS, (len(ACTIONS), 1, 1), strict=True)
                }
            )
        self.register_buffer("size_moments", torch.tensor(self.sets.size, dtype=torch.float64))
        self.register_buffer("horizon_moments", torch.tensor(self.sets.horizon, dtype=torch.float64))
        self.register_buffer("temperature", torch.ones((), dtype=torch.float64))
        mean = self.sets.size[0]
        with torch.no_grad():
            self._head("size").bias.fill_(math.log(mean) - math.log1p(-min(mean, 1 - 1e-6)))

    def _head(self, name: str) -> nn.Linear:
        head = self.heads[name]
        assert isinstance(head, nn.Linear)
        return head

    # What callbacks ask of an algorithm

    @property
    def warm_up_frames(self) -> int:
        """Steps before the first update: none."""
        return 0

    @property
    def frames_per_epoch(self) -> int:
        """Optimizer steps of an epoch, ``ceil(examples / batch_size)``."""
        return len(self.batches)

    @property
    def max_epochs(self) -> int:
        """Passes over the training set."""
        return self.epochs

    @property
    def frames(self) -> int:
        """Optimizer steps so far; the x-axis of every curve."""
        return self.trainer.global_step

    # The network and its loss

    def forward(self, window_BWF: Tensor) -> Said:
        """Return what the heads say of windows."""
        code_BH = self.model(window_BWF.flatten(-2))
        size_B = torch.sigmoid(self.heads["size"](code_BH)[:, 0])
        return Said(self.heads["side"](code_BH), size_B, self.heads["horizon"](code_BH)[:, 0])

    def parts(self, said: Said, batch: LabelBatch) -> Tensor:
        """Return the sums of the parts over a batch, the number of its examples and of those with a side, float64."""
        has_side_B = ~torch.isnan(batch.size_B)
        side = functional.cross_entropy(said.logits_BL, batch.side_B, reduction="sum")
        size_B = (said.size_B - torch.where(has_side_B, batch.size_B, 0.0)) / self.size_moments[1].float()
        size = torch.where(has_side_B, size_B.square(), 0.0).sum()
        mean, deviation = self.horizon_moments.float()
        horizon = (said.horizon_B - (batch.horizon_B - mean) / deviation).square().sum()
        counts = torch.stack((torch.full_like(side, len(batch.side_B)), has_side_B.sum().to(side.dtype)))
        return torch.cat((torch.stack((side, size, horizon)), counts)).double()

    def losses(self, sums: Tensor) -> dict[str, Tensor]:
        """Return the mean of every part and ``loss``, their weighted sum."""
        side, size, horizon, num, num_sided = sums
        found = {"side_loss": side / num, "size_loss": size / num_sided.clamp(min=1.0), "horizon_loss": horizon / num}
        total = sum(self.weights[name] * found[f"{name}_loss"] for name in PARTS)
        return {"loss": torch.as_tensor(total), **found}

    # Training

    def setup(self, stage: str) -> None:
        """Check that the trainer fits.

        Raises:
            ConfigError: It has several processes, or gathers batches.
        """
        if self.trainer.world_size != 1:
            raise ConfigError(f"trainer.devices must be 1 for algorithm=multitask, was {self.trainer.world_size}")
        if self.trainer.accumulate_grad_batches != 1:
            raise ConfigError("trainer.accumulate_grad_batches must be 1 for algorithm=multitask; raise batch_size")

    def training_step(self, batch: LabelBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch; log a point every so many steps and at the end of an epoch."""
        sums = self.parts(self(batch.window_BWF), batch)
        self._sums = self._sums.to(sums.device) + sums.detach()
        step = self.trainer.global_step + 1
        if step % self.log_every == 0 or batch_idx + 1 == self.frames_per_epoch:
            self._log_point(step)
        return self.losses(sums)["loss"].float()

    def _log_point(self, step: int) -> None:
        """Log what was learnt since the last point; the step is about to be taken."""
        points = {f"train/{name}": float(value) for name, value in self.losses(self._sums).items()}
        points["train/lr"] = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        self._sums = torch.zeros_like(self._sums)
        self.logged_at = step
        self.log_dict(points, batch_size=1, logger=False)
        for logger in self.trainer.loggers:
            logger.log_metrics(points, step=step)

    def configure_optimizers(self) -> Any:
        """Return AdamW, which decays matrices only, and its learning rate."""
        trained = list(self.parameters())
        groups = [
            {"params": [one for one in trained if one.ndim >= 2], "weight_decay": self.weight_decay},
            {"params": [one for one in trained if one.ndim < 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.lr, foreach=True)
        num_steps = max(1, int(self.trainer.estimated_stepping_batches))
        factor = lr_factor(self.lr_schedule, num_steps=num_steps, warmup=0, final_fraction=0.0)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # Validation

    def on_validation_start(self) -> None:
        """Forget the last validation."""
        self._validated = []

    def validation_step(self, batch: LabelBatch, batch_idx: int) -> None:
        """Score one batch."""
        said = self(batch.window_BWF)
        self._validated.append((self.parts(said, batch), said, batch.side_B))

    def on_validation_epoch_end(self) -> None:
        """Calibrate the probabilities; log the parts of the loss and what ``validate`` finds."""
        sums = torch.stack([sums for sums, _, _ in self._validated]).sum(0)
        logits_BL = torch.cat([said.logits_BL for _, said, _ in self._validated])
        side_B = torch.cat([side_B for _, _, side_B in self._validated])
        self._validated = []
        self.temperature.fill_(fit_temperature(_probabilities(logits_BL), side_B.cpu().numpy()))
        figures = {name: float(value) for name, value in self.losses(sums).items()}
        if self.validate is not None and not self.trainer.sanity_checking:
            figures |= self.validate(self)
        self.log_dict({f"validation/{name}": value for name, value in figures.items()}, batch_size=1)

    # Forecasts

    @property
    def calibration(self) -> float:
        """Temperature of the probabilities, found in the last validation; it travels in the checkpoint."""
        return float(self.temperature)

    @torch.no_grad()
    def predict(self, features: Features, row_B: np.ndarray) -> Forecasts:
        """Return what the network says of flat rows ``n * T + t`` whose windows are known; probabilities are raw."""
        flat, rows = _flat(features), torch.from_numpy(np.asarray(row_B, dtype=np.int64))
        was_training = self.training
        self.eval()
        try:
            said = [self(gather_window(flat, part, self.window).to(self.device)) for part in rows.split(BATCH)]
        finally:
            self.train(was_training)
        mean, deviation = self.horizon_moments.tolist()
        return Forecasts(
            probabilities_RL=np.concatenate([_probabilities(one.logits_BL) for one in said]),
            size_R=np.concatenate([one.size_B.double().cpu().numpy() for one in said]),
            horizon_R=np.concatenate([one.horizon_B.double().cpu().numpy() for one in said]) * deviation + mean,
        )

    def forecast(self, features: Features, rows: Range) -> Forecasts:
        """Return what the network says of the bars of the one instrument; see ``Forecaster``."""
        first = max(rows.start, features.ready_from + self.window - 1)
        num_unknown = min(first, rows.stop) - rows.start
        found = Forecasts(
            probabilities_RL=np.full((len(rows), len(ACTIONS)), np.nan),
            size_R=np.full(len(rows), np.nan),
            horizon_R=np.full(len(rows), np.nan),
        )
        if num_unknown < len(rows):
            known = self.predict(features, np.arange(first, rows.stop))
            for name in ("probabilities_RL", "size_R", "horizon_R"):
                getattr(found, name)[num_unknown:] = getattr(known, name)
        return found

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the sums of the curves, for checkpoints within an epoch."""
        checkpoint[SAVED] = {"sums": self._sums.cpu()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back.

        Raises:
            RunError: The checkpoint is of another algorithm.
        """
        if SAVED not in checkpoint:
            raise RunError("the checkpoint was not written by algorithm=multitask; resume with the run's algorithm")
        self._sums = checkpoint[SAVED]["sums"]


def _flat(features: Features) -> Tensor:
    """Return the features as ``[N*T, F]``, a copy in memory."""
    x_NTF = np.ascontiguousarray(np.asarray(features.x_TNF, dtype=np.float32).swapaxes(0, 1))
    return torch.from_numpy(x_NTF.reshape(-1, x_NTF.shape[-1]).copy())


def _probabilities(logits_BL: Tensor) -> np.ndarray:
    return torch.softmax(logits_BL.double(), dim=-1).cpu().numpy()
