"""``Service``: what the routes share, and how a request's settings become those of the model."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tradewright.examples.example import Messages
from tradewright.generate.decoding import LARGEST_SEED, Decoding
from tradewright.serve import protocol
from tradewright.serve.cache import ResponseCache
from tradewright.serve.engine import Engine
from tradewright.serve.failure import ServeError
from tradewright.serve.guard import Guard, require_allowed
from tradewright.serve.request_log import RequestLog

LABELS = ("BUY", "SELL", "HOLD")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the server takes.

    Args:
        max_body_bytes: Of one request, >= 1.
        max_characters: Of all turns of a conversation, >= 1.

    Raises:
        ValueError: A value is below 1.
    """

    max_body_bytes: int = 1_000_000
    max_characters: int = 100_000

    def __post_init__(self) -> None:
        for name in ("max_body_bytes", "max_characters"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, was {getattr(self, name)}")


@dataclass(kw_only=True)
class Service:
    """What the routes use.

    Args:
        engine: Runs the model.
        name: Of the model, for clients.
        decoding: Settings that a request does not name.
        cache: Of equal requests.
        log: Of requests.
        labels: Of decisions that name none.
        limits: What is taken.
        guard: One more look at conversations; None: none.
        token: That clients must send; None: none.
        logs_content: Whether conversations and answers are logged too.
    """

    engine: Engine
    name: str
    decoding: Decoding
    cache: ResponseCache
    log: RequestLog
    labels: Sequence[str] = LABELS
    limits: Limits = field(default_factory=Limits)
    guard: Guard | None = None
    token: str | None = None
    logs_content: bool = False
    started: int = field(default_factory=lambda: int(time.time()))
    num_answered: int = 0

    def require_model(self, name: str | None) -> None:
        """Refuse another model than the served one."""
        if name is not None and name != self.name:
            raise ServeError(
                404, f"model: {name!r} is not served here, only {self.name!r}", code="model_not_found", param="model"
            )

    def require_allowed(self, messages: Messages) -> None:
        """Refuse a conversation that must not reach the model."""
        require_allowed(messages, max_characters=self.limits.max_characters, guard=self.guard)

    def settings(self, request: protocol.Sampling, max_tokens: int | None) -> tuple[Decoding, bool]:
        """Return how to answer, and whether an equal request would get the same answer."""
        names = ("temperature", "top_p", "top_k", "repetition_penalty", "seed")
        given = {name: value for name in names if (value := getattr(request, name)) is not None}
        if max_tokens is not None:
            given["max_new_tokens"] = max_tokens
        if request.stop is not None:
            given["stop"] = [request.stop] if isinstance(request.stop, str) else request.stop
        is_repeatable = "seed" in given or given.get("temperature", self.decoding.temperature) == 0
        if "seed" not in given:
            given["seed"] = secrets.randbelow(LARGEST_SEED + 1)
        try:
            return self.decoding.changed(**given, stream=False), is_repeatable
        except ValueError as error:
            raise ServeError(400, str(error)) from error
