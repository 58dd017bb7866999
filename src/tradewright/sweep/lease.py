"""Who works on a slot, and whether they still live.

A lease is a small value that a worker writes to each of its slots and renews with every beat. A reader calls it stale
when its process is dead, which only a reader of the same machine, boot and process namespace can see, or when it has
not changed for a while on the reader's own clock; clocks of two machines are never compared.
"""

import os
import socket
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Lease = dict[str, Any]
"""``worker``, ``host``, ``pid``, ``start`` of a ``Worker``, and ``beat``, which counts up."""

PROC = Path("/proc")
DEAD_STATES = "ZXx"
"""Of a process in ``/proc``: a zombie has ended, only its parent has not asked yet."""
MAX_GAP = 0.25
"""Share of the grace period that may pass between two looks and still count: a reader that was itself suspended must
look again before it judges others."""


@dataclass(frozen=True)
class Worker:
    """A process that runs jobs.

    Args:
        uid: Unique for ever.
        host: Where process numbers mean the same: host name, boot and process namespace.
        pid: Process number.
        start: When the process began, in clock ticks since boot; None where the system does not tell. A number that
            was given to another process since is told apart by it.
    """

    uid: str
    host: str
    pid: int
    start: int | None

    @classmethod
    def current(cls) -> "Worker":
        """Return this process; a new ``uid`` each time."""
        pid = os.getpid()
        _, start = _process(pid)
        return cls(uuid.uuid4().hex, _host(), pid, start)

    def lease(self, beat: int) -> Lease:
        """Return the value to write at a beat."""
        return {"worker": self.uid, "host": self.host, "pid": self.pid, "start": self.start, "beat": beat}


class Stale:
    """Judges leases by their processes and by how long they have stayed the same.

    Args:
        reader: The judging worker.
        grace_s: Seconds after which an unchanged lease is stale, > 0. A slot without a lease is judged alike: its
            worker may be about to write one.
        clock: Seconds that never go back.
    """

    def __init__(self, reader: Worker, grace_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        if not grace_s > 0:
            raise ValueError(f"grace_s must be > 0, was {grace_s}")
        self.reader, self.grace_s, self._clock = reader, grace_s, clock
        self._looked = clock()
        self._seen: dict[int, tuple[Lease | None, float]] = {}

    def among(self, leases: Mapping[int, Lease | None]) -> set[int]:
        """Return the numbers of stale leases.

        Args:
            leases: Every lease there is now, by the number of its trial; one that is missing is forgotten.
        """
        now = self._clock()
        gap, self._looked = min(now - self._looked, self.grace_s * MAX_GAP), now
        seen: dict[int, tuple[Lease | None, float]] = {}
        for number, lease in leases.items():
            before = self._seen.get(number)
            seen[number] = (lease, before[1] + gap if before is not None and before[0] == lease else 0.0)
        self._seen = seen
        return {
            number for number, (lease, age_s) in seen.items() if age_s >= self.grace_s or self._is_known_dead(lease)
        }

    def _is_known_dead(self, lease: Lease | None) -> bool:
        if lease is None or lease.get("host") != self.reader.host:
            return False
        return is_dead(int(lease["pid"]), lease["start"])


def is_dead(pid: int, start: int | None) -> bool:
    """Return whether a process of this machine has certainly ended; False where the system does not tell.

    Args:
        pid: Its number.
        start: When it began, see ``Worker``; None: unknown.
    """
    state, began = _process(pid)
    if state is not None:
        return state in DEAD_STATES or (start is not None and began != start)
    if sys.platform == "win32":  # there, signal 0 is Ctrl-C
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _process(pid: int) -> tuple[str | None, int | None]:
    """Return state letter and start of a process; None where ``/proc`` does not show it."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None, None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return fields[0], int(fields[19])


def _host() -> str:
    boot, namespace = "", ""
    with suppress(OSError):
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):
        namespace = os.readlink(PROC / "self/ns/pid")
    return " ".join(part for part in (socket.gethostname(), boot, namespace) if part)
