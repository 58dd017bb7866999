"""A really started server on a free port of this machine, with a tiny model."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tiny_writers import tiny_writer
from tradewright.generate.decoding import Decoding
from tradewright.serve.app import create_app
from tradewright.serve.cache import ResponseCache
from tradewright.serve.engine import Engine
from tradewright.serve.request_log import RequestLog
from tradewright.serve.server import listen, make_server
from tradewright.serve.service import Service

DECODING = Decoding(max_new_tokens=12)
NAME = "tiny-qwen2"


@dataclass
class Started:
    """A server, and what is behind it."""

    url: str
    service: Service
    server: Any
    thread: threading.Thread

    def post(self, path: str, content: Any, **options: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=content, timeout=30, trust_env=False, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=30, trust_env=False, **options)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()


@contextmanager
def started(
    *, log: Path | None = None, max_waiting: int = 16, cache_size: int = 64, **options: Any
) -> Iterator[Started]:
    """Start a server and stop it at the end."""
    service = Service(
        engine=Engine(tiny_writer(), max_waiting=max_waiting),
        name=NAME,
        decoding=options.pop("decoding", DECODING),
        cache=ResponseCache(cache_size),
        log=RequestLog(log),
        **options,
    )
    opened = listen("127.0.0.1", 0)
    server = make_server(create_app(service), host="127.0.0.1")
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    running = Started(f"http://127.0.0.1:{opened.getsockname()[1]}", service, server, thread)
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        yield running
    finally:
        running.stop()
        opened.close()
