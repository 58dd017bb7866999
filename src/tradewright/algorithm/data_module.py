"""``AgentDataModule``: the training stream and everything a bit-exact resume needs, kept out of the LightningModule.

Lightning restores a stateful loader only in the middle of an epoch, so the state travels in the data module; it is put
back when training starts, because Lightning itself draws random numbers before that.
"""

import logging
from collections.abc import Iterator
from typing import Any

import lightning
import torch

from tradewright.algorithm.agent import AgentModule
from tradewright.algorithm.stream import Stream
from tradewright.distributed import gathered, num_processes, rank
from tradewright.errors import RunError


class OneBatch:
    """A sized loader of one empty batch: validation is one backtest."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        yield 0


class Batches:
    """The batches of a stream, without its state: Lightning would save that of the first process a second time.

    Args:
        stream: Collects and yields.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __len__(self) -> int:
        return len(self.stream)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.stream)


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

    def train_dataloader(self) -> Batches:
        """Return the batches of the stream, which is built once, when the networks are on their device."""
        if self.stream is None:
            self._quieten()
            self.stream = self.agent.stream()
            if self._restored is not None:
                self.stream.load_state_dict(self._restored)
        return Batches(self.stream)

    def _quieten(self) -> None:
        """Let only the first of several processes speak."""
        if rank() > 0:
            logging.getLogger("tradewright").setLevel(logging.WARNING)

    def val_dataloader(self) -> OneBatch:
        """Return one batch: one backtest."""
        return OneBatch()

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Batches are born on the right device."""
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the streams of all processes; tensors, numbers and texts only, so that safe loading accepts them."""
        assert self.stream is not None, "checkpoints are written in training"
        return {"streams": gathered(self.stream.state_dict())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until the stream exists.

        Raises:
            RunError: It was saved by another number of processes, or by a version that kept one stream only.
        """
        if "streams" not in state_dict:
            raise RunError("the checkpoint was written by an older version; start the run anew")
        streams = state_dict["streams"]
        if len(streams) != num_processes():
            raise RunError(
                f"trainer.devices: the checkpoint was written by {len(streams)} processes, now there are"
                f" {num_processes()}; resume with as many"
            )
        self._restored = streams[rank()]
        if self.stream is not None and self._restored is not None:
            self.stream.load_state_dict(self._restored)
