"""``SFTDataModule``: the windows of a language model's training and validation, and where their order stands."""

from typing import Any

import lightning
import torch

from tradewright.algorithm.text_batches import FixedWindows, TrainingWindows
from tradewright.errors import RunError


class SFTDataModule(lightning.LightningDataModule):
    """Hands an ``SFT`` its windows; saves and restores their order.

    Args:
        module: The algorithm. It is not registered as a submodule of anything.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.windows: TrainingWindows = module.windows
        self.validation: FixedWindows = module.validation_windows

    def train_dataloader(self) -> TrainingWindows:
        """Return the windows from where the order stands."""
        return self.windows

    def val_dataloader(self) -> FixedWindows:
        """Return the windows of the validation set."""
        return self.validation

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave windows on the host: only what memory holds at a time is moved, by the module."""
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return where the order stands, and of what it is an order."""
        return {
            **self.windows.state_dict(),
            "num_examples": len(self.windows.examples),
            "size": self.windows.window_size,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            RunError: It belongs to other examples or another effective batch.
        """
        for key, name, now in (
            ("num_examples", "examples", len(self.windows.examples)),
            ("size", "examples per optimizer step", self.windows.window_size),
        ):
            if state_dict.get(key) != now:
                raise RunError(
                    f"the checkpoint was trained on {state_dict.get(key)} {name}, now there are {now}; resume with the"
                    " same data, algorithm.batch_size and algorithm.accumulation, or start the run anew"
                )
        self.windows.load_state_dict(state_dict)
