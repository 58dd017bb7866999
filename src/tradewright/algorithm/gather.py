"""``gather_rows``: rows of a table by number, with a gradient that is quick on a CPU.

A compiled graph spells the gradient of a lookup out as one atomic addition per number, and torch's own kernel counts
the indices first; adding whole rows one after another takes a quarter of the time. The order is that of the indices, so
it is the same in every run. Other devices keep torch's own, which is deterministic there.
Legend: R rows, E numbers per row, B lookups.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@torch.library.custom_op("tradewright::gather_rows", mutates_args=(), device_types="cpu")
def _gather(table_RE: Tensor, index_B: Tensor) -> Tensor:
    return table_RE.index_select(0, index_B)


@torch.library.custom_op("tradewright::scatter_rows", mutates_args=(), device_types="cpu")
def _scatter(grad_BE: Tensor, index_B: Tensor, num_rows: int) -> Tensor:
    return grad_BE.new_zeros(num_rows, grad_BE.shape[1]).index_add_(0, index_B, grad_BE)


@_gather.register_fake
def _gather_shape(table_RE: Tensor, index_B: Tensor) -> Tensor:
    return table_RE.new_empty(index_B.shape[0], table_RE.shape[1])


@_scatter.register_fake
def _scatter_shape(grad_BE: Tensor, index_B: Tensor, num_rows: int) -> Tensor:
    return grad_BE.new_empty(num_rows, grad_BE.shape[1])


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    table_RE, index_B = inputs
    ctx.save_for_backward(index_B)
    ctx.num_rows = table_RE.shape[0]


def _gradient(ctx: Any, grad_BE: Tensor) -> tuple[Tensor, None]:
    (index_B,) = ctx.saved_tensors
    return _scatter(grad_BE.contiguous(), index_B, ctx.num_rows), None


_gather.register_autograd(_gradient, setup_context=_keep)


def gather_rows(table_RE: Tensor, index: Tensor) -> Tensor:
    """Return the rows of a table at the given numbers, ``[.., E]``.

    Args:
        table_RE: The rows.
        index: int64, any shape, in [0, R).
    """
    if table_RE.device.type != "cpu" or not (table_RE.requires_grad and torch.is_grad_enabled()):
        return functional.embedding(index, table_RE)
    return _gather(table_RE, index.reshape(-1)).unflatten(0, index.shape)
