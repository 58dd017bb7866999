"""Server-sent events in OpenAI's form: pieces of an answer, the reason of its end, and ``[DONE]``."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import msgspec

from tradewright.errors import TradewrightError
from tradewright.generate.written import Written
from tradewright.serve.engine import Event
from tradewright.serve.failure import ServeError
from tradewright.serve.protocol import Usage

Finished = Callable[[Written, bytes], None]
"""Called with the whole answer and everything that was sent."""
Choice = Callable[[str | None, str | None], dict[str, Any]]
"""Makes a choice from a piece and the reason of the end."""

DONE = b"data: [DONE]\n\n"


def usage_of(written: Written) -> Usage:
    """Return the tokens of a request."""
    assert written.num_prompt_tokens is not None
    assert written.num_tokens is not None
    return Usage(
        prompt_tokens=written.num_prompt_tokens,
        completion_tokens=written.num_tokens,
        total_tokens=written.num_prompt_tokens + written.num_tokens,
    )


def chat_events(events: AsyncGenerator[Event, None], **options: Any) -> AsyncGenerator[bytes, None]:
    """Return the events of ``/v1/chat/completions``; options as of :func:`completion_events`."""

    def choice(piece: str | None, finish: str | None) -> dict[str, Any]:
        delta = {} if piece is None else {"content": piece}
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}

    first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    return _write(events, "chat.completion.chunk", choice, first, **options)


def completion_events(events: AsyncGenerator[Event, None], **options: Any) -> AsyncGenerator[bytes, None]:
    """Return the events of ``/v1/completions``.

    Args:
        events: Of the engine.
        options: ``name`` and ``created`` of the answer, ``model``, ``wants_usage``, ``finished``.
    """

    def choice(piece: str | None, finish: str | None) -> dict[str, Any]:
        return {"index": 0, "text": piece or "", "logprobs": None, "finish_reason": finish}

    return _write(events, "text_completion", choice, None, **options)


async def _write(
    events: AsyncGenerator[Event, None],
    kind: str,
    choice: Choice,
    first: dict[str, Any] | None,
    *,
    name: str,
    created: int,
    model: str,
    wants_usage: bool,
    finished: Finished,
) -> AsyncGenerator[bytes, None]:
    sent = bytearray()

    def line(choices: list[dict[str, Any]], **more: Any) -> bytes:
        content = {"id": name, "object": kind, "created": created, "model": model, "choices": choices, **more}
        data = b"data: " + msgspec.json.encode(content) + b"\n\n"
        sent.extend(data)
        return data

    if first is not None:
        yield line([first])
    async with aclosing(events):
        async for event, value in events:
            if event == "piece":
                yield line([choice(value, None)])
            elif event == "error":
                yield _failed(value)
                return
            else:
                yield line([choice(None, value.finish)])
                if wants_usage:
                    yield line([], usage=usage_of(value).model_dump())
                finished(value, bytes(sent) + DONE)
                yield DONE


def _failed(error: Exception) -> bytes:
    """Return the event that says that there is no more; a defect is not told to clients."""
    message = str(error) if isinstance(error, TradewrightError) else "the model failed; see the server's log"
    return b"data: " + ServeError(500, message).body() + b"\n\n"
