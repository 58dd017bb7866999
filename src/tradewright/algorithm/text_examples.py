"""Examples as tokens, and what became of those that are too long; the counts go to ``data_report.json``.

Legend: L tokens of an example.
"""

from collections.abc import Mapping, Sequence, Sized
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from tradewright.errors import DataError
from tradewright.examples.example import Example
from tradewright.model.chat import encode_example

DATA_REPORT = "data_report.json"
"""What training kept, dropped and truncated, in the run directory."""
Overlong = Literal["drop", "truncate_prompt", "error"]
OVERLONG: tuple[Overlong, ...] = ("drop", "truncate_prompt", "error")
LEAST_PROMPT = 8
"""Tokens of a truncated prompt that must be left, half at each end; fewer say nothing."""


@dataclass(frozen=True, eq=False)
class TokenExample:
    """One example.

    Args:
        ids_L: int64, prompt and completion.
        num_prompt: Tokens before the first one that is learnt, >= 1.
    """

    ids_L: Tensor
    num_prompt: int

    def __len__(self) -> int:
        return len(self.ids_L)

    @property
    def num_targets(self) -> int:
        """Tokens that are learnt."""
        return len(self) - self.num_prompt

    @property
    def sequences(self) -> tuple["TokenExample", ...]:
        """What is laid out of it: itself."""
        return (self,)


class Measured(Sized, Protocol):
    """An example, or a pair of answers, in tokens."""

    @property
    def num_targets(self) -> int:
        """Tokens that are learnt."""
        ...


@dataclass(frozen=True, kw_only=True)
class LengthReport:
    """Counts of one set.

    Args:
        num_examples: Given.
        num_kept: Trained or validated on.
        num_dropped: Longer than the limit and left out.
        num_truncated: Longer than the limit, their prompt shortened.
        num_tokens: Of what was kept, prompts included.
        num_targets: Tokens that are learnt or scored.
        num_characters: Of the answers kept.
        longest: Tokens of the longest example kept.
        limit: Most tokens that an example may have.
    """

    num_examples: int
    num_kept: int
    num_dropped: int
    num_truncated: int
    num_tokens: int
    num_targets: int
    num_characters: int
    longest: int
    limit: int

    @classmethod
    def of(cls, kept: Sequence["Measured"], **counts: int) -> "LengthReport":
        """Return the report of what was kept, with the counts that it does not tell."""
        return cls(
            num_kept=len(kept),
            num_tokens=sum(map(len, kept)),
            num_targets=sum(one.num_targets for one in kept),
            longest=max(map(len, kept)),
            **counts,
        )

    def as_json(self) -> dict[str, int]:
        """Return the counts as JSON values."""
        return asdict(self)


def tokenise(
    examples: Sequence[Example],
    *,
    tokenizer: Any,
    max_length: int,
    overlong: Overlong = "drop",
    train_on_prompt: bool = False,
    name: str = "train",
) -> tuple[tuple[TokenExample, ...], LengthReport]:
    """Encode examples and apply the limit.

    Args:
        examples: In order.
        tokenizer: With a chat template.
        max_length: Most tokens of an example.
        overlong: Drop a longer one, cut the middle out of its prompt, or refuse it.
        train_on_prompt: Learn the prompt's tokens too, all but the first.
        name: Of the set, for messages.

    Returns:
        What was kept, in order, and the counts.

    Raises:
        DataError: An example is too long and ``overlong`` is ``error``, or nothing is left.
    """
    kept, num_dropped, num_truncated, num_characters = [], 0, 0, 0
    for example in examples:
        encoded = encode_example(tokenizer, example.prompt, example.completion, name=example.id)
        ids, num_prompt = list(encoded.ids), encoded.num_prompt
        if len(ids) > max_length:
            if overlong == "error":
                raise DataError(
                    f"examples: {name} example {example.id!r} has {len(ids)} tokens, at most {max_length} fit; raise"
                    " model.max_length, or set algorithm.overlong to drop or truncate_prompt"
                )
            num_left = max_length - (len(ids) - num_prompt)
            if overlong == "drop" or num_left < min(LEAST_PROMPT, num_prompt):
                num_dropped += 1
                continue
            ids, num_prompt = without_middle(ids, num_prompt, num_left), num_left
            num_truncated += 1
        num_characters += len(example.completion)
        kept.append(TokenExample(torch.tensor(ids, dtype=torch.int64), 1 if train_on_prompt else num_prompt))
    if not kept:
        why = f"none of its {len(examples)} examples fits into {max_length} tokens" if examples else "it is empty"
        raise DataError(f"examples: there is no {name} example to use: {why}")
    return tuple(kept), LengthReport.of(
        kept,
        num_examples=len(examples),
        num_dropped=num_dropped,
        num_truncated=num_truncated,
        num_characters=num_characters,
        limit=max_length,
    )


def without_middle(ids: Sequence[int], num_prompt: int, num_left: int) -> list[int]:
    """Cut the middle out of the prompt; its ends hold the instruction and the question."""
    head = num_left // 2
    return [*ids[:head], *ids[num_prompt - (num_left - head) :]]


def as_report(reports: Mapping[str, LengthReport]) -> dict[str, dict[str, int]]:
    """Return the content of ``data_report.json``, by set."""
    return {name: report.as_json() for name, report in reports.items()}
