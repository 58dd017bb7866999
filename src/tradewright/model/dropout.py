"""Dropout of a language model, switched off where two of its answers are compared."""

from typing import Any

from torch import nn

ATTRIBUTE = "attention_dropout"
"""In which layers of transformers keep the dropout of their attention, where it is no module."""


def switch_off_dropout(model: Any) -> None:
    """Set every dropout of a model, adapters included, to 0; its saved configuration keeps what it says."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, ATTRIBUTE, None), float):
            setattr(module, ATTRIBUTE, 0.0)
