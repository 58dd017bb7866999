"""``WindowModule``: one Lightning batch is one window, one window is one optimizer step.

Micro-batches run inside ``training_step``, forward and backward, under Lightning's automatic optimisation, which clips,
steps and schedules as ever. A window that does not fit into memory is done again in micro-batches of half the size,
from its start and the same random state: the examples and the target tokens that it is divided by stay the same, so
the gradient does too.
"""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import lightning
import torch
from torch import Tensor

from tradewright.algorithm import random_state
from tradewright.algorithm.out_of_memory import ADVICE, is_out_of_memory
from tradewright.algorithm.text_batches import Layout, MicroBatch, Window
from tradewright.algorithm.text_meter import TextMeter
from tradewright.errors import RunError
from tradewright.model.masked_head import causal_model, masked_nll
from tradewright.model.varlen_attention import packed_attention

log = logging.getLogger(__name__)

Scored = tuple[Tensor, int]
"""Sums of a micro-batch, and of how many targets or items."""


class WindowModule(lightning.LightningModule):
    """Base of what learns from windows of examples.

    Args:
        model: A causal language model; what requires gradients is trained.
        layout: How windows are laid out at first.
        head_chunk: Targets whose logits exist at a time, >= 1.
    """

    meter: TextMeter
    """Made when the training starts."""

    def __init__(self, *, model: Any, layout: Layout, head_chunk: int) -> None:
        super().__init__()
        self.model, self.head_chunk = model, head_chunk
        self.layout = layout
        """How windows are laid out now; running out of memory halves it."""
        self._validated: list[Scored] = []
        """What ``_judge`` returned of the running validation: sums and counts."""

    def training_step(self, batch: Window, batch_idx: int) -> Tensor:
        """Compute the gradient of one window; return its loss, detached."""
        drawn = random_state.capture_torch(self.device)
        while True:
            try:
                return self._learn(batch)
            except RuntimeError as error:  # also torch.OutOfMemoryError
                if not is_out_of_memory(error):
                    raise
            random_state.restore_torch(drawn, self.device)
            self._halve(batch)  # outside of the handler, whose traceback keeps the activations alive

    def _learn(self, window: Window) -> Tensor:
        """Run the micro-batches forward and backward; ``loss = sum over micro-batches / size of the window``."""
        self.zero_grad(set_to_none=True)
        size = self._size(window)
        done: list[tuple[MicroBatch, Tensor, Tensor]] = []
        with self._attending():
            for part in self.layout.split(window):
                batch = self.layout.lay_out(part).to(self.device)
                loss, sums = self._summed(batch, part)
                with torch.autocast(self.device.type, enabled=False):
                    self.trainer.strategy.backward(loss / size, None)
                done.append((batch, loss.detach(), sums))
        for batch, _, sums in done:
            self.meter.add(batch, sums)
        return torch.stack([loss for _, loss, _ in done]).sum() / size

    def _size(self, window: Window) -> int:
        """Return what the summed loss of a window is divided by: its target tokens."""
        return sum(one.num_targets for one in window)

    def _summed(self, batch: MicroBatch, part: Window) -> tuple[Tensor, Tensor]:
        """Return the summed loss of a micro-batch, and what is measured of it, detached: the same sum."""
        nll = self._nll(batch)
        return nll, nll.detach()

    def _attending(self) -> Any:
        """Return the context in which layers keep packed sequences apart, also when they are computed again."""
        return nullcontext() if self.layout.tokens is None else packed_attention(causal_model(self.model))

    def _nll(self, batch: MicroBatch) -> Tensor:
        return masked_nll(self.model, batch.inputs, batch.rows_K, batch.targets_K, chunk=self.head_chunk)

    def _halve(self, window: Window) -> None:
        """Lay windows out in micro-batches of half the size.

        Raises:
            RunError: They hold one example already.
        """
        self.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        layout = self.layout.halved(window)
        if layout is None:
            longest = max(map(len, window))
            raise RunError(f"out of memory with one example of {longest} tokens at a time; {ADVICE}")
        log.warning(
            "out of memory: micro-batches are halved to %s, so that a step of %d examples takes more of them; to start"
            " there set algorithm.batch_size and algorithm.accumulation, or algorithm.tokens_per_batch",
            f"{layout.batch_size} examples" if layout.tokens is None else f"{layout.tokens} tokens",
            len(window),
        )
        self.layout = layout

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run backward, once per micro-batch; what Lightning hands over after the window is detached."""
        if loss.requires_grad:
            loss.backward(*args, **kwargs)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        """Keep the gradients: Lightning would clear them after the window's backward passes; ``_learn`` did before."""

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step; memory that runs out here, where the optimizer makes its state, cannot be saved by smaller batches.

        Raises:
            RunError: Out of memory.
        """
        try:
            super().optimizer_step(*args, **kwargs)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise RunError(f"out of memory in the optimizer's step; {ADVICE}") from None

    def validation_step(self, batch: Window, batch_idx: int) -> None:
        """Score one window."""
        self._validated += self._fitting(self._judge, batch)

    def _fitting(self, score: Callable[[Window], list[Any]], window: Window) -> list[Any]:
        """Return the scores of a window, in smaller micro-batches where memory runs out."""
        while True:
            try:
                return score(window)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            self._halve(window)

    def _judge(self, window: Window) -> list[Scored]:
        """Return what validation sums up: the negative log-likelihood of the targets."""
        return self._score(window)

    def _score(self, window: Window) -> list[Scored]:
        """Return summed negative log-likelihood and number of the targets of each micro-batch."""
        scored = []
        with self._attending():
            for part in self.layout.split(window):
                batch = self.layout.lay_out(part).to(self.device)
                scored.append((self._nll(batch), batch.num_targets))
        return scored
