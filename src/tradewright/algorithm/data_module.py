"""``AgentDataModule``: the training stream and everything a bit-exact resume needs, kept out of the LightningModule.

Lightning restores a stateful loader only in the middle of an epoch, so the state travels in the data module; it is put
back when training starts, because Lightning itself draws random numbers before that.
"""

from typing import Any

import lightning
import torch

from tradewright.algorithm.agent import AgentModule


class OneBatch:
    """A sized loader of one empty batch: validation is one backtest."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        yield 0


class AgentDataModule(lightning.LightningDataModule):
    """Hands the agent its stream; saves and restores the stream's state.

    Args:
        agent: The algorithm. It is not registered as a submodule of anything.
    """

    def __init__(self, agent: AgentModule) -> None:
        super().__init__()
        self.agent = agent
        self.stream: Any = None
        self._restored: dict[str, Any] | None = None

    def train_dataloader(self) -> Any:
        """Return the stream, built once, when the networks are on their device."""
        if self.stream is None:
            self.stream = self.agent.stream()
            if self._restored is not None:
                self.stream.load_state_dict(self._restored)
        return self.stream

    def val_dataloader(self) -> OneBatch:
        """Return one batch: one backtest."""
        return OneBatch()

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Batches are born on the right device."""
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the stream's state; tensors, numbers and texts only, so that safe loading accepts it."""
        return {"stream": self.stream.state_dict()} if self.stream is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until the stream exists."""
        self._restored = state_dict.get("stream")
        if self.stream is not None and self._restored is not None:
            self.stream.load_state_dict(self._restored)
