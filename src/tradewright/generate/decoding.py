"""``Decoding``: how text is drawn from a language model; the node of config group ``generate``.

``top_k`` is always explicit: left out, transformers draws from the 50 most probable tokens without saying so. There is
no ``no_repeat_ngram_size``: it destroys code, which repeats itself by nature.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Settings of one generation.

    Args:
        temperature: Logits are divided by it, >= 0; 0 always takes the most probable token, whatever the seed.
        top_k: Only the k most probable tokens are drawn from, >= 0; 0 draws from all.
        top_p: Only the most probable tokens that together reach this probability are drawn from, in (0, 1].
        repetition_penalty: Logits of tokens that occurred (prompt included) are divided by it if positive and
            multiplied if negative, > 0; 1 changes nothing.
        max_new_tokens: Longest answer in tokens, >= 1.
        seed: Of the draws, in [0, 2**32).
        num_candidates: Answers written per prompt, of which the best is kept, >= 1.
        stream: Whether text is shown while it is written; the text is the same.
        stop: Texts that end an answer; they are not part of it.

    Raises:
        ValueError: A value is out of range.
    """

    temperature: float = 0.7
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.1
    max_new_tokens: int = 256
    seed: int = 0
    num_candidates: int = 1
    stream: bool = False
    stop: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature must be >= 0, was {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be >= 0 (0 draws from all tokens), was {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], was {self.top_p}")
        if not (math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0):
            raise ValueError(f"repetition_penalty must be > 0, was {self.repetition_penalty}")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be >= 1, was {self.max_new_tokens}")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ValueError(f"seed must be in [0, {LARGEST_SEED}], was {self.seed}")
        if self.num_candidates < 1:
            raise ValueError(f"num_candidates must be >= 1, was {self.num_candidates}")
        if self.num_candidates > 1 and self.is_greedy:
            raise ValueError(
                f"num_candidates must be 1 with temperature 0, was {self.num_candidates}: all would be the same text"
            )
        if self.num_candidates > 1 and self.stream:
            raise ValueError(
                f"stream must be false with {self.num_candidates} candidates: the best is known when all are written"
            )
        if isinstance(self.stop, str) or not all(isinstance(text, str) and text for text in self.stop):
            raise ValueError(f"stop must be a list of texts that are not empty, was {self.stop!r}")

    @property
    def is_greedy(self) -> bool:
        """Whether the most probable token is always taken."""
        return self.temperature == 0

    def changed(self, **values: Any) -> "Decoding":
        """Return the settings with some values replaced.

        Raises:
            ValueError: A value is out of range.
        """
        return replace(self, **values)
