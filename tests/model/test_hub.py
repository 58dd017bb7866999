"""A hub that is not there is told within seconds; one that is slow is waited for."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from tradewright.errors import ConfigError
from tradewright.model.language_model import LanguageModel


def hub_at(port: int, cache: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the hub's library ask a port of this machine, with an empty cache."""
    url = f"http://127.0.0.1:{port}"
    patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    patch.setattr("huggingface_hub.constants.ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))


def test_hub_that_cannot_be_reached_is_told_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = closed.getsockname()[1]
        started = time.monotonic()
        hub_at(port, tmp_path, monkeypatch)
        with pytest.raises(ConfigError) as raised:
            LanguageModel(name="someone/model-of-nobody").load()
        assert time.monotonic() - started < 10  # the library alone needs 70 s: 23 s for each of three files
        assert huggingface_hub.constants.HF_HUB_OFFLINE is False
    text = str(raised.value)
    assert "\n" not in text
    for hint in (
        f"127.0.0.1:{port} cannot be reached",
        "model.name=<folder>",
        "hf download someone/",
        "HF_HUB_OFFLINE=1",
    ):
        assert hint in text


class SlowHub(BaseHTTPRequestHandler):
    """A hub that answers late, and has no file."""

    def do_HEAD(self) -> None:
        self.server.asked.append(self.path)
        time.sleep(0.5)
        self.send_response(404)
        self.send_header("x-error-code", "EntryNotFound")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_hub_that_answers_late_is_asked_for_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowHub)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setattr("tradewright.model.hub.CONNECT_TIMEOUT_S", 0.2)  # of the connection, not of the answer
        hub_at(server.server_port, tmp_path, monkeypatch)
        with pytest.raises(ConfigError, match=r"neither tokenizer\.json"):
            LanguageModel(name="someone/model-of-nobody").load()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert "/someone/model-of-nobody/resolve/main/tokenizer.json" in server.asked
