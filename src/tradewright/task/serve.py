"""``task=serve``: a language model behind an OpenAI-compatible HTTP endpoint, until Ctrl-C or SIGTERM."""

import importlib.util
from pathlib import Path
from typing import Any, Literal, get_args

from omegaconf import DictConfig

from tradewright.config.build import build
from tradewright.errors import ConfigError
from tradewright.examples.example import Messages
from tradewright.explain.guard import inspect
from tradewright.task.language_model import OfLanguageModel, load_model

NEEDED = ("fastapi", "uvicorn")
LARGEST_PORT = 65_535
GuardName = Literal["injection", "none"]


class Serve(OfLanguageModel):
    """Answers ``/v1/chat/completions``, ``/v1/completions``, ``/v1/models``, ``/decide`` and ``/health``.

    Args:
        run: A run directory with a trained language model; None: the configured model.
        host: Where it listens; other than this machine's own needs a token.
        port: 0 takes a free one and prints it.
        served_name: Of the model, for clients; None: the last part of its own.
        token_variable: Environment variable with the token that clients must send; not set: none is asked for.
        labels: Of decisions that name none, at least 2.
        label_temperature: Calibration of decisions, > 0; 1 leaves the model's own probabilities.
        cache_size: Responses to equal requests that are kept, >= 0.
        max_waiting: Requests that wait while another is answered, >= 0; more get status 429.
        max_body_bytes: Largest request, >= 1.
        max_characters: Longest conversation, >= 1.
        guard: What looks at conversations before the model: ``injection`` refuses users' turns that give it orders
            (ignore instructions, reveal the prompt, hidden text), ``none`` nothing.
        log: File that gets a line of JSON per request; None: none.
        logs_content: Whether conversations and answers are in it.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        *,
        run: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        served_name: str | None = None,
        token_variable: str | None = "TRADEWRIGHT_TOKEN",
        labels: list[str],
        label_temperature: float = 1.0,
        cache_size: int = 256,
        max_waiting: int = 16,
        max_body_bytes: int = 1_000_000,
        max_characters: int = 100_000,
        guard: Literal["injection", "none"] = "none",
        log: str | None = None,
        logs_content: bool = False,
    ) -> None:
        if not 0 <= port <= LARGEST_PORT:
            raise ValueError(f"port must be in [0, {LARGEST_PORT}], was {port}")
        if len(labels) < 2 or len(set(labels)) < len(labels):
            raise ValueError(f"labels must be at least 2 different texts, was {labels}")
        if guard not in get_args(GuardName):
            raise ValueError(f"guard must be one of {', '.join(get_args(GuardName))}, was {guard!r}")
        require_packages()
        self.run = run
        self.host = host
        self.port = port
        self.served_name = served_name
        self.token_variable = token_variable
        self.labels = labels
        self.label_temperature = label_temperature
        self.cache_size = cache_size
        self.max_waiting = max_waiting
        self.limits = {"max_body_bytes": max_body_bytes, "max_characters": max_characters}
        self.guard = guard
        self.log = log
        self.logs_content = logs_content

    def execute(self, cfg: DictConfig) -> None:
        """Load the model and answer until told to end.

        Raises:
            ConfigError: Other machines could reach it without a token, or a value is out of range.
            RunError: It cannot listen there.
        """
        from tradewright.serve.server import read_token, serve

        token = read_token(self.token_variable, self.host)
        app = self._app(cfg, token)
        asked = "a token is asked for" if token else "this machine only, no token"
        serve(app, host=self.host, port=self.port, ready=lambda url: print(f"serving at {url} ({asked})", flush=True))

    def _app(self, cfg: DictConfig, token: str | None) -> Any:
        from tradewright.serve.app import create_app
        from tradewright.serve.cache import ResponseCache
        from tradewright.serve.engine import Engine
        from tradewright.serve.request_log import RequestLog
        from tradewright.serve.service import Limits, Service

        decoding = build(cfg.generate, key="generate")
        try:
            cache, limits = ResponseCache(self.cache_size), Limits(**self.limits)
            loaded = load_model(cfg, self.run)
            engine = Engine(loaded, max_waiting=self.max_waiting, label_temperature=self.label_temperature)
        except ValueError as error:
            raise ConfigError(f"task.{error}") from error
        service = Service(
            engine=engine,
            name=self.served_name or Path(str(loaded.facts["name"])).name,
            decoding=decoding,
            cache=cache,
            log=RequestLog(Path(self.log) if self.log is not None else None),
            labels=self.labels,
            limits=limits,
            guard=refused_by_injection if self.guard == "injection" else None,
            token=token,
            logs_content=self.logs_content,
        )
        return create_app(service)


def refused_by_injection(messages: Messages) -> str | None:
    """Return which rules of ``explain.guard`` a user's turn breaks; None where none does.

    Turns of the system and of the assistant are the application's own.
    """
    reasons = [reason for turn in messages if turn["role"] == "user" for reason in inspect(turn["content"]).reasons]
    return ", ".join(dict.fromkeys(reasons)) or None


def require_packages() -> None:
    """Refuse to serve without the packages of the extra.

    Raises:
        ConfigError: One is missing.
    """
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"task=serve: the package {name} is not installed; pip install 'tradewright[serve]'")
