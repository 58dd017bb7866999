"""A PostgreSQL server of one test, really started: ``with server(folder) as url``."""

import os
import pwd
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PASSWORD = "s3cr-et"
ACCOUNT = "postgres"
"""Runs the server where the tests run as root, which PostgreSQL refuses."""


def why_not() -> str:
    """Return why no server can be started here; empty if one can."""
    missing = [name for name in ("initdb", "pg_ctl") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} of PostgreSQL are not on the PATH"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "the extra postgres is not installed"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(ACCOUNT)
        except KeyError:
            return f"PostgreSQL does not run as root and there is no account {ACCOUNT}"
    return ""


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Start a server with an empty database; yield its URL with the password; stop it at the end.

    Args:
        folder: Empty; every folder above it must let the account in.
    """
    if why_not():
        pytest.skip(why_not())
    secret, data, port = folder / "password", folder / "data", _free_port()
    secret.write_text(PASSWORD)
    if os.geteuid() == 0:
        shutil.chown(folder, ACCOUNT)
        shutil.chown(secret, ACCOUNT)
    _run("initdb", "--pgdata", data, "--auth=scram-sha-256", f"--username={ACCOUNT}", f"--pwfile={secret}", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    _run("pg_ctl", "start", "--wait", "--pgdata", data, "--log", folder / "log", "--options", options)
    try:
        yield f"postgresql+psycopg://{ACCOUNT}:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        _run("pg_ctl", "stop", "--wait", "--pgdata", data, "--mode", "immediate")


def restart(folder: Path) -> None:
    """Stop the server at once, as a crash would, and start it again with its old options."""
    _run("pg_ctl", "restart", "--wait", "--pgdata", folder / "data", "--log", folder / "log", "--mode", "immediate")


def _run(*words: str | Path) -> None:
    command = [str(word) for word in words]
    if os.geteuid() == 0:
        command = ["su", ACCOUNT, "-s", "/bin/sh", "-c", shlex.join([str(shutil.which(command[0])), *command[1:]])]
    # A server that starts keeps its streams: no pipe, or this call would wait for it.
    with open(os.devnull, "r+b") as nothing:
        done = subprocess.run(command, stdin=nothing, stdout=nothing, stderr=nothing, cwd="/", timeout=120, check=False)
    assert done.returncode == 0, f"{command} failed with {done.returncode}"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
