"""Forward passes with a key-value cache, the same for every architecture and version of transformers.

Prompts are padded on the left, so that the newest token of every row stands in the last column and sliding windows see
what they would see without padding. Legend: B rows, L tokens, V vocabulary.
"""

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

ATTENTION = "sdpa"
"""Reads left padding correctly on every architecture; the packed attention of training does not pad at all."""


def base_of(model: Any) -> Any:
    """Return the transformers model inside an adapter's wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextmanager
def answering(model: Any) -> Iterator[None]:
    """Put a model into the state in which it answers, and back: no dropout, and an attention that reads padding."""
    base = base_of(model)
    was_training, attention = model.training, base.config._attn_implementation
    model.eval()
    if attention != ATTENTION:
        base.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        if attention != ATTENTION:
            base.set_attn_implementation(attention)
        model.train(was_training)


class Cached:
    """A model with its cache of earlier tokens, grown by :meth:`extend`.

    Args:
        model: A causal language model of transformers, adapters included.
        num_rows: B.
    """

    def __init__(self, model: Any, num_rows: int) -> None:
        from transformers import DynamicCache

        self.model = model
        base = base_of(model)
        known = inspect.signature(base.forward).parameters
        self.device = base.get_input_embeddings().weight.device
        self.cache_name = "cache" if "cache" in known else "past_key_values"  # renamed in transformers 5.24
        self.takes_positions = "position_ids" in known
        self.cuts_logits = "logits_to_keep" in known
        self.cache: Any = DynamicCache(config=base.config)
        self.mask_BL = torch.ones(num_rows, 0, dtype=torch.long, device=self.device)

    @torch.no_grad()
    def extend(self, ids_BL: Tensor, mask_BL: Tensor, *, num_logits: int = 1) -> Tensor:
        """Feed further tokens and return the logits behind the last ``num_logits`` of them, float32 ``(B, n, V)``.

        Args:
            ids_BL: New tokens.
            mask_BL: 1 for tokens, 0 for padding.
            num_logits: n, at most the number of columns.
        """
        ids_BL, mask_BL = ids_BL.to(self.device), mask_BL.to(self.device)
        num_before_B1 = self.mask_BL.sum(dim=-1, keepdim=True)
        self.mask_BL = torch.cat((self.mask_BL, mask_BL), dim=-1)
        inputs: dict[str, Any] = {"attention_mask": self.mask_BL, self.cache_name: self.cache, "use_cache": True}
        if self.takes_positions:
            inputs["position_ids"] = (num_before_B1 + mask_BL.cumsum(dim=-1) - 1).clamp(min=0)
        if self.cuts_logits:
            inputs["logits_to_keep"] = num_logits
        logits = self.model(input_ids=ids_BL, **inputs).logits
        return logits[:, -num_logits:].float()

    def copied(self) -> "Cached":
        """Return a copy with a cache of its own, from which several continuations can start."""
        copied = copy.copy(self)
        copied.cache = copy.deepcopy(self.cache)
        return copied

    def select(self, rows: Sequence[int]) -> None:
        """Keep only some rows, in this order."""
        index_B = torch.tensor(list(rows), dtype=torch.long, device=self.device)
        self.cache.batch_select_indices(index_B)
        self.mask_BL = self.mask_BL[index_B]

    def repeat(self, num: int) -> None:
        """Repeat every row ``num`` times, side by side."""
        self.cache.batch_repeat_interleave(num)
        self.mask_BL = self.mask_BL.repeat_interleave(num, dim=0)


def pad_left(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return rows of tokens as one rectangle and its mask; padding is token 0 with mask 0."""
    width = max(len(row) for row in rows)
    ids_BL = torch.zeros(len(rows), width, dtype=torch.long)
    mask_BL = torch.zeros(len(rows), width, dtype=torch.long)
    for row, tokens in enumerate(rows):
        if tokens:
            ids_BL[row, width - len(tokens) :] = torch.tensor(list(tokens), dtype=torch.long)
            mask_BL[row, width - len(tokens) :] = 1
    return ids_BL, mask_BL
