"""Pairs of answers as tokens: one prompt, the preferred answer and the other one, which always stay together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tradewright.algorithm.text_examples import LEAST_PROMPT, LengthReport, Overlong, TokenExample, without_middle
from tradewright.errors import DataError
from tradewright.examples.example import Preference
from tradewright.model.chat import encode_example


@dataclass(frozen=True, eq=False)
class TokenPair:
    """Two answers to one prompt.

    Args:
        chosen: Prompt and preferred answer.
        rejected: The same prompt and the other answer.
        number: Its place among all pairs of a run, by which what is known of it beforehand is found.
        id: Of the example.
    """

    chosen: TokenExample
    rejected: TokenExample
    number: int
    id: str

    def __len__(self) -> int:
        return len(self.chosen) + len(self.rejected)

    @property
    def num_targets(self) -> int:
        """Tokens of both answers."""
        return self.chosen.num_targets + self.rejected.num_targets

    @property
    def sequences(self) -> tuple[TokenExample, ...]:
        """What is laid out of it: preferred answer first."""
        return (self.chosen, self.rejected)


def tokenise_pairs(
    pairs: Sequence[Preference], *, tokenizer: Any, max_length: int, overlong: Overlong, name: str, first: int
) -> tuple[tuple[TokenPair, ...], LengthReport]:
    """Encode pairs and apply the limit; a prompt is shortened alike for both answers.

    Args:
        pairs: In order.
        tokenizer: With a chat template.
        max_length: Most tokens of prompt and one answer.
        overlong: Drop a pair with a longer one, cut the middle out of its prompt, or refuse it.
        name: Of the set, for messages.
        first: Number of the first pair that is kept.

    Returns:
        What was kept, in order, and the counts, of pairs; ``longest`` is prompt and answer twice, as they are computed.

    Raises:
        DataError: A pair is too long and ``overlong`` is ``error``, its answers are the same tokens, or none is left.
    """
    kept: list[TokenPair] = []
    num_dropped = num_truncated = num_characters = 0
    for pair in pairs:
        both = [encode_example(tokenizer, pair.prompt, text, name=pair.id) for text in (pair.completion, pair.rejected)]
        if both[0].ids == both[1].ids:
            raise DataError(f"examples: {name} pair {pair.id!r}: both answers are the same tokens; remove the pair")
        num_prompt, longest = both[0].num_prompt, max(len(one.ids) for one in both)
        ids = [list(one.ids) for one in both]
        if longest > max_length:
            if overlong == "error":
                raise DataError(
                    f"examples: {name} pair {pair.id!r} has {longest} tokens, at most {max_length} fit; raise"
                    " model.max_length, or set algorithm.overlong to drop or truncate_prompt"
                )
            num_left = max_length - (longest - num_prompt)
            if overlong == "drop" or num_left < min(LEAST_PROMPT, num_prompt):
                num_dropped += 1
                continue
            ids, num_prompt = [without_middle(one, num_prompt, num_left) for one in ids], num_left
            num_truncated += 1
        chosen, rejected = (TokenExample(torch.tensor(one, dtype=torch.int64), num_prompt) for one in ids)
        num_characters += len(pair.completion) + len(pair.rejected)
        kept.append(TokenPair(chosen, rejected, first + len(kept), pair.id))
    if not kept:
        why = f"none of its {len(pairs)} pairs fits into {max_length} tokens" if pairs else "it is empty"
        raise DataError(f"examples: there is no {name} pair to use: {why}")
    return tuple(kept), LengthReport.of(
        kept,
        num_examples=len(pairs),
        num_dropped=num_dropped,
        num_truncated=num_truncated,
        num_characters=num_characters,
        limit=max_length,
    )
