"""``backend=local``: the configured model answers in this process."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from tradewright.backend.backend import AnswerStream
from tradewright.config.runtime import Runtime
from tradewright.examples.example import Messages
from tradewright.generate.decoding import Decoding
from tradewright.generate.reasoning import OPENING, Reasoning, Splitter, split_reasoning
from tradewright.generate.writer import Writer
from tradewright.generate.written import Written
from tradewright.model.chat import encode_prompt
from tradewright.model.loaded_model import LoadedModel

TAIL = 8
"""Tokens at the end of a prompt among which an opening mark stands, if the template writes one."""


class LocalBackend:
    """A model in this process.

    Args:
        loaded: Model and tokenizer.
        reasoning: ``apart`` splits what is thought from the answer; ``keep`` leaves it in the text.

    Raises:
        ValueError: ``reasoning`` is neither.
    """

    needs_model: ClassVar[bool] = True

    def __init__(self, *, loaded: Runtime[LoadedModel], reasoning: Reasoning = "apart") -> None:
        require_reasoning(reasoning)
        self.loaded = loaded
        self.reasoning = reasoning

    def complete(self, messages: Messages, decoding: Decoding) -> Written:
        """Return the answer, of several candidates the most probable one per token."""
        return self.complete_all([messages], decoding)[0]

    def complete_all(self, prompts: Sequence[Messages], decoding: Decoding) -> list[Written]:
        """Return the answer to every conversation, in batches."""
        written = Writer(self.loaded, decoding).write(prompts)
        return [self._apart(messages, one) for messages, one in zip(prompts, written, strict=True)]

    def stream(self, messages: Messages, decoding: Decoding) -> AnswerStream:
        """Return the answer piece by piece."""
        text = Writer(self.loaded, decoding).stream(messages)

        def pieces(stream: AnswerStream) -> Iterator[str]:
            if self.reasoning == "keep":
                yield from text
            else:
                yield from answer_pieces(text, Splitter(is_open=self._is_open(messages)))
            assert text.written is not None
            stream.written = self._apart(messages, text.written)

        return AnswerStream(pieces)

    def _apart(self, messages: Messages, written: Written) -> Written:
        if self.reasoning == "keep":
            return written
        reasoning, answer = split_reasoning(written.text, is_open=self._is_open(messages))
        return replace(written, text=answer, reasoning=reasoning)

    def _is_open(self, messages: Messages) -> bool:
        ids = encode_prompt(self.loaded.tokenizer, messages)
        tail = self.loaded.tokenizer.decode(ids[-TAIL:], skip_special_tokens=False)
        return str(tail).rstrip().endswith(OPENING)


def require_reasoning(reasoning: str) -> None:
    """Refuse a word that is not one of ``Reasoning``.

    Raises:
        ValueError: It is another one.
    """
    if reasoning not in ("apart", "keep"):
        raise ValueError(f"reasoning must be apart or keep, was {reasoning!r}")


def answer_pieces(pieces: Iterator[str], splitter: Splitter) -> Iterator[str]:
    """Return the pieces of the answer without the reasoning before it."""
    for piece in pieces:
        if shown := splitter.next(piece):
            yield shown
    if shown := splitter.end():
        yield shown
