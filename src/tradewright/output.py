"""Files that are written whole or not at all, and the run directory of design §6.

A write goes to a temporary name in the same folder, is flushed to disk and renamed over the target, so a reader sees
the old file or the new one, never half of it; a failed write leaves no temporary file behind.
"""

import contextlib
import json
import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tradewright.errors import BusyError, ConfigError, PrunedError, RunError

State = Literal["running", "done", "failed", "pruned"]

CONFIG = "config.yaml"
STATUS = "status.json"
METRICS = "metrics.json"
PROVENANCE = "provenance.json"
MANIFEST = "manifest.json"
CURVES = "curves.json"
"""Learning curves: ``{name: {"steps": [...], "values": [...]}}``, one point per validation."""
CHECKPOINTS = "checkpoints"
LOCK = ".lock"
BEST = "best.json"
"""Names the checkpoint that validation chose, beside the checkpoints."""


def write_with(path: Path, writer: Callable[[Path], None]) -> None:
    """Let ``writer`` produce a file under a temporary name, then rename it to ``path``.

    Args:
        path: Target; its folder is created.
        writer: Called with the temporary path, must leave a complete file there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        writer(part)
        with part.open("r+b") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Flush the rename itself; not every operating system lets a folder be opened."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_folder(path: Path, *, key: str) -> None:
    """Create a folder that is going to be written to; an existing one is fine.

    Args:
        path: The folder.
        key: What chose it.

    Raises:
        ConfigError: It cannot be created, or not be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{key}: {path} cannot be created ({error.strerror or error}); choose a folder that you may write"
        ) from error
    if not os.access(path, os.W_OK):
        raise ConfigError(f"{key}: {path} cannot be written (it is read-only); choose a folder that you may write")


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    write_with(path, lambda part: _dump(part, data))


def _dump(part: Path, data: bytes) -> None:
    part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Write ``value`` to ``path`` as strict JSON; NaN and infinities, which JSON lacks, become null."""
    write_text(path, json.dumps(_strict(value), indent=2, allow_nan=False, default=str) + "\n")


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RunError: The file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise RunError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: not valid JSON ({error})") from None


def read_metrics(directory: Path) -> dict[str, float]:
    """Read a run's ``metrics.json``; null becomes NaN."""
    return {key: math.nan if value is None else float(value) for key, value in read_json(directory / METRICS).items()}


def write_curves(directory: Path, curves: Mapping[str, tuple[Sequence[int], Sequence[float]]]) -> None:
    """Write a run's learning curves, steps and values by name, where it has any."""
    if curves:
        named = {name: {"steps": list(steps), "values": list(values)} for name, (steps, values) in curves.items()}
        write_json(directory / CURVES, named)


def write_manifest(directory: Path, places: dict[str, str]) -> None:
    """Write ``manifest.json``: where everything of a run lies, its own files with their sizes in bytes.

    Args:
        directory: The run directory.
        places: Further places by what lies there, e.g. the bar store.
    """
    files = {
        str(path.relative_to(directory)): path.stat().st_size
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST, LOCK)
    }
    write_json(directory / MANIFEST, {"places": places, "files": files})


@contextlib.contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Keep other processes out of a run directory while it is written; the lock dies with the process.

    Raises:
        BusyError: Another process runs in it.
    """
    from filelock import FileLock, Timeout

    try:
        guard = FileLock(directory / LOCK).acquire(timeout=0)
    except Timeout:
        raise BusyError(f"{directory}: another process is running in this directory; wait until it ends") from None
    with guard:
        yield


def now() -> str:
    """Return the current time as ISO text in UTC, seconds resolution."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Status:
    """``status.json`` of one run: written when it starts, beats and ends.

    Used as a context manager: leaving it normally records ``done``; an exception records ``failed`` with the error, or
    ``pruned`` with the reason, and passes on. ``duration_s`` adds up over resumes.
    """

    directory: Path
    started_at: str = field(default_factory=now)
    previous_s: float = 0.0
    _start: float = field(default_factory=time.monotonic)

    def __enter__(self) -> "Status":
        path = self.directory / STATUS
        if path.is_file():
            earlier = read_json(path)
            self.started_at = earlier.get("started_at", self.started_at)
            self.previous_s = float(earlier.get("duration_s") or 0.0)
        self.write("running")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            self.write("done")
        elif isinstance(error, PrunedError):
            self.write("pruned", error=str(error))
        else:
            is_interruption = isinstance(error, KeyboardInterrupt)
            self.write("failed", error="interrupted" if is_interruption else f"{type(error).__name__}: {error}")

    def write(self, state: State, error: str | None = None) -> None:
        """Record ``state`` now."""
        write_json(
            self.directory / STATUS,
            {
                "state": state,
                "started_at": self.started_at,
                "ended_at": None if state == "running" else now(),
                "duration_s": round(self.previous_s + time.monotonic() - self._start, 3),
                "error": error,
                "pid": os.getpid(),
                "host": socket.gethostname(),
            },
        )
