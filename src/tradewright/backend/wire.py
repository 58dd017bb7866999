"""What is sent to servers of language models and what they answer, in the dialects that they speak.

* ``openai``: the fields of OpenAI's ``/chat/completions`` and no others;
* ``openai_extended``: with ``top_k`` and ``repetition_penalty``, as vLLM and ``tradewright serve`` take them;
* ``ollama``: Ollama's own ``/api/chat``.
"""

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from tradewright.errors import ConfigError, RunError
from tradewright.examples.example import Messages
from tradewright.generate.decoding import Decoding
from tradewright.generate.written import Finish

Dialect = Literal["openai", "openai_extended", "ollama"]

PATHS: dict[Dialect, str] = {
    "openai": "/chat/completions",
    "openai_extended": "/chat/completions",
    "ollama": "/api/chat",
}


class Part(Struct):
    """A whole answer or a piece of one.

    Args:
        text: Of the answer.
        reasoning: What the server keeps apart.
        finish: Why it ended; None: it goes on.
        num_tokens: Written; None if not said.
        num_prompt_tokens: Read; None if not said.
    """

    text: str = ""
    reasoning: str = ""
    finish: Finish | None = None
    num_tokens: int | None = None
    num_prompt_tokens: int | None = None

    def add(self, part: "Part") -> None:
        """Add the next piece."""
        self.text += part.text
        self.reasoning += part.reasoning
        self.finish = part.finish or self.finish
        self.num_tokens = self.num_tokens if part.num_tokens is None else part.num_tokens
        self.num_prompt_tokens = self.num_prompt_tokens if part.num_prompt_tokens is None else part.num_prompt_tokens


class _Message(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None


class _Usage(Struct):
    completion_tokens: int | None = None
    prompt_tokens: int | None = None


class _Choice(Struct):
    message: _Message
    finish_reason: str | None


class _Completion(Struct):
    choices: Annotated[list[_Choice], Meta(min_length=1)]
    usage: _Usage | None = None


class _Delta(Struct):
    delta: _Message
    finish_reason: str | None = None


class _Chunk(Struct):
    choices: list[_Delta]
    usage: _Usage | None = None


class _Ollama(Struct):
    message: _Message
    done: bool
    done_reason: str | None = None
    eval_count: int | None = None
    prompt_eval_count: int | None = None


class _Error(Struct):
    error: Any = None


def request(dialect: Dialect, model: str, messages: Messages, decoding: Decoding, *, is_stream: bool) -> dict[str, Any]:
    """Return the body of a request.

    Raises:
        ConfigError: The dialect has no word for a setting.
    """
    if decoding.num_candidates > 1:
        raise ConfigError(f"generate.num_candidates must be 1 with a server, was {decoding.num_candidates}")
    body: dict[str, Any] = {"model": model, "messages": [dict(message) for message in messages], "stream": is_stream}
    if dialect == "ollama":
        options = {
            "temperature": decoding.temperature,
            "top_k": decoding.top_k,
            "top_p": decoding.top_p,
            "repeat_penalty": decoding.repetition_penalty,
            "num_predict": decoding.max_new_tokens,
            "seed": decoding.seed,
            "stop": list(decoding.stop),
        }
        return {**body, "options": options}
    body |= {
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "max_tokens": decoding.max_new_tokens,
        "seed": decoding.seed,
    }
    if is_stream:
        body["stream_options"] = {"include_usage": True}
    if decoding.stop:
        body["stop"] = list(decoding.stop)
    if dialect == "openai_extended":
        return body | {"top_k": decoding.top_k, "repetition_penalty": decoding.repetition_penalty}
    for name, value, neutral in (
        ("repetition_penalty", decoding.repetition_penalty, 1.0),
        ("top_k", decoding.top_k, 0),
    ):
        if value != neutral:
            raise ConfigError(
                f"generate.{name} must be {neutral:g} with backend.dialect=openai, which has no such field, was"
                f" {value}; a server that has it speaks openai_extended"
            )
    return body


def read_answer(dialect: Dialect, data: bytes) -> Part:
    """Return a whole answer.

    Raises:
        RunError: It is not one.
    """
    if dialect == "ollama":
        return _of_ollama(_decode(data, _Ollama))
    completion = _decode(data, _Completion)
    choice, usage = completion.choices[0], completion.usage or _Usage()
    return Part(
        choice.message.content or "",
        _reasoning(choice.message),
        _finish(choice.finish_reason),
        usage.completion_tokens,
        usage.prompt_tokens,
    )


def read_line(dialect: Dialect, line: str) -> Part | None:
    """Return a piece of an answer; None if the line says nothing about it.

    Raises:
        RunError: It is not one.
    """
    if dialect == "ollama":
        return _of_ollama(_decode(line.encode(), _Ollama))
    name, _, content = line.partition(":")
    if name != "data" or content.strip() == "[DONE]":  # comments and names of events
        return None
    chunk = _decode(content.strip().encode(), _Chunk)
    usage = chunk.usage or _Usage()
    part = Part(num_tokens=usage.completion_tokens, num_prompt_tokens=usage.prompt_tokens)
    if chunk.choices:  # the usage comes without any, after the answer
        choice = chunk.choices[0]
        part.text, part.reasoning = choice.delta.content or "", _reasoning(choice.delta)
        part.finish = _finish(choice.finish_reason)
    return part


def _of_ollama(answer: _Ollama) -> Part:
    finish = _finish(answer.done_reason or "stop") if answer.done else None
    text, thought = answer.message.content or "", answer.message.thinking or ""
    return Part(text, thought, finish, answer.eval_count, answer.prompt_eval_count)


def _reasoning(message: _Message) -> str:
    return message.reasoning_content or message.reasoning or ""


def _finish(reason: str | None) -> Finish | None:
    match reason:
        case None | "stop" | "length":
            return reason
    raise RunError(f"the server ended the answer for another reason than stop or length: {reason!r}")


T = TypeVar("T")


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        error = msgspec.json.decode(data, type=_Error).error
        if error is not None:
            found = error.get("message", error) if isinstance(error, dict) else error
            raise RunError(f"the server reports an error: {' '.join(str(found).split())}")
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = data[:80].decode(errors="replace")
        raise RunError(f"the server's answer is malformed ({error}): {shown!r}") from error
