"""How a job ended, whatever it did: its exception, its exit or its death become an ``Ended`` and a ``status.json``."""

import logging
import signal
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradewright.errors import RunError, TradewrightError
from tradewright.output import STATUS, Status, now, read_json, write_json
from tradewright.sweep.job import Ended, Job, Run

log = logging.getLogger("tradewright.sweep")

LOG = "log.txt"
INTERRUPTED = "interrupted"


def guarded(run: Run, job: Job) -> Ended:
    """Do a job; its exceptions and its ``sys.exit`` become a failure. Only ``KeyboardInterrupt`` passes."""
    before = Before.of(job)
    try:
        return run(job)
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        text = f"the job ended itself with exit code {0 if error.code is None else error.code}"
    except BaseException as error:  # noqa: BLE001 - whatever a job raises is its own failure, never the sweep's
        traceback.print_exc()
        text = one_line(error)
    return before.died(text)


def one_line(error: BaseException) -> str:
    """Return an error as ``status.json`` and the terminal show it."""
    text = " ".join(str(error).split())
    if isinstance(error, TradewrightError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def describe_exit(code: int) -> str:
    """Return what the exit code of a process says; below 0 it is a signal."""
    if code >= 0:
        return f"the job ended itself with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    why = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
    return f"killed by signal {-code} ({name}){why}"


@dataclass(frozen=True)
class Before:
    """What a run directory held when its job was started; later entries are the job's own.

    Args:
        directory: Run directory.
        written: When its ``status.json`` was last written, in ns; None: there was none.
    """

    directory: Path
    written: int | None

    @classmethod
    def of(cls, job: Job) -> "Before":
        """Look into the directory of a job that is about to start."""
        return cls(Path(job.directory), _written(Path(job.directory)))

    def died(self, error: str) -> Ended:
        """Return how a job ended that could not say it, and bring its ``status.json`` and log to that.

        What it wrote itself counts: a job that was killed after its result had been written is done.

        Args:
            error: What is known about its end.
        """
        status = self._own_status()
        state, known = status.get("state"), str(status.get("error") or "")
        if state == "done":
            return Ended("done")
        if state == "pruned":
            return Ended("pruned", known)
        if state == "failed" and known and known != INTERRUPTED:
            return Ended("failed", known)
        self._write(error)
        return Ended("failed", error)

    def interrupted(self) -> None:
        """Say in ``status.json`` that the job is to be continued, whatever the end made it write on its way out."""
        if self._own_status().get("state") in ("running", "failed"):
            self._write(INTERRUPTED)

    def _own_status(self) -> dict[str, Any]:
        if _written(self.directory) == self.written:
            return {}
        return _read(self.directory)

    def _write(self, error: str) -> None:
        """Record a failure; a full disk keeps it from the directory but not from the sweep."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            path = self.directory / STATUS
            status, written = _read(self.directory), _written(self.directory)
            if status and written is not None:
                is_counting = status.get("state") == "running" and written != self.written
                ran_s = max(0.0, time.time() - written / 1e9) if is_counting else 0.0
                seconds = round(float(status.get("duration_s") or 0.0) + ran_s, 3)
                changes = {"state": "failed", "ended_at": now(), "duration_s": seconds, "error": error}
                write_json(path, {**status, **changes})
            else:
                Status(self.directory).write("failed", error=error)
            append_to_log(self.directory, error)
        except OSError as problem:
            log.warning("%s: cannot be written (%s); the job's end: %s", self.directory, problem.strerror, error)


def fail(directory: Path, error: str) -> None:
    """Record in ``status.json`` and in the log that a job was ended from outside; what is known of its start stays.

    A full disk keeps it from the directory but not from the sweep.

    Args:
        directory: Its run directory.
        error: Why, one line.
    """
    try:
        write_json(directory / STATUS, {**_read(directory), "state": "failed", "ended_at": now(), "error": error})
        append_to_log(directory, error)
    except OSError as problem:
        log.warning("%s: cannot be written (%s); the job's end: %s", directory, problem.strerror, error)


def reopen(directory: Path) -> None:
    """Let a run that has failed be continued from its checkpoint, or begun again without one; its log stays.

    Raises:
        OSError: It cannot be written.
    """
    status = _read(directory)
    write_json(directory / STATUS, {**status, "state": "failed", "error": INTERRUPTED})
    append_to_log(directory, f"tried again; it had failed: {status.get('error') or 'without a word'}", "INFO")


def append_to_log(directory: Path, text: str, level: str = "ERROR") -> None:
    """Add a line to the log of a run whose own process cannot."""
    with (directory / LOG).open("a", encoding="utf-8") as file:
        file.write(f"[{now()}][tradewright.sweep][{level}] {text}\n")


def _written(directory: Path) -> int | None:
    try:
        return (directory / STATUS).stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read(directory: Path) -> dict[str, Any]:
    """Return ``status.json``; one that is missing or unreadable says nothing."""
    try:
        status = read_json(directory / STATUS)
    except RunError:
        return {}
    return status if isinstance(status, dict) else {}
