"""A server on a socket: who may reach it, where it listens, and how it ends.

Only this machine reaches it unless a token is asked for. It ends at SIGINT or SIGTERM: requests that run are answered,
new ones are not taken.
"""

import os
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from tradewright.backend.transport import is_loopback
from tradewright.errors import ConfigError, RunError

GRACE_S = 30
"""How long requests that run may take at the end."""


def read_token(variable: str | None, host: str) -> str | None:
    """Return the token that clients must send, from an environment variable; None: none.

    Args:
        variable: Its name; None: no token.
        host: Where the server listens.

    Raises:
        ConfigError: Others than this machine could reach the server without one, or it is too short.
    """
    token = os.environ.get(variable, "") if variable is not None else ""
    if not token:
        if is_loopback(host):
            return None
        named = f"set the environment variable {variable}" if variable else "name an environment variable"
        raise ConfigError(
            f"task.host: {host} is reachable from other machines, and nothing asks for a token; {named} in"
            " task.token_variable, or use task.host=127.0.0.1"
        )
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"task.token_variable: {variable} must hold at least {LEAST_TOKEN} printable characters without spaces"
        )
    return token


LEAST_TOKEN = 16
"""Characters; shorter ones can be guessed."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Name or address.
        port: 0 takes a free one.

    Raises:
        RunError: It cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(128)
    except OSError as error:
        opened.close()
        raise RunError(
            f"task.port: cannot listen on {host}:{port} ({error.strerror or error}); choose another"
        ) from error
    return opened


def make_server(app: FastAPI, *, host: str) -> uvicorn.Server:
    """Return the server of an application.

    On this machine only requests to this machine's own names are answered: a page in a browser could else have its own
    name point here.
    """
    if is_loopback(host):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", host])
    settings = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        lifespan="on",
    )
    return uvicorn.Server(settings)


def serve(app: FastAPI, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answer requests until the process is told to end.

    Args:
        app: The application.
        host: Where it listens.
        port: 0 takes a free one.
        ready: Called with the address once connections are taken.

    Raises:
        RunError: It cannot listen there.
    """
    with listen(host, port) as opened:
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{opened.getsockname()[1]}")
        make_server(app, host=host).run(sockets=[opened])
