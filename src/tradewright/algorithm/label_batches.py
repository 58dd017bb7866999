"""Batches of labelled windows, in an order that has a state, and ``LabelDataModule``, which hands them to Lightning.

Legend: B examples of a batch, W window, F features, T bars, N instruments.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import lightning
import torch
from torch import Tensor

from tradewright.env.market_tensors import gather_window
from tradewright.errors import RunError
from tradewright.target.label_sets import LabelSet

SEED_STRIDE = 1_000_003
"""Keeps the orders of neighbouring seeds apart, for as many epochs."""


class LabelBatch(NamedTuple):
    """Windows and what a network shall say of them.

    Args:
        window_BWF: float32, the oldest bar first.
        side_B: Index into ``ACTIONS``.
        size_B: float32; NaN: there is none.
        horizon_B: float32.
    """

    window_BWF: Tensor
    side_B: Tensor
    size_B: Tensor
    horizon_B: Tensor


class LabelBatches:
    """All examples of a set in batches, the last of which may be smaller.

    Args:
        features: ``[N*T, F]`` float32.
        examples: Whose windows are gathered.
        window: W.
        batch_size: Examples per batch, >= 1.
    """

    def __init__(self, features: Tensor, examples: LabelSet, *, window: int, batch_size: int) -> None:
        self.features, self.window, self.batch_size = features, window, batch_size
        self.num_examples = len(examples)
        self._row = torch.from_numpy(examples.row_B)
        self._side = torch.from_numpy(examples.side_B)
        self._size = torch.from_numpy(examples.size_B).float()
        self._horizon = torch.from_numpy(examples.horizon_B).float()

    def __len__(self) -> int:
        """Batches of all examples."""
        return -(-self.num_examples // self.batch_size)

    def __iter__(self) -> Iterator[LabelBatch]:
        """Yield them in time order."""
        for part in torch.arange(self.num_examples).split(self.batch_size):
            yield self.gather(part)

    def gather(self, places: Tensor) -> LabelBatch:
        """Return the examples at some places of the set."""
        window_BWF = gather_window(self.features, self._row[places], self.window)
        return LabelBatch(window_BWF, self._side[places], self._size[places], self._horizon[places])


class TrainingBatches(LabelBatches):
    """The batches of every epoch in an order of its own: a loader for Lightning, with a state.

    Args:
        features: ``[N*T, F]`` float32.
        examples: Of the training set.
        window: W.
        batch_size: Examples per optimizer step, >= 1.
        seed: Of the order.
    """

    def __init__(self, features: Tensor, examples: LabelSet, *, window: int, batch_size: int, seed: int) -> None:
        super().__init__(features, examples, window=window, batch_size=batch_size)
        self.seed = seed
        self.epoch = 0
        self.num_fetched = 0
        """Batches of the epoch that were handed out."""

    def __iter__(self) -> Iterator[LabelBatch]:
        """Yield the batches from where the state stands; epochs follow one another without end."""
        while True:
            if self.num_fetched >= len(self):
                self.epoch, self.num_fetched = self.epoch + 1, 0
            epoch, order = self.epoch, self.order(self.epoch)
            while self.epoch == epoch and self.num_fetched < len(self):
                places = order[self.num_fetched]
                self.num_fetched += 1
                yield self.gather(places)

    def order(self, epoch: int) -> list[Tensor]:
        """Return the places of the examples of every batch of an epoch."""
        generator = torch.Generator().manual_seed(self.seed * SEED_STRIDE + epoch)
        return list(torch.randperm(self.num_examples, generator=generator).split(self.batch_size))

    def state_dict(self) -> dict[str, Any]:
        """Return where the order stands."""
        return {"epoch": self.epoch, "num_fetched": self.num_fetched}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.epoch, self.num_fetched = int(state_dict["epoch"]), int(state_dict["num_fetched"])


class LabelDataModule(lightning.LightningDataModule):
    """Hands a module its batches; saves and restores their order.

    Args:
        module: With ``batches`` and ``validation_batches``. It is not registered as a submodule of anything.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.batches: TrainingBatches = module.batches
        self.validation: LabelBatches = module.validation_batches

    def train_dataloader(self) -> TrainingBatches:
        """Return the batches from where the order stands."""
        return self.batches

    def val_dataloader(self) -> LabelBatches:
        """Return the batches of the validation set."""
        return self.validation

    def state_dict(self) -> dict[str, Any]:
        """Return where the order stands, and of what it is an order."""
        one = self.batches
        return {**one.state_dict(), "num_examples": one.num_examples, "batch_size": one.batch_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            RunError: It belongs to other examples or another batch size.
        """
        for name in ("num_examples", "batch_size"):
            saved, now = state_dict.get(name), getattr(self.batches, name)
            if saved != now:
                raise RunError(
                    f"the checkpoint was trained with {name}={saved}, now it is {now}; resume with the same data and"
                    " algorithm.batch_size, or start the run anew"
                )
        self.batches.load_state_dict(state_dict)
