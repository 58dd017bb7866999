"""The loop that writes: one token per row and step, rows leave the batch when they are done.

Legend: B rows that still write, L tokens, V vocabulary.
"""

import hashlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from tradewright.errors import RunError
from tradewright.generate.decoding import Decoding
from tradewright.generate.forward import Cached, answering, pad_left
from tradewright.generate.sampling import choose, penalise
from tradewright.generate.written import Finish


class Constraint(Protocol):
    """What may be written next, e.g. by a grammar; one per row."""

    def forbid(self, logits_V: Tensor) -> None:
        """Set the logits of tokens that may not come next to ``-inf``, in place."""

    def accept(self, token: int) -> None:
        """Take note of the token that was written."""


@dataclass
class Row:
    """One answer being written.

    Args:
        prompt: Tokens of the prompt.
        limit: Most tokens it may get.
        seed: Of its own draws.
        constraint: What may be written; None: anything.
    """

    prompt: Sequence[int]
    limit: int
    seed: int
    constraint: Constraint | None = None
    ids: list[int] = field(default_factory=list)
    """Written tokens; the token that ended the answer is the last of them."""
    log_probability: float = 0.0
    finish: Finish | None = None
    has_end: bool = False
    """Whether the model itself ended the answer, with the last token."""

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)

    @property
    def content(self) -> list[int]:
        """The tokens of the text, without the one that ended it."""
        return self.ids[:-1] if self.has_end else self.ids


def row_seed(seed: int, prompt: Sequence[int], candidate: int) -> int:
    """Return the seed of one answer: of the prompt's content, not of its place in a batch."""
    text = f"{seed}|{candidate}|{','.join(map(str, prompt))}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end an answer: the tokenizer's and those that the model's own settings name.

    Raises:
        RunError: There is none.
    """
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    found = {*(named if isinstance(named, list | tuple) else [named]), tokenizer.eos_token_id} - {None}
    if not found:
        raise RunError("the tokenizer has no end-of-sequence token, so no answer could end; add eos_token to it")
    return frozenset(int(token) for token in found)


def write_steps(
    model: Any,
    groups: Sequence[Sequence[Row]],
    decoding: Decoding,
    *,
    vocabulary: int,
    ends: frozenset[int],
    is_stopped: Callable[[Row], bool],
) -> Generator[None]:
    """Write all rows, yielding after each step; the rows carry the result.

    Args:
        model: A causal language model of transformers, adapters included.
        groups: Rows of the same prompt side by side, as many in each group; a prompt is read once.
        decoding: How tokens are drawn; ``max_new_tokens`` is each row's own limit.
        vocabulary: Tokens that the tokenizer knows; a model's head may have more, which are never written.
        ends: Tokens that end an answer.
        is_stopped: Whether a row's text is over though the model has not ended it.

    Raises:
        RunError: The model's logits are not finite.
    """
    with answering(model):
        yield from _steps(model, groups, decoding, vocabulary=vocabulary, ends=ends, is_stopped=is_stopped)


def _steps(
    model: Any,
    groups: Sequence[Sequence[Row]],
    decoding: Decoding,
    *,
    vocabulary: int,
    ends: frozenset[int],
    is_stopped: Callable[[Row], bool],
) -> Generator[None]:
    rows = [row for group in groups for row in group]
    cached = Cached(model, len(groups))
    ids_BL, mask_BL = pad_left([group[0].prompt for group in groups])
    logits_BV = cached.extend(ids_BL, mask_BL)[:, -1]
    repeats = len(groups[0])
    if repeats > 1:
        cached.repeat(repeats)
        logits_BV = logits_BV.repeat_interleave(repeats, dim=0)
    seen_BV = torch.zeros_like(logits_BV, dtype=torch.bool)
    for place, row in enumerate(rows):
        seen_BV[place, torch.tensor(list(row.prompt), device=seen_BV.device)] = True
    while True:
        tokens = _choose_all(rows, logits_BV, seen_BV, decoding, vocabulary)
        for row, token in zip(rows, tokens, strict=True):
            row.has_end = token in ends
            if row.has_end or is_stopped(row):
                row.finish = "stop"
            elif len(row.ids) >= row.limit:
                row.finish = "length"
        yield
        kept = [place for place, row in enumerate(rows) if row.finish is None]
        if not kept:
            return
        if len(kept) < len(rows):
            rows = [rows[place] for place in kept]
            cached.select(kept)
            seen_BV = seen_BV[torch.tensor(kept, device=seen_BV.device)]
        newest_B1 = torch.tensor([[row.ids[-1]] for row in rows])
        seen_BV.scatter_(1, newest_B1.to(seen_BV.device), True)
        logits_BV = cached.extend(newest_B1, torch.ones_like(newest_B1))[:, -1]


@torch.no_grad()
def _choose_all(
    rows: Sequence[Row], logits_BV: Tensor, seen_BV: Tensor, decoding: Decoding, vocabulary: int
) -> list[int]:
    """Choose the next token of every row and note it with its log-probability."""
    if not bool(torch.isfinite(logits_BV).all()):
        raise RunError("the model's logits are not finite; its weights or its precision are broken")
    plain_BV = logits_BV.log_softmax(dim=-1)
    allowed_BV = penalise(logits_BV, seen_BV, decoding.repetition_penalty).clone()
    allowed_BV[:, vocabulary:] = -torch.inf
    for place, row in enumerate(rows):
        if row.constraint is not None:
            row.constraint.forbid(allowed_BV[place])
    uniform_B = torch.stack([torch.rand((), generator=row.generator) for row in rows])
    tokens_B = choose(allowed_BV, decoding, uniform_B.to(allowed_BV.device))
    chosen_B = plain_BV.gather(1, tokens_B.unsqueeze(1)).squeeze(1).tolist()
    tokens: list[int] = tokens_B.tolist()
    for row, token, log_probability in zip(rows, tokens, chosen_B, strict=True):
        row.ids.append(token)
        row.log_probability += log_probability
        if row.constraint is not None:
            row.constraint.accept(token)
    return tokens
