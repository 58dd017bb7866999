"""What every request passes before it is read: a token, a limit on its size, and the log behind it.

Plain ASGI: a response that is streamed passes through unchanged.
"""

import hmac
import secrets
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tradewright.output import now
from tradewright.serve.failure import ServeError
from tradewright.serve.request_log import RequestLog

OPEN_PATHS = ("/health",)
"""Answered without a token: whoever watches the server needs none."""
CLOSED_BY_CLIENT = 499
"""In the log, of a client that went before its answer; the usual number, no standard."""


class Gate:
    """Lets requests in.

    Args:
        app: What is behind.
        token: That clients must send as ``Authorization: Bearer``; None: none.
        max_body_bytes: Largest body.
        log: Gets a record of each request, with what the application put into the scope's ``record``.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, max_body_bytes: int, log: RequestLog) -> None:
        self.app = app
        self.token = token
        self.max_body_bytes = max_body_bytes
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record: dict[str, Any] = {
            "id": secrets.token_hex(8),
            "at": now(),
            "method": scope["method"],
            "path": scope["path"],
        }
        scope["record"] = record
        start = time.monotonic()
        status = CLOSED_BY_CLIENT

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], (b"x-request-id", record["id"].encode())]}
            await send(message)

        try:
            try:
                self._require_token(scope)
                body = await self._read(scope, receive)
            except ServeError as error:
                await _refuse(error, noting)
                return
            await self.app(scope, _replay(body, receive), noting)
        except Exception:  # logged as 500 and raised again: whoever is outside answers it
            status = 500
            raise
        finally:
            duration_ms = round(1000 * (time.monotonic() - start), 3)
            self.log.write({**record, "status": status, "duration_ms": duration_ms})

    def _require_token(self, scope: Scope) -> None:
        if self.token is None or scope["path"] in OPEN_PATHS:
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        kind, _, value = given.partition(b" ")
        # compared in a time that does not tell how much of it is right
        if not (hmac.compare_digest(value.strip(), self.token.encode()) and kind.lower() == b"bearer"):
            raise ServeError(401, "send the server's token as Authorization: Bearer <token>", code="invalid_api_key")

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        named = dict(scope["headers"]).get(b"content-length", b"")
        too_large = ServeError(
            413, f"the body has more than the {self.max_body_bytes} bytes that this server takes", code="body_too_large"
        )
        if named.isdigit() and int(named) > self.max_body_bytes:
            raise too_large
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ServeError(400, "the client went before its request was complete")
            body += message.get("body", b"")
            if len(body) > self.max_body_bytes:
                raise too_large
            if not message.get("more_body", False):
                return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    is_read = False

    async def replay() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(error: ServeError, send: Send) -> None:
    body = error.body()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.status == 413:
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
