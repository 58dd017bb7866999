"""Weights in four or eight bits: what is asked for, and a defect of bitsandbytes on newer CPUs put right.

On CPUs with AVX512-BF16 bitsandbytes (0.46-0.50) repacks 4-bit weights in place at the first forward pass without
gradients. Training then fails, and dequantising or merging gives noise (related: bitsandbytes issue 2078). The layers
ask an attribute of theirs before they do so; switching it off costs some speed of 4-bit inference on such CPUs.
"""

import logging
from typing import TYPE_CHECKING, Any

from tradewright.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

SWITCH = "support_avx512bf16_for_cpu"
NOTES = {
    "bitsandbytes.autograd._functions": "MatMul8bitLt: inputs will be cast",
    "bitsandbytes.backends.cpu.ops": "Failed to load CPU gemm_4bit_forward",
}
"""Logger -> beginning of a message that it repeats at every forward pass, or that is about what is switched off."""


def is_quantised(quant: Any) -> bool:
    """Return whether ``quant`` asks for quantisation."""
    return bool(getattr(quant, "load_in_4bit", False) or getattr(quant, "load_in_8bit", False))


def quantisation(quant: Any) -> str:
    """Return the name of a quantisation for reports: ``none``, ``int8`` or e.g. ``nf4 (double, bfloat16)``."""
    if not is_quantised(quant):
        return "none"
    if quant.load_in_8bit:
        return "int8"
    double = "double, " if quant.bnb_4bit_use_double_quant else ""
    return f"{quant.bnb_4bit_quant_type} ({double}{str(quant.bnb_4bit_compute_dtype).removeprefix('torch.')})"


def require_trainable(quant: Any, *, has_adapter: bool, for_training: bool) -> None:
    """Refuse to train quantised weights themselves.

    Raises:
        ConfigError: There is nothing that could be trained.
    """
    if for_training and is_quantised(quant) and not has_adapter:
        raise ConfigError(
            f"quant: {quantisation(quant)} weights cannot be trained themselves; add an adapter, e.g. lora=r16, or use"
            " quant=none"
        )


def hush() -> None:
    """Keep bitsandbytes from repeating what is known; its other messages stay."""
    for name, beginning in NOTES.items():
        logger = logging.getLogger(name)
        if not any(isinstance(one, _Known) for one in logger.filters):
            logger.addFilter(_Known(beginning))


class _Known(logging.Filter):
    """Drops messages with a certain beginning."""

    def __init__(self, beginning: str) -> None:
        super().__init__()
        self.beginning = beginning

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(self.beginning)


def guard_four_bit(model: "nn.Module") -> int:
    """Keep 4-bit layers from repacking their weights; return how many there are."""
    layers = [module for module in model.modules() if hasattr(module, SWITCH)]
    for layer in layers:
        setattr(layer, SWITCH, False)
    return len(layers)


def is_four_bit(model: "nn.Module") -> bool:
    """Return whether a model holds 4-bit weights."""
    return any(getattr(parameter, "quant_state", None) is not None for parameter in model.parameters())


def is_eight_bit(model: "nn.Module") -> bool:
    """Return whether a model holds 8-bit weights."""
    return any(type(parameter).__name__ == "Int8Params" for parameter in model.parameters())
