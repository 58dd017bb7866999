"""``LoadedModel``: a language model ready for use, with what a report says about it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model, its tokenizer and its limits.

    Args:
        model: A transformers model, or PEFT's around one.
        tokenizer: Pads with another token than it ends with; holds the chat template.
        max_length: Tokens of prompt and answer together, >= 1.
        facts: ``name, architecture, num_parameters`` (of the base), ``num_trainable, trainable_share`` (fraction of
            all, adapters included), ``lora, quant, dtype, num_added_tokens, chat_template, knowledge_cutoff``.
    """

    model: "PreTrainedModel | Any"
    tokenizer: "PreTrainedTokenizerFast"
    max_length: int
    facts: dict[str, Any] = field(default_factory=dict)


def count_parameters(model: "nn.Module") -> tuple[int, int]:
    """Return how many numbers a model holds and how many of them are trained, each shared tensor once.

    Four-bit weights are packed, two in a byte; their own count is that of the layer they stand for.
    """
    total = trained = 0
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        count = parameter.numel() if state is None else state.shape.numel()
        total += count
        trained += count if parameter.requires_grad else 0
    return total, trained


def describe_share(facts: dict[str, Any]) -> str:
    """Return the sentence about size that a run prints, e.g. ``1,204 of 354,823,168 parameters are trained``."""
    share = facts["trainable_share"]
    return f"{facts['num_trainable']:,} of {facts['num_parameters']:,} parameters are trained ({share:.3%})"
