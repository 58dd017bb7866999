"""``DraftScorer``: a model drafts, then each label gets its probability behind the separator.

The draft is greedy and short. Where a model does not come to its separator in time, the separator is put there for it
and the case is counted. Legend: B prompts, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradewright.examples.draft import SEPARATOR
from tradewright.examples.example import Messages
from tradewright.generate.decoding import Decoding
from tradewright.generate.labels import LabelScorer
from tradewright.generate.writer import Writer
from tradewright.model.chat import decode
from tradewright.model.loaded_model import LoadedModel

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drafts:
    """The drafts of one call.

    Args:
        texts: What stands before the label, separator included.
        num_tokens_B: Tokens written.
        is_cut_B: Whether the separator was not reached.
    """

    texts: tuple[str, ...]
    num_tokens_B: npt.NDArray[np.int64]
    is_cut_B: npt.NDArray[np.bool_]


class DraftScorer:
    """Gives every label its probability after a draft.

    Args:
        loaded: Model and tokenizer.
        labels: Possible answers, at least 2, all different.
        max_draft_tokens: Most tokens of a draft, >= 1.
        temperature: Of the calibration, > 0.
        batch_size: Prompts at once, >= 1.

    Attributes:
        drafts: Those of the last call.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        labels: Sequence[str],
        *,
        max_draft_tokens: int,
        temperature: float = 1.0,
        batch_size: int = 64,
    ) -> None:
        self.scorer = LabelScorer(loaded, labels, temperature=temperature, batch_size=batch_size)
        decoding = Decoding(temperature=0.0, repetition_penalty=1.0, max_new_tokens=max_draft_tokens, stop=(SEPARATOR,))
        self.writer = Writer(loaded, decoding, batch_size=batch_size)
        self.drafts = Drafts((), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_))

    def probabilities(self, prompts: Sequence[Messages]) -> Float:
        """Return the calibrated probability of every label, shape (B, L); rows add up to 1.

        Raises:
            RunError: A prompt with its draft exceeds the context, or the model's logits are not finite.
        """
        self.drafts = self.draft(prompts)
        return self.scorer.probabilities(prompts, self.drafts.texts)

    def draft(self, prompts: Sequence[Messages]) -> Drafts:
        """Return what the model notes before its answers."""
        written = self.writer.write(prompts)
        tokenizer = self.writer.loaded.tokenizer
        return Drafts(
            tuple(f"{text}\n{SEPARATOR} " if (text := one.text.strip()) else f"{SEPARATOR} " for one in written),
            np.array([one.num_tokens for one in written], dtype=np.int64),
            np.array([SEPARATOR not in decode(tokenizer, list(one.ids)) for one in written], dtype=np.bool_),
        )
