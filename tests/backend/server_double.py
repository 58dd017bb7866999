"""A real HTTP server in a thread that speaks the dialects of language model servers, well or badly as told."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tradewright.backend.local import LocalBackend
from tradewright.generate.decoding import Decoding

Reply = Callable[["Handler", dict[str, Any]], None]


@dataclass
class Double:
    """What the server does and what it was asked.

    Args:
        replies: What it does with one request after the other; the last one stays.
    """

    replies: list[Reply]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def num_requests(self) -> int:
        return len(self.requests)


class Handler(BaseHTTPRequestHandler):
    """Answers one request as the double says."""

    double: Double

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        number = len(self.double.requests)
        self.double.requests.append(body)
        self.double.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.double.replies[min(number, len(self.double.replies) - 1)](self, body)

    def send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def send_lines(self, lines: list[str]) -> None:
        """Send lines without a length: the end of the connection is the end of the answer."""
        self.send_response(200)
        self.end_headers()
        for line in lines:
            self.wfile.write(line.encode())
            self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def server(*replies: Reply) -> Iterator[Double]:
    """Run a server that replies so."""
    double = Double(list(replies))
    handler = type("Bound", (Handler,), {"double": double})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listening.daemon_threads = True
    double.url = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def openai_text(text: str, finish: str = "stop", num_tokens: int = 3, **message: str) -> dict[str, Any]:
    return {
        "id": "1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": num_tokens, "total_tokens": 5 + num_tokens},
    }


def ollama_text(text: str, finish: str = "stop", num_tokens: int = 3, **message: str) -> dict[str, Any]:
    return {
        "model": "m",
        "message": {"role": "assistant", "content": text, **message},
        "done": True,
        "done_reason": finish,
        "eval_count": num_tokens,
        "prompt_eval_count": 5,
    }


def openai_lines(pieces: list[str], finish: str = "stop", key: str = "content") -> list[str]:
    def chunk(delta: dict[str, str], reason: str | None) -> str:
        return f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, 'finish_reason': reason}]})}\n\n"

    return [
        ": comment\n\n",
        chunk({"role": "assistant"}, None),
        *(chunk({key: piece}, None) for piece in pieces),
        chunk({}, finish),
        f"data: {json.dumps({'choices': [], 'usage': {'completion_tokens': 3, 'prompt_tokens': 5}})}\n\n",
        "data: [DONE]\n\n",
    ]


def ollama_lines(pieces: list[str], finish: str = "stop", key: str = "content") -> list[str]:
    def line(message: dict[str, str], **rest: Any) -> str:
        return json.dumps({"message": {"role": "assistant", "content": "", **message}, "done": False, **rest}) + "\n"

    last = {"done": True, "done_reason": finish, "eval_count": 3, "prompt_eval_count": 5}
    return [*(line({key: piece}) for piece in pieces), line({}, **last)]


def json_reply(content: Any, status: int = 200, **headers: str) -> Reply:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda handler, _: handler.send(status, data, **headers)


def lines_reply(lines: list[str]) -> Reply:
    return lambda handler, _: handler.send_lines(lines)


def hang(seconds: float) -> Reply:
    return lambda handler, _: time.sleep(seconds)


def hang_up(handler: Handler, _: dict[str, Any]) -> None:
    handler.close_connection = True


def cut_short(content: bytes) -> Reply:
    """Promise more bytes than come."""

    def reply(handler: Handler, _: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("content-length", str(len(content) + 100))
        handler.end_headers()
        handler.wfile.write(content)
        handler.close_connection = True

    return reply


def model_reply(local: LocalBackend) -> Reply:
    """Answer with a real model, in the dialect of the request."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        is_ollama = "options" in body
        options = body["options"] if is_ollama else body
        decoding = Decoding(
            temperature=options["temperature"],
            top_k=options.get("top_k", 0),
            top_p=options["top_p"],
            repetition_penalty=options.get("repeat_penalty", options.get("repetition_penalty", 1.0)),
            max_new_tokens=options["num_predict" if is_ollama else "max_tokens"],
            seed=options["seed"],
            stop=options.get("stop", ()),
        )
        messages = tuple(body["messages"])
        whole = local.complete(messages, decoding)
        if body["stream"]:
            lines = ollama_lines if is_ollama else openai_lines
            handler.send_lines(lines(list(local.stream(messages, decoding)), whole.finish))
        else:
            content = (ollama_text if is_ollama else openai_text)(whole.text, whole.finish, whole.num_tokens)
            handler.send(200, json.dumps(content).encode())

    return reply
