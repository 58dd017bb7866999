"""``backend=openai`` and ``backend=ollama``: a server answers, in OpenAI's dialect or Ollama's own."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

from tradewright.backend.backend import AnswerStream
from tradewright.backend.local import answer_pieces, require_reasoning
from tradewright.backend.transport import Transport
from tradewright.backend.wire import PATHS, Dialect, Part, read_answer, read_line, request
from tradewright.errors import RunError
from tradewright.examples.example import Messages
from tradewright.generate.decoding import Decoding
from tradewright.generate.reasoning import CLOSING, OPENING, Reasoning, Splitter, split_reasoning
from tradewright.generate.written import Written


class OpenAIBackend:
    """A server of language models.

    Args:
        url: Base of its paths: ``https://host/v1``, for Ollama ``http://localhost:11434``.
        model: Its name of the model; None: not chosen yet, which is refused.
        dialect: ``openai``: OpenAI's fields only; ``openai_extended``: with ``top_k`` and ``repetition_penalty``;
            ``ollama``: Ollama's own.
        key_variable: Environment variable that holds the server's key; None: it needs none.
        timeout_s: Longest wait for a connection and for the next bytes, seconds, > 0.
        retries: How often a failure that can pass is repeated, >= 0.
        retry_wait_s: Wait before the first repetition, seconds, >= 0; doubles with each.
        reasoning: ``apart`` splits what is thought from the answer; ``keep`` leaves it in the text.

    Raises:
        ValueError: An argument is out of range.
        ConfigError: The environment variable is not set.
    """

    needs_model: ClassVar[bool] = False

    def __init__(
        self,
        *,
        url: str,
        model: str | None = None,
        dialect: Dialect = "openai",
        key_variable: str | None = None,
        timeout_s: float = 120.0,
        retries: int = 3,
        retry_wait_s: float = 0.5,
        reasoning: Reasoning = "apart",
    ) -> None:
        if dialect not in PATHS:
            raise ValueError(f"dialect must be one of {', '.join(PATHS)}, was {dialect!r}")
        if not model:
            raise ValueError("model must be given, as the server names it; it is empty")
        require_reasoning(reasoning)
        self.model = model
        self.dialect: Dialect = dialect
        self.reasoning = reasoning
        self.transport = Transport(
            url, key_variable=key_variable, timeout_s=timeout_s, retries=retries, retry_wait_s=retry_wait_s
        )

    def complete(self, messages: Messages, decoding: Decoding) -> Written:
        """Return the answer."""
        body = request(self.dialect, self.model, messages, decoding, is_stream=False)
        data = self.transport.post(PATHS[self.dialect], body)
        with self._naming():
            part = read_answer(self.dialect, data)
        if part.finish is None:
            raise self._error("the answer does not say why it ended; expected a finish reason")
        return self._written(part)

    def complete_all(self, prompts: Sequence[Messages], decoding: Decoding) -> list[Written]:
        """Return the answer to every conversation, one after the other."""
        return [self.complete(messages, decoding) for messages in prompts]

    def stream(self, messages: Messages, decoding: Decoding) -> AnswerStream:
        """Return the answer piece by piece.

        Raises:
            RunError: While it is read: the server failed, or the answer broke off.
        """
        body = request(self.dialect, self.model, messages, decoding, is_stream=True)

        def pieces(stream: AnswerStream) -> Iterator[str]:
            whole = Part()
            text = self._pieces(body, whole)
            yield from text if self.reasoning == "keep" else answer_pieces(text, Splitter())
            stream.written = self._written(whole)

        return AnswerStream(pieces)

    def _written(self, part: Part) -> Written:
        assert part.finish is not None
        if self.reasoning == "keep":
            reasoning, text = "", f"{OPENING}{part.reasoning}{CLOSING}{part.text}" if part.reasoning else part.text
        else:
            reasoning, text = split_reasoning(part.text)
            reasoning = part.reasoning.strip() or reasoning
        return Written(
            text=text,
            num_tokens=part.num_tokens,
            finish=part.finish,
            log_probability=math.nan,
            reasoning=reasoning,
            num_prompt_tokens=part.num_prompt_tokens,
        )

    def _pieces(self, body: dict[str, object], whole: Part) -> Iterator[str]:
        """Yield text as it comes, with the reasoning if that is kept, and add everything up in ``whole``."""
        is_thinking = False
        for line in self.transport.lines(PATHS[self.dialect], body):
            with self._naming():
                part = read_line(self.dialect, line)
            if part is None:
                continue
            whole.add(part)
            if self.reasoning == "keep":
                if part.reasoning:
                    yield part.reasoning if is_thinking else OPENING + part.reasoning
                    is_thinking = True
                if is_thinking and part.text:
                    yield CLOSING
                    is_thinking = False
            if part.text:
                yield part.text
        if is_thinking:
            yield CLOSING
        if whole.finish is None:
            raise self._error("the answer broke off before its end")

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Name the server in what is wrong with its answer."""
        try:
            yield
        except RunError as error:
            raise self._error(str(error)) from error

    def _error(self, problem: str) -> RunError:
        return RunError(f"{self.transport.url}: {problem}")
