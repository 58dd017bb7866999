"""What a checkpoint of a language model holds: the weights that are trained, and by what base they belong.

A 4-bit base of 7 billion parameters does not change, so it is not copied at every checkpoint; its identity is.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tradewright.errors import RunError

COMPARED = ("architecture", "num_parameters", "lora", "quant", "dtype")
"""Facts by which a base is known; not its name, because a run directory may be moved."""
SAMPLED = 1024
"""Numbers of each frozen tensor that enter the digest."""


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the weights to save: all, buffers too, where all are trained, else only those that are."""
    if all(one.requires_grad for one in module.parameters()):
        return dict(nn.Module.state_dict(module))
    return {name: one.detach() for name, one in module.named_parameters() if one.requires_grad}


def load_trained_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what ``trained_state`` returned.

    Raises:
        RuntimeError: A weight is missing, unknown or of another shape.
    """
    wanted = trained_state(module)
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or unknown:
        raise RuntimeError(
            f"the checkpoint holds other trained weights: {len(missing)} are missing ({', '.join(missing[:2])}),"
            f" {len(unknown)} are unknown ({', '.join(unknown[:2])})"
        )
    nn.Module.load_state_dict(module, dict(state), strict=False)


def describe_base(module: nn.Module, facts: Mapping[str, Any]) -> dict[str, str]:
    """Return what identifies the base: facts as texts, and a digest of its frozen weights."""
    return {**{name: str(facts.get(name)) for name in COMPARED}, "frozen": _digest(module)}


def require_same_base(saved: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Check that a checkpoint belongs to this base.

    Raises:
        RunError: It does not.
    """
    differing = [name for name in now if saved.get(name) != now[name]]
    if differing:
        texts = [f"{name} was {saved.get(name)}, is {now[name]}" for name in differing]
        raise RunError(
            f"the checkpoint's weights were trained on another base ({'; '.join(texts)}); resume with the model, lora"
            " and quant of its run"
        )


def _digest(module: nn.Module) -> str:
    """Return a hash of samples of the frozen weights in floating point; quantised ones may pack by device."""
    found = hashlib.sha256()
    for name, one in module.named_parameters():
        if not one.requires_grad and one.is_floating_point() and getattr(one, "quant_state", None) is None:
            found.update(name.encode())
            sample = one.detach().flatten()
            step = max(1, len(sample) // SAMPLED)
            found.update(sample[::step][:SAMPLED].to("cpu", torch.float32).numpy().tobytes())
    return found.hexdigest()[:16]
