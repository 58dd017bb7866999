"""How well the device is used: model FLOPs over peak FLOPs (MFU; PaLM, arXiv 2204.02311, appendix B).

Counted per step: 2 FLOPs per multiplied parameter and token forward, 2 backward to the activations, and 2 more for the
gradients of parameters that are trained: 4P with a frozen base, 6P where all is trained. The head counts for scored
tokens only, embeddings are looked up and count nothing, attention scores are left out, and recomputation is not the
model's work (it is added for ``hardware_utilisation``: one more forward, 6P with a frozen base). So the figure is a
lower bound.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tradewright.model.masked_head import causal_model, head_of

TERA = 1e12
PEAK_TFLOPS = {
    "B200": 2250.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "A10": 125.0,
    "RTX 4090": 165.2,
    "V100": 125.0,
    "T4": 65.0,
}
"""Dense 16-bit matrix TFLOP/s by a part of the device's name, the longest part that fits (NVIDIA's data sheets, without
sparsity)."""


def peak_tflops(device: torch.device, precision: str) -> float | None:
    """Return the peak of a device in 16 bits; None where it is not known, as for CPUs and other precisions."""
    if device.type != "cuda" or precision.startswith("32"):
        return None
    name = torch.cuda.get_device_name(device)
    fitting = sorted((part for part in PEAK_TFLOPS if part in name), key=len)
    return PEAK_TFLOPS[fitting[-1]] if fitting else None


@dataclass(frozen=True, kw_only=True)
class FlopCount:
    """FLOPs per token of a model.

    Args:
        body: Of a token in the backbone.
        head: Of a scored token in the head.
        recomputed: Of a token in the backbone's second forward under checkpointing.
    """

    body: float
    head: float
    recomputed: float

    @classmethod
    def of(cls, model: Any, *, is_recomputing: bool) -> "FlopCount":
        """Count the parameters of a causal language model, adapters included, each shared tensor once."""
        causal, head = causal_model(model), head_of(model)
        in_head = {id(one) for one in head.parameters()}
        looked_up = {
            id(one) for layer in causal.modules() if isinstance(layer, nn.Embedding) for one in layer.parameters()
        }
        body = [one for one in causal.parameters() if id(one) not in in_head | looked_up]
        return cls(
            body=sum(map(_flops, body)),
            head=sum(map(_flops, head.parameters())),
            recomputed=2.0 * sum(map(_count, body)) if is_recomputing else 0.0,
        )


def _count(parameter: nn.Parameter) -> int:
    """Return how many numbers a parameter stands for; four-bit ones are packed."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else int(state.shape.numel())


def _flops(parameter: nn.Parameter) -> float:
    return (6.0 if parameter.requires_grad else 4.0) * _count(parameter)
