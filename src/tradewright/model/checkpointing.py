"""Activation checkpointing of a transformers model: layers are computed again in backward instead of remembered."""

from typing import Any


def set_checkpointing(model: Any, *, is_on: bool) -> None:
    """Switch it; it acts in training mode only.

    The re-entrant form would give a frozen base no gradient at all. transformers 5.24 renamed the methods.

    Args:
        model: A ``PreTrainedModel``, not a wrapper of PEFT.
        is_on: Whether to compute again.
    """
    word = "enable" if is_on else "disable"
    names = (f"activation_checkpointing_{word}", f"gradient_checkpointing_{word}")
    switch = getattr(model, next(name for name in names if hasattr(model, name)))
    switch(*([{"use_reentrant": False}] if is_on else []))
