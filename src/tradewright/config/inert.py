"""What options called ``none`` build: for ``lora`` and ``quant`` the keys of the real options, checked, without effect.

The keys mirror the user-facing keys of ``peft.LoraConfig`` and ``transformers.BitsAndBytesConfig``, so that any
override composes whichever option is chosen. Whoever loads a language model asks ``isinstance(x, NoLora)``.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class NoLora:
    """No adapter: all weights that the model trains are its own."""

    r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.1
    bias: str = "none"
    target_modules: str | list[str] | None = None
    task_type: str = "CAUSAL_LM"


@dataclass(frozen=True, kw_only=True)
class NoQuantization:
    """No quantization: weights stay in the precision in which they were saved."""

    load_in_4bit: bool = False
    load_in_8bit: bool = False
    bnb_4bit_quant_type: str = "nf4"
    bnb_4bit_compute_dtype: str = "bfloat16"
    bnb_4bit_use_double_quant: bool = True


@dataclass(frozen=True)
class Unused:
    """Nothing: a part of the market that an environment without a market has no use for."""

    is_unused: ClassVar[bool] = True


@dataclass(frozen=True)
class NoStrategy:
    """No positions: what is trained answers, and its answers are judged."""

    is_learned: ClassVar[bool] = True


@dataclass(frozen=True)
class NoWorld:
    """No world to act in."""

    is_market: ClassVar[bool] = False
