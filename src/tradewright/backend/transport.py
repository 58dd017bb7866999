"""Requests to a server of language models: bounded repetition, time limits, and one line for whatever goes wrong.

Repeated are failures that can pass: no connection, a time limit, status 429 and 5xx. A request that the server refuses
is not repeated, and neither is an answer that broke off after its first piece.
"""

import ipaddress
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from tradewright.errors import ConfigError, RunError

PASSING = frozenset({429, 500, 502, 503, 504})
"""Status codes of failures that can pass."""
LONGEST_WAIT_S = 30.0
SHOWN = 200
"""Characters of a server's message that an error shows."""


class Transport:
    """Posts JSON to one server.

    Args:
        url: Base of its paths, http or https.
        key_variable: Environment variable that holds its key; None: it needs none.
        timeout_s: Longest wait for a connection and for the next bytes, seconds, > 0.
        retries: How often a failure that can pass is repeated, >= 0.
        retry_wait_s: Wait before the first repetition, seconds, >= 0; doubles with each, to at most 30, unless the
            server names another.

    Raises:
        ValueError: An argument is out of range.
        ConfigError: The environment variable is not set.
    """

    def __init__(
        self, url: str, *, key_variable: str | None, timeout_s: float, retries: int, retry_wait_s: float
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url must be http://host:port or https://host, was {url!r}")
        if not timeout_s > 0:
            raise ValueError(f"timeout_s must be > 0, was {timeout_s}")
        if retries < 0:
            raise ValueError(f"retries must be >= 0, was {retries}")
        if not retry_wait_s >= 0:
            raise ValueError(f"retry_wait_s must be >= 0, was {retry_wait_s}")
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self.retries = retries
        self.retry_wait_s = retry_wait_s
        self._is_local = is_loopback(parts.hostname)
        self._headers = {"content-type": "application/json"}
        if key_variable is not None:
            key = os.environ.get(key_variable, "")
            if not key:
                raise ConfigError(f"backend.key_variable: the environment variable {key_variable} is not set")
            self._headers["authorization"] = f"Bearer {key}"

    def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """Return the body of the answer.

        Raises:
            RunError: There is none.
        """
        with self._open(path, body) as response:
            try:
                return response.read()
            except httpx.HTTPError as error:
                raise self._failure(path, f"broke off ({_reason(error)})") from error

    def lines(self, path: str, body: Mapping[str, Any]) -> Iterator[str]:
        """Yield the lines of an answer that comes piece by piece, without empty ones.

        Raises:
            RunError: There is none, or it broke off.
        """
        with self._open(path, body) as response:
            try:
                yield from (line for line in response.iter_lines() if line.strip())
            except httpx.HTTPError as error:
                raise self._failure(path, f"broke off ({_reason(error)})") from error

    @contextmanager
    def _open(self, path: str, body: Mapping[str, Any]) -> Iterator[httpx.Response]:
        """Send the request, repeatedly where that helps, and give an answer of status 200."""
        # a proxy of the environment cannot reach what runs on this machine
        with httpx.Client(timeout=self.timeout_s, trust_env=not self._is_local) as client:
            for attempt in range(self.retries + 1):
                try:
                    request = client.build_request(
                        "POST", f"{self.url}{path}", content=json.dumps(body), headers=self._headers
                    )
                    response = client.send(request, stream=True)
                except httpx.TransportError as error:
                    problem, wait_s = _reason(error), self._wait_s(attempt, None)
                else:
                    if response.status_code == httpx.codes.OK:
                        try:
                            yield response
                        finally:
                            response.close()
                        return
                    problem, wait_s = self._refused(response), self._wait_s(attempt, response)
                    if response.status_code not in PASSING:
                        raise self._failure(path, problem)
                if attempt < self.retries:
                    time.sleep(wait_s)
        times = "" if self.retries == 0 else f", {self.retries + 1} times in a row"
        raise self._failure(path, f"{problem}{times}; is the server running and is the model there?")

    def _refused(self, response: httpx.Response) -> str:
        try:
            text = response.read().decode(errors="replace")
        except httpx.HTTPError as error:
            text = _reason(error)
        finally:
            response.close()
        return f"status {response.status_code}: {_message(text)}"

    def _wait_s(self, attempt: int, response: httpx.Response | None) -> float:
        named = response.headers.get("retry-after", "") if response is not None else ""
        wait_s = float(named) if named.isdecimal() else self.retry_wait_s * 2.0**attempt
        return min(wait_s, LONGEST_WAIT_S)

    def _failure(self, path: str, problem: str) -> RunError:
        return RunError(f"{self.url}{path}: {problem}")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer within backend.timeout_s"
    return " ".join(str(error).split()) or type(error).__name__


def _message(text: str) -> str:
    """Return what a server says about a refusal: the message of its JSON, or the beginning of its text."""
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    error = content.get("error", content) if isinstance(content, dict) else None
    found = error.get("message") if isinstance(error, dict) else error
    return " ".join((found if isinstance(found, str) else text).split())[:SHOWN] or "no message"
