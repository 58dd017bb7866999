"""Merge an adapter into its base model exactly: the base as it was trained on, dequantised first.

Never into 4-bit weights: rounding the sum again loses 5-35 % of the logits. And by default not into the original base
either, which is not what the adapter was trained on; ``original`` is an option whose gap is measured and reported.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from tradewright.errors import RunError
from tradewright.model.adapters import peft_calls, read_adapter
from tradewright.model.language_model import LanguageModel
from tradewright.model.loaded_model import LoadedModel, count_parameters
from tradewright.model.quantised import is_quantised

if TYPE_CHECKING:
    from torch import Tensor, nn

MergeBase = Literal["trained", "original"]
LARGEST_GAP = 1e-4
"""Relative difference of logits up to which a merge into the trained base is exact, in float32."""
PROBES = (
    "def on_data(self, data):\n    if self.rsi.current.value < 30: self.set_holdings('SPY', 0.5)\n",
    "Price 101.25, RSI(14) 28.4, volume up 35 %: BUY, SELL or HOLD?",
)
"""Texts on which merged and unmerged models are compared."""


@dataclass(frozen=True, kw_only=True)
class Merged:
    """A model without adapter.

    Args:
        loaded: Weights in float32; nothing is trained.
        gap: ``|merged - unmerged| / |unmerged|`` of the probes' logits in float32, >= 0; 0 without an adapter.
        base: Into what the adapter was merged.
    """

    loaded: LoadedModel
    gap: float
    base: MergeBase


def merge_adapter(
    model: LanguageModel, *, quant: Any = None, merge_base: MergeBase = "trained", device: str = "cpu"
) -> Merged:
    """Return the model with its adapter merged, and how far that is from the model as it was trained.

    Args:
        model: Base and ``adapter``; without one only the quantisation is undone.
        quant: With which it was trained.
        merge_base: ``trained``: the dequantised base; ``original``: the full-precision base.
        device: Where to compute.

    Raises:
        ValueError: ``merge_base`` is something else.
        RunError: The merge into the trained base is not exact.
    """
    import torch

    if merge_base not in ("trained", "original"):
        raise ValueError(f"merge_base must be trained or original, was {merge_base!r}")
    unmerged = model.load(quant=_with_float32(quant), device=device)
    _widen(unmerged.model)
    probes = [torch.tensor([unmerged.tokenizer.encode(text, add_special_tokens=False)]) for text in PROBES]
    expected = logits(unmerged.model, probes)
    del unmerged
    base = replace(model, adapter=None).load(quant=quant if merge_base == "trained" else None, device=device)
    plain: Any = base.model
    if is_quantised(quant) and merge_base == "trained":
        plain = _dequantised(plain)
    _widen(plain)
    if model.adapter is not None:
        with peft_calls():
            plain = read_adapter(plain, model.adapter).merge_and_unload(safe_merge=True)
    _restore_conv1d(plain)
    plain.requires_grad_(False).eval()
    gap = distance(logits(plain, probes), expected)
    is_exact = not bool(getattr(quant, "load_in_8bit", False))  # int8 rounds what goes through the layers too
    if merge_base == "trained" and is_exact and gap > LARGEST_GAP:
        raise RunError(f"{model.adapter}: merged logits are off by {gap:.1e} of their size, expected <= {LARGEST_GAP}")
    total, _ = count_parameters(plain)
    facts = {**base.facts, "num_parameters": total, "num_trainable": 0, "trainable_share": 0.0, "lora": None}
    facts |= {"quant": "none", "dtype": "float32"}
    return Merged(loaded=replace(base, model=plain, facts=facts), gap=gap, base=merge_base)


def _with_float32(quant: Any) -> Any:
    """Return the quantisation, computing in float32, so that only the weights are compared."""
    import torch

    if quant is None or not getattr(quant, "load_in_4bit", False):
        return quant
    exact = deepcopy(quant)
    exact.bnb_4bit_compute_dtype = torch.float32
    return exact


def _dequantised(model: Any) -> Any:
    """Return a quantised model with ordinary float32 weights; its configuration forgets the quantisation."""
    import torch

    from tradewright.model.hub import quiet

    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            state.dtype = torch.float32  # else the weights are rounded to the base's type on the way
    with quiet(is_silent=True):
        plain = model.dequantize(dtype=torch.float32)
    for name in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(plain.config, name):
            delattr(plain.config, name)
    return plain


def _restore_conv1d(model: Any) -> None:
    """Turn GPT-2's layers, which quantisation has made ordinary linear ones, back to what its files hold."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if model.config.model_type != "gpt2":
        return
    linear = [(name, module) for name, module in model.transformer.named_modules() if isinstance(module, nn.Linear)]
    for name, module in linear:
        parent, _, last = name.rpartition(".")
        layer = Conv1D(module.out_features, module.in_features)
        layer.weight = nn.Parameter(module.weight.detach().T.contiguous(), requires_grad=False)
        layer.bias = nn.Parameter(module.bias.detach(), requires_grad=False)
        setattr(model.transformer.get_submodule(parent), last, layer)


def _widen(model: "nn.Module") -> None:
    """Turn every floating-point weight to float32; packed weights are integers and stay."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.float()
    config: Any = getattr(model, "config", None)
    if config is not None:
        config.dtype = "float32"


def logits(model: Any, probes: "Sequence[Tensor]") -> "list[Tensor]":
    """Return the logits of every probe, float32 on the CPU; the model is put into evaluation mode."""
    import torch

    model.eval()
    with torch.no_grad():
        return [model(ids_BL.to(model.device)).logits.float().cpu() for ids_BL in probes]


def distance(found: "Sequence[Tensor]", expected: "Sequence[Tensor]") -> float:
    """Return the relative L2 distance over all probes."""
    difference = sum(float(((a - b) ** 2).sum()) for a, b in zip(found, expected, strict=True))
    size = sum(float((b**2).sum()) for b in expected)
    return (difference / size) ** 0.5
