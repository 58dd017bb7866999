"""The random states of Python, NumPy and torch as tensors, which Lightning's safe loading of checkpoints accepts.

Lightning stores none of them; without them a resumed training draws other dropout masks.
"""

import random
from typing import Any

import numpy as np
import torch

PYTHON_VERSION = 3
"""Of the layout of ``random.getstate``."""


def capture() -> dict[str, Any]:
    """Return the states of all global generators."""
    _, words, gauss = random.getstate()
    legacy: Any = np.random.get_state(legacy=False)  # noqa: NPY002 # libraries draw from the global generator
    state: dict[str, Any] = {
        "python": torch.tensor(words, dtype=torch.int64),
        "python_gauss": gauss,
        "numpy": torch.from_numpy(legacy["state"]["key"].astype(np.int64)),
        "numpy_position": int(legacy["state"]["pos"]),
        "numpy_gauss": (int(legacy["has_gauss"]), float(legacy["gauss"])),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def capture_torch(device: torch.device) -> list[torch.Tensor]:
    """Return what a model's own draws depend on, cheap enough for every step."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def restore_torch(states: list[torch.Tensor], device: torch.device) -> None:
    """Put back what ``capture_torch`` returned."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


def restore(state: dict[str, Any]) -> None:
    """Put all global generators back."""
    random.setstate((PYTHON_VERSION, tuple(state["python"].tolist()), state["python_gauss"]))
    has_gauss, gauss = state["numpy_gauss"]
    key = state["numpy"].numpy().astype(np.uint32)
    legacy = ("MT19937", key, state["numpy_position"], has_gauss, gauss)
    np.random.set_state(legacy)  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
