"""The loss of a causal language model without the logits that nobody needs: the head runs on scored positions only.

Prompts and padding are most of a fine-tuning batch; scoring them costs ``tokens x vocabulary`` of time and memory.
Here the backbone runs once, the positions that predict a target are picked, and the head with its cross-entropy in
float32 runs over them in chunks. Where there is more than one chunk, each chunk's gradient is taken at once and its
logits are dropped, so memory is bounded by ``chunk x vocabulary`` (the idea of Liger Kernel, arXiv 2410.10989, for any
head: tied, adapted, quantised).
Legend: B rows, L tokens, D width, K targets, C targets of a chunk, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tradewright.errors import RunError

PROBE_TOKENS = 6
"""Length of the sequence on which a head is compared with the model's own logits."""
PROBE_TOLERANCE = 1e-3
"""Relative; half precision rounds what is computed in another order."""


def causal_model(model: Any) -> Any:
    """Return the ``PreTrainedModel`` inside a PEFT wrapper, or the model itself; adapters stay within its layers.

    Raises:
        ValueError: The wrapper adds tokens in its own forward, as prompt tuning does.
    """
    if not hasattr(model, "get_base_model"):
        return model
    if getattr(model.active_peft_config, "is_prompt_learning", False):
        raise ValueError("lora must be an adapter of layers; prompt learning changes what the model is given")
    return model.get_base_model()


def head_of(model: Any) -> nn.Module:
    """Return the layer that makes logits, with its adapters.

    Raises:
        ValueError: The model has none.
    """
    head = causal_model(model).get_output_embeddings()
    if head is None:
        raise ValueError(f"{type(causal_model(model)).__name__} has no language-model head")
    return head


def masked_nll(model: Any, inputs: Mapping[str, Any], rows_K: Tensor, targets_K: Tensor, *, chunk: int) -> Tensor:
    """Return the summed negative log-likelihood of the targets in nats: ``-sum_k log p(target_k | what precedes)``.

    Args:
        model: A causal language model of transformers, or a PEFT model around one.
        inputs: Keywords of its backbone, such as ``input_ids``; the cache is switched off.
        rows_K: Positions that predict, in the flattened ``[B * L]``.
        targets_K: The token that each of them should predict.
        chunk: Targets whose logits exist at a time, >= 1.

    Returns:
        A float32 scalar; 0 without targets.
    """
    return head_nll(head_of(model), _hidden(model, inputs, rows_K), targets_K, chunk=chunk)


def _hidden(model: Any, inputs: Mapping[str, Any], rows_K: Tensor) -> Tensor:
    hidden_BLD = causal_model(model).base_model(**inputs, use_cache=False).last_hidden_state
    return hidden_BLD.flatten(0, 1).index_select(0, rows_K)


def masked_nll_each(model: Any, inputs: Mapping[str, Any], rows_K: Tensor, targets_K: Tensor, *, chunk: int) -> Tensor:
    """Return the negative log-likelihood of every target in nats, float32 ``[K]``; arguments as of ``masked_nll``.

    A loss that is no sum over targets needs each of them before it knows its gradient, so where there is more than one
    chunk, a chunk's logits are dropped and computed again in backward.
    """
    head, hidden_KD = head_of(model), _hidden(model, inputs, rows_K)
    if len(targets_K) <= chunk:
        return _nll(head, hidden_KD, targets_K, reduction="none")
    parts = zip(hidden_KD.split(chunk), targets_K.split(chunk), strict=True)
    if not torch.is_grad_enabled():
        return torch.cat([_nll(head, hidden, targets, reduction="none") for hidden, targets in parts])
    return torch.cat([checkpoint(_nll, head, *part, reduction="none", use_reentrant=False) for part in parts])


def head_nll(head: nn.Module, hidden_KD: Tensor, targets_K: Tensor, *, chunk: int) -> Tensor:
    """Return the summed negative log-likelihood from hidden states; see ``masked_nll``.

    Raises:
        ValueError: ``chunk`` is below 1.
    """
    if chunk < 1:
        raise ValueError(f"head_chunk must be >= 1, was {chunk}")
    if len(targets_K) <= chunk:
        return _nll(head, hidden_KD, targets_K)
    if not torch.is_grad_enabled():
        parts = zip(hidden_KD.split(chunk), targets_K.split(chunk), strict=True)
        return torch.stack([_nll(head, hidden, targets) for hidden, targets in parts]).sum()
    trained = [one for one in head.parameters() if one.requires_grad]
    total: Tensor = _ChunkedNll.apply(head, chunk, targets_K, hidden_KD, *trained)
    return total


def _nll(head: nn.Module, hidden_CD: Tensor, targets_C: Tensor, *, reduction: str = "sum") -> Tensor:
    return functional.cross_entropy(head(hidden_CD).float(), targets_C, reduction=reduction)


class _ChunkedNll(torch.autograd.Function):
    """Sum over chunks; the gradients are computed on the way, so backward only scales them."""

    @staticmethod
    def forward(
        ctx: Any, head: nn.Module, chunk: int, targets_K: Tensor, hidden_KD: Tensor, *trained: Tensor
    ) -> Tensor:
        wants_hidden = ctx.needs_input_grad[3]
        gradient_KD = torch.empty_like(hidden_KD) if wants_hidden else None
        sums = [torch.zeros_like(one, dtype=torch.float32) for one in trained]
        total = hidden_KD.new_zeros((), dtype=torch.float32)
        for start in range(0, len(targets_K), chunk):
            part = slice(start, start + chunk)
            with torch.enable_grad():
                hidden_CD = hidden_KD[part].detach().requires_grad_(wants_hidden)
                nll = _nll(head, hidden_CD, targets_K[part])
            inputs = [hidden_CD] * wants_hidden + list(trained)
            found = list(torch.autograd.grad(nll, inputs)) if inputs else []
            if gradient_KD is not None:
                gradient_KD[part] = found.pop(0)
            for held, new in zip(sums, found, strict=True):
                held += new
            total += nll.detach()
        ctx.gradients = (gradient_KD, *(held.to(one.dtype) for held, one in zip(sums, trained, strict=True)))
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> Any:  # type: ignore[override] # torch types it for any number of outputs
        gradients, ctx.gradients = ctx.gradients, ()
        scaled = (None if one is None else one.mul_(scale.to(one.dtype)) for one in gradients)
        return None, None, None, *scaled


def check_head(model: Any) -> None:
    """Compare head after backbone with the model's own logits, once before training.

    Some architectures scale or cap their logits after the head; the masked loss would be another one there.

    Raises:
        RunError: They differ.
    """
    causal = causal_model(model)
    device = next(causal.parameters()).device
    pad = getattr(causal.config, "pad_token_id", None)  # of a row with padding and no mask transformers would warn
    ids = [number for number in range(PROBE_TOKENS + 1) if number != pad][:PROBE_TOKENS]
    ids_BL = torch.tensor([ids], device=device) % causal.config.vocab_size
    was_training = causal.training
    causal.eval()
    with torch.no_grad():
        own = causal(input_ids=ids_BL, use_cache=False).logits.float()
        masked = head_of(model)(causal.base_model(input_ids=ids_BL, use_cache=False).last_hidden_state).float()
    causal.train(was_training)
    error = float((own - masked).norm() / own.norm())
    if not error <= PROBE_TOLERANCE:
        raise RunError(
            f"model: {type(causal).__name__} changes its logits after the head (relative difference {error:.2g}), which"
            " cannot be trained here; choose another architecture"
        )
