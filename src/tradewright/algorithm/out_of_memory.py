"""What to do when memory runs out: the same step in smaller parts, and advice where it cannot be made smaller."""

import torch

CPU_MESSAGES = ("not enough memory", "can't allocate memory")
"""How torch's CPU allocator complains, in a plain ``RuntimeError``."""
ADVICE = "lower model.max_length, set algorithm.gradient_checkpointing=true, or use lora=r16, quant=nf4, another model"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    is_cpu = isinstance(error, RuntimeError) and any(text in str(error) for text in CPU_MESSAGES)
    return is_cpu or isinstance(error, torch.OutOfMemoryError)
