"""Windows and micro-batches of a language model's training, in an order that a resumed run continues to the bit.

A *window* is what one optimizer step learns from: ``batch_size x accumulation`` examples. Its *micro-batches* are what
the memory holds at a time: padded rows of similar length, or one row in which examples are packed up to a budget of
tokens. How a window is laid out changes how a step is computed, never what: the loss of every micro-batch is divided by
the target tokens of its whole window. (The mean of micro-batch means gives short completions the weight of long ones:
435 % gradient error for lengths 200, 3, 150 and 10.)
The order is a pure function of seed and epoch, so (epoch, windows fetched) is the whole state.
Legend: B rows, L tokens of a row, K targets, S packed sequences.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from tradewright.algorithm.text_examples import TokenExample

ORDER_STREAM = 3
SEED_STRIDE, EPOCH_STRIDE = 1_000, 1_000_003
"""The order of an epoch is seeded with ``(seed * SEED_STRIDE + ORDER_STREAM) * EPOCH_STRIDE + epoch``."""


class Item(Protocol):
    """What an order and a layout are of: one example, or a pair of answers that stay together."""

    def __len__(self) -> int:
        """Tokens."""
        ...

    @property
    def num_targets(self) -> int:
        """Tokens that are learnt."""
        ...

    @property
    def sequences(self) -> tuple[TokenExample, ...]:
        """What is laid out of it, in order."""
        ...


Window = tuple[Any, ...]
"""Items of one optimizer step."""


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """Examples laid out for one forward and backward.

    Args:
        inputs: Keywords of the model's backbone.
        rows_K: Positions in ``[B * L]`` that predict a target.
        targets_K: What they should predict.
        num_examples: Items in it: examples, or pairs.
        num_tokens: Tokens of its examples, without padding.
        is_packed: The model must attend within sequences.
        counts: Targets of each sequence, in the order of ``rows_K``.
    """

    inputs: dict[str, Any]
    rows_K: Tensor
    targets_K: Tensor
    num_examples: int
    num_tokens: int
    is_packed: bool
    counts: tuple[int, ...]

    @property
    def num_targets(self) -> int:
        """K."""
        return len(self.targets_K)

    @property
    def num_computed(self) -> int:
        """Tokens that the backbone computes, padding included."""
        return int(self.inputs["input_ids"].numel())

    def to(self, device: torch.device) -> "MicroBatch":
        """Return it on a device."""
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in self.inputs.items()}
        rows_K, targets_K = self.rows_K.to(device), self.targets_K.to(device)
        return MicroBatch(moved, rows_K, targets_K, self.num_examples, self.num_tokens, self.is_packed, self.counts)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a window becomes micro-batches.

    Args:
        pad_id: Fills padded rows; it is neither seen nor learnt.
        batch_size: Most examples of a padded micro-batch, >= 1.
        tokens: Most tokens of a packed one; a longer example is packed alone. None: pad.
    """

    pad_id: int
    batch_size: int
    tokens: int | None = None

    def split(self, window: Sequence[Item]) -> list[Window]:
        """Return the examples of each micro-batch: neighbours in length, or packs filled first fit, longest first."""
        ordered = sorted(window, key=len, reverse=True)
        if self.tokens is None:
            return [tuple(ordered[i : i + self.batch_size]) for i in range(0, len(ordered), self.batch_size)]
        packs: list[tuple[int, list[Item]]] = []
        for one in ordered:
            for number, (used, pack) in enumerate(packs):
                if used + len(one) <= self.tokens:
                    packs[number] = (used + len(one), [*pack, one])
                    break
            else:
                packs.append((len(one), [one]))
        return [tuple(pack) for _, pack in packs]

    def lay_out(self, items: Sequence[Item]) -> MicroBatch:
        """Return one micro-batch."""
        examples = [sequence for one in items for sequence in one.sequences]
        batch = pad(examples, self.pad_id) if self.tokens is None else pack(examples)
        return batch if len(items) == len(examples) else replace(batch, num_examples=len(items))

    def halved(self, window: Sequence[Item]) -> "Layout | None":
        """Return a layout whose largest micro-batch of ``window`` has half the examples or tokens; None at one example.

        The window stays what it is, so twice as many micro-batches make the same gradient.
        """
        if max(map(len, self.split(window))) == 1:
            return None
        largest = max(sum(map(len, part)) for part in self.split(window))
        size = max(1, min(self.batch_size, len(window)) // 2)
        tokens = None if self.tokens is None else max(1, min(self.tokens, largest) // 2)
        return Layout(pad_id=self.pad_id, batch_size=size, tokens=tokens)


def pad(examples: Sequence[TokenExample], pad_id: int) -> MicroBatch:
    """Lay examples out as rows, padded at the end to the longest.

    There is no mask: a causal model sees nothing behind a token, and what padding computes is not scored.
    """
    longest = max(map(len, examples))
    ids_BL = torch.full((len(examples), longest), pad_id, dtype=torch.int64)
    for row, one in enumerate(examples):
        ids_BL[row, : len(one)] = one.ids_L
    offsets = [row * longest for row in range(len(examples))]
    return _micro_batch({"input_ids": ids_BL}, examples, offsets, is_packed=False)


def pack(examples: Sequence[TokenExample]) -> MicroBatch:
    """Lay examples out one after another in a single row; positions start anew with each."""
    lengths = torch.tensor([len(one) for one in examples])
    starts = torch.zeros(len(examples) + 1, dtype=torch.int32)
    starts[1:] = lengths.cumsum(0)
    longest = int(lengths.max())
    inputs = {
        "input_ids": torch.cat([one.ids_L for one in examples])[None],
        "position_ids": torch.cat([torch.arange(len(one)) for one in examples])[None],
        "cu_seq_lens_q": starts,
        "cu_seq_lens_k": starts,
        "max_length_q": longest,
        "max_length_k": longest,
    }
    return _micro_batch(inputs, examples, starts[:-1].tolist(), is_packed=True)


def _micro_batch(
    inputs: dict[str, Any], examples: Sequence[TokenExample], offsets: Sequence[int], *, is_packed: bool
) -> MicroBatch:
    rows = [
        torch.arange(offset + one.num_prompt - 1, offset + len(one) - 1)
        for offset, one in zip(offsets, examples, strict=True)
    ]
    targets = [one.ids_L[one.num_prompt :] for one in examples]
    num_tokens = sum(map(len, examples))
    counts = tuple(map(len, targets))
    return MicroBatch(inputs, torch.cat(rows), torch.cat(targets), len(examples), num_tokens, is_packed, counts)


class TrainingWindows:
    """The windows of every epoch: a loader for Lightning, with a state.

    Args:
        examples: Of the training set.
        window_size: Examples per optimizer step, >= 1; the last window of an epoch may be shorter.
        bucket_windows: So many windows are sorted by length together, and so pad less; 1: lengths are random.
        seed: Of the order.
    """

    def __init__(self, examples: Sequence[Item], *, window_size: int, bucket_windows: int, seed: int) -> None:
        self.examples, self.window_size, self.bucket_windows, self.seed = examples, window_size, bucket_windows, seed
        self.epoch = 0
        self.num_fetched = 0
        """Windows of the epoch that were handed out."""

    def __len__(self) -> int:
        """Optimizer steps of an epoch."""
        return -(-len(self.examples) // self.window_size)

    def __iter__(self) -> Iterator[Window]:
        """Yield windows from where the state stands; epochs follow one another without end."""
        while True:
            if self.num_fetched >= len(self):
                self.epoch, self.num_fetched = self.epoch + 1, 0
            epoch, order = self.epoch, self.order(self.epoch)
            while self.epoch == epoch and self.num_fetched < len(self):
                numbers = order[self.num_fetched]
                self.num_fetched += 1
                yield tuple(self.examples[number] for number in numbers)

    def order(self, epoch: int) -> list[list[int]]:
        """Return the numbers of the examples of every window of an epoch."""
        seed = (self.seed * SEED_STRIDE + ORDER_STREAM) * EPOCH_STRIDE + epoch
        generator = torch.Generator().manual_seed(seed)
        shuffled = torch.randperm(len(self.examples), generator=generator).tolist()
        size, bucket = self.window_size, self.window_size * self.bucket_windows
        if self.bucket_windows > 1:  # what is left over at the end stays the shorter window of that many examples
            shuffled = [
                number
                for start in range(0, len(shuffled), bucket)
                for number in sorted(shuffled[start : start + bucket], key=lambda number: len(self.examples[number]))
            ]
        windows = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
        return [windows[number] for number in torch.randperm(len(windows), generator=generator).tolist()]

    def state_dict(self) -> dict[str, Any]:
        """Return where the order stands."""
        return {"epoch": self.epoch, "num_fetched": self.num_fetched}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.epoch, self.num_fetched = int(state_dict["epoch"]), int(state_dict["num_fetched"])


class FixedWindows:
    """Windows of a validation set: always the same, of similar lengths.

    Args:
        examples: Of the validation set.
        window_size: Examples per window.
    """

    def __init__(self, examples: Sequence[Item], *, window_size: int) -> None:
        self.examples, self.window_size = sorted(examples, key=len), window_size

    def __len__(self) -> int:
        return -(-len(self.examples) // self.window_size)

    def __iter__(self) -> Iterator[Window]:
        for start in range(0, len(self.examples), self.window_size):
            yield tuple(self.examples[start : start + self.window_size])
