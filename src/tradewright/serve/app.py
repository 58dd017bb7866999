"""The FastAPI application: OpenAI's chat and text completions, decisions between labels, health."""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tradewright.examples.example import Messages
from tradewright.generate.decoding import Decoding
from tradewright.generate.written import Written
from tradewright.serve import protocol
from tradewright.serve.cache import request_key
from tradewright.serve.failure import ServeError
from tradewright.serve.gate import Gate
from tradewright.serve.handlers import add_handlers, declare_token
from tradewright.serve.service import Service
from tradewright.serve.stream import chat_events, completion_events, usage_of

CACHE_HEADER = "x-tradewright-cache"


def create_app(service: Service) -> FastAPI:
    """Return the application; its documentation is at ``/openapi.json``, without pages that load from elsewhere."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.engine.close()
        service.log.close()

    app = FastAPI(
        title="tradewright",
        description="Answers and decisions of one language model.",
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    add_handlers(app)
    _add_routes(app, service)
    declare_token(app, service.token)
    app.add_middleware(Gate, token=service.token, max_body_bytes=service.limits.max_body_bytes, log=service.log)
    return app


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": protocol.Refusal, "description": "The request cannot be answered."},
    401: {"model": protocol.Refusal, "description": "The token is missing or wrong."},
    404: {"model": protocol.Refusal, "description": "The model is not served here."},
    413: {"model": protocol.Refusal, "description": "The body is too large."},
    422: {"model": protocol.Refusal, "description": "A field is unknown, missing or out of range."},
    429: {"model": protocol.Refusal, "description": "Too many requests are waiting."},
    500: {"model": protocol.Refusal, "description": "The model failed."},
}
EVENTS: dict[str, Any] = {"content": {"text/event-stream": {}}}


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> protocol.Health:
        """Say whether the server answers."""
        cache = protocol.CacheState(size=len(service.cache), hits=service.cache.hits, misses=service.cache.misses)
        return protocol.Health(
            model=service.name,
            num_running=service.engine.num_running,
            num_answered=service.num_answered,
            cache=cache,
        )

    @app.get("/v1/models", responses={401: REFUSALS[401]})
    async def models() -> protocol.ServedModels:
        """List the served model."""
        return protocol.ServedModels(data=[protocol.ServedModel(id=service.name, created=service.started)])

    @app.post("/v1/chat/completions", response_model=protocol.ChatCompletion, responses={200: EVENTS, **REFUSALS})
    async def chat(request: Request, content: Annotated[protocol.ChatRequest, Body()]) -> Response:
        """Continue a conversation, whole or as a stream of events."""
        if content.max_tokens is not None and content.max_completion_tokens is not None:
            raise ServeError(400, "max_tokens and max_completion_tokens: give one of the two", param="max_tokens")
        schema = None
        if isinstance(content.response_format, protocol.JsonSchemaFormat):
            schema = content.response_format.json_schema.definition
        max_tokens = content.max_tokens or content.max_completion_tokens
        return await _answer(request, service, content, max_tokens=max_tokens, schema=schema)

    @app.post("/v1/completions", response_model=protocol.Completion, responses={200: EVENTS, **REFUSALS})
    async def completions(request: Request, content: Annotated[protocol.CompletionRequest, Body()]) -> Response:
        """Answer a text, whole or as a stream of events."""
        return await _answer(request, service, content, max_tokens=content.max_tokens)

    @app.post("/decide", response_model=protocol.Decision, responses=REFUSALS)
    async def decide(request: Request, content: Annotated[protocol.DecideRequest, Body()]) -> Response:
        """Choose one of a few labels, with the probability of each."""
        service.require_model(content.model)
        messages = content.conversation()
        if messages is None:
            raise ServeError(400, "prompt and messages: give one of the two", param="prompt")
        labels = content.labels or list(service.labels)
        if len(set(labels)) < len(labels):
            raise ServeError(400, "labels: must all be different", param="labels")
        service.require_allowed(messages)

        async def work() -> tuple[BaseModel, dict[str, Any]]:
            found = await service.engine.probabilities(messages, labels)
            best = max(range(len(labels)), key=lambda place: found[place])
            decision = protocol.Decision(
                label=labels[best],
                confidence=found[best],
                probabilities=dict(zip(labels, found, strict=True)),
                model=service.name,
            )
            return decision, {"label": decision.label, "confidence": decision.confidence}

        return await _cached(request, service, content, messages, work, is_repeatable=True)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One answer to be written.

    Args:
        request: As it came.
        content: Its body.
        messages: The conversation.
        decoding: How tokens are drawn.
        is_repeatable: Whether an equal request would get the same answer.
        schema: Of an answer in JSON; None: free text.
        is_chat: Which of the two forms the answer has.
        name: The answer's id.
        created: When, seconds since 1970.
    """

    request: Request
    content: protocol.Sampling
    messages: Messages
    decoding: Decoding
    is_repeatable: bool
    schema: dict[str, Any] | None
    is_chat: bool
    name: str
    created: int


async def _answer(
    request: Request,
    service: Service,
    content: protocol.ChatRequest | protocol.CompletionRequest,
    *,
    max_tokens: int | None,
    schema: dict[str, Any] | None = None,
) -> Response:
    messages, is_chat = content.conversation(), isinstance(content, protocol.ChatRequest)
    service.require_model(content.model)
    service.require_allowed(messages)
    decoding, is_repeatable = service.settings(content, max_tokens)
    job = Job(
        request=request,
        content=content,
        messages=messages,
        decoding=decoding,
        is_repeatable=is_repeatable,
        schema=schema,
        is_chat=is_chat,
        name=f"{'chatcmpl' if is_chat else 'cmpl'}-{secrets.token_hex(12)}",
        created=int(time.time()),
    )
    if content.stream:
        return await _stream(service, job)

    async def work() -> tuple[BaseModel, dict[str, Any]]:
        written = await service.engine.write(messages, decoding, schema)
        make = _chat_completion if is_chat else _completion
        return make(written, job.name, job.created, service.name), _facts(service, written)

    return await _cached(request, service, content, messages, work, is_repeatable=is_repeatable)


async def _stream(service: Service, job: Job) -> Response:
    record = _open_record(job.request, service, job.messages)
    key = request_key(job.request.url.path, job.content.model_dump(mode="json", exclude={"user"}))
    headers = {"cache-control": "no-cache"}
    kept = service.cache.get(key) if job.is_repeatable else None
    if kept is not None:
        service.num_answered += 1
        record["cache"] = "hit"
        return Response(kept, media_type="text/event-stream", headers={**headers, CACHE_HEADER: "hit"})
    record["cache"] = "miss" if job.is_repeatable else "none"
    events = await service.engine.stream(job.messages, job.decoding, job.schema)

    def finished(written: Written, sent: bytes) -> None:
        service.num_answered += 1
        record.update(_facts(service, written))
        if job.is_repeatable:
            service.cache.keep(key, sent)

    options = job.content.stream_options
    make = chat_events if job.is_chat else completion_events
    body = make(
        events,
        name=job.name,
        created=job.created,
        model=service.name,
        wants_usage=options is not None and options.include_usage,
        finished=finished,
    )

    async def sending() -> AsyncIterator[bytes]:
        async with aclosing(body):  # a client that goes ends the writing at once
            async for chunk in body:
                yield chunk

    headers[CACHE_HEADER] = record["cache"]
    return StreamingResponse(sending(), media_type="text/event-stream", headers=headers)


async def _cached(
    request: Request,
    service: Service,
    content: BaseModel,
    messages: Messages,
    work: Callable[[], Awaitable[tuple[BaseModel, dict[str, Any]]]],
    *,
    is_repeatable: bool,
) -> Response:
    """Answer from the cache, or do the work and keep its response if an equal request would get the same."""
    record = _open_record(request, service, messages)
    key = request_key(request.url.path, content.model_dump(mode="json", exclude={"user"}))
    data = service.cache.get(key) if is_repeatable else None
    record["cache"] = "hit" if data is not None else "miss" if is_repeatable else "none"
    if data is None:
        answer, facts = await work()
        data = answer.model_dump_json().encode()
        record.update(facts)
        if is_repeatable:
            data = service.cache.keep(key, data)
    service.num_answered += 1
    return Response(data, media_type="application/json", headers={CACHE_HEADER: record["cache"]})


def _open_record(request: Request, service: Service, messages: Messages) -> dict[str, Any]:
    record: dict[str, Any] = request.scope["record"]
    if service.logs_content:
        record["messages"] = list(messages)
    return record


def _facts(service: Service, written: Written) -> dict[str, Any]:
    facts = {
        "num_prompt_tokens": written.num_prompt_tokens,
        "num_tokens": written.num_tokens,
        "finish": written.finish,
    }
    return facts | ({"answer": written.text} if service.logs_content else {})


def _chat_completion(written: Written, name: str, created: int, model: str) -> protocol.ChatCompletion:
    choice = protocol.ChatChoice(message=protocol.Reply(content=written.text), finish_reason=written.finish)
    return protocol.ChatCompletion(id=name, created=created, model=model, choices=[choice], usage=usage_of(written))


def _completion(written: Written, name: str, created: int, model: str) -> protocol.Completion:
    choice = protocol.TextChoice(text=written.text, finish_reason=written.finish)
    return protocol.Completion(id=name, created=created, model=model, choices=[choice], usage=usage_of(written))
