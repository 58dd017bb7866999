"""Markets for networks on labels: real bars, random features, and a target whose labels are planted in them.

Legend: T bars, F features.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np

from swap_cases import random_swap_panel
from tradewright.algorithm.label_batches import LabelDataModule
from tradewright.algorithm.multitask import Multitask
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range, Ranges
from tradewright.features.features import Features
from tradewright.model.lstm import LSTM
from tradewright.target.forward import forward_return
from tradewright.target.label_sets import LabelledMarket
from tradewright.target.labels import Labels

HORIZON = 5
READY = 10
"""First bar whose features are known."""
SMALL = partial(LSTM, memory=16, hidden=[16])


@dataclass(frozen=True)
class Planted:
    """Side by the sum of the first two features of the bar, size by the third.

    Args:
        x_TF: The features.
    """

    x_TF: np.ndarray
    horizon_bars: int = 0

    @property
    def facts(self) -> dict[str, Any]:
        return {}

    def fit(self, panel: Panel, training: Sequence[Range]) -> "Planted":
        return self

    def label(self, panel: Panel) -> Labels:
        score_T = self.x_TF[:, 0] + self.x_TF[:, 1]
        side_T = np.where(np.isnan(score_T), np.nan, np.where(np.abs(score_T) > 0.7, np.sign(score_T), 0.0))
        size_T = np.where(side_T == 0, 0.0, 0.06 + 0.03 * np.tanh(self.x_TF[:, 2]))
        return Labels(
            side_TN=side_T[:, None], size_TN=size_T[:, None], cause_TN=np.zeros((len(side_T), 1), dtype=np.int64)
        )


def planted_market(num_swaps: int = 2_500, seed: int = 0, panel: Panel | None = None) -> LabelledMarket:
    """Return a market whose fourth feature tells the return of the next bars: what may be learnt is known."""
    panel = random_swap_panel(num_swaps, seed=seed) if panel is None else panel
    num = panel.num_bars
    x_TF = np.random.default_rng(seed).normal(size=(num, 4))
    return_T = np.nan_to_num(forward_return(panel, HORIZON)[:, 0])
    x_TF[:, 3] = return_T / return_T.std()
    x_TF[:READY] = np.nan
    features = Features(
        x_TNF=x_TF[:, None].astype(np.float32), names_F=("first", "second", "third", "fourth"), ready_from=READY
    )
    ranges = Ranges(
        train=Range(0, int(0.7 * num)),
        validation=Range(int(0.72 * num), int(0.85 * num)),
        test=Range(int(0.87 * num), num),
    )
    return LabelledMarket(panel, features, ranges, Planted(x_TF))


def multitask_of(market: LabelledMarket, **keys: Any) -> Multitask:
    """Return a small network over windows of four bars."""
    given = {"epochs": 2, "batch_size": 64, "lr": 3e-3, "window": 4, "horizon_bars": HORIZON, "log_every": 5}
    return Multitask(market=market, model=keys.pop("model", SMALL), seed=keys.pop("seed", 0), **{**given, **keys})


def trainer_of(folder: Path, **keys: Any) -> lightning.Trainer:
    """Return a trainer as a run has one."""
    given = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False,
             "enable_model_summary": False, "num_sanity_val_steps": 0, "gradient_clip_val": 0.5,
             "deterministic": True, "enable_checkpointing": bool(keys.get("callbacks"))}  # fmt: skip
    return lightning.Trainer(default_root_dir=folder, **{**given, **keys})


def fit(module: Multitask, folder: Path, checkpoint: Path | None = None, **keys: Any) -> Multitask:
    """Train the module."""
    trainer = trainer_of(folder, max_epochs=keys.pop("max_epochs", module.max_epochs), **keys)
    with warnings.catch_warnings():
        # said of every run that keeps its checkpoints in one place, see task/train.py
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        trainer.fit(module, LabelDataModule(module), ckpt_path=checkpoint, weights_only=True)
    return module
