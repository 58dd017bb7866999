"""Where the queue of a sweep lies: a SQLite file beside the jobs, PostgreSQL, or a journal file on a network drive.

SQLite reads outside its write lock, so that two processes can claim one waiting trial; here every transaction takes the
lock when it begins. A journal file is locked by the operating system, so that a killed process leaves no lock behind;
a network drive must support that (NFS 4 does). Several workers that start at once create the tables together; who
loses tries again.
"""

import contextlib
import os
import random
import re
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewright.errors import ConfigError, RunError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

FILE = "study.db"
ATTEMPTS, PAUSE_S = 12, 0.2
"""Of opening a storage whose tables another process may be creating just now."""
BUSY_S = 60.0
"""How long a writer of SQLite waits for the others."""
LOCAL_DRIVES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "overlay"})
"""File systems of one machine, where SQLite may share memory between processes (its write-ahead log)."""
DAMAGED = ("file is not a database", "disk image is malformed", "unsupported file format", "readonly database")
"""What SQLite says of a file that no second try will open."""
RECORD = b"{"
"""How every line of a journal begins."""
POLL_S = 0.002
"""Between two tries to lock a journal file."""
BLOCK_BYTES = 4096


def storage_url(storage: str | None, directory: Path) -> str:
    """Return the URL of a sweep's queue; without one a file in its directory.

    Raises:
        ConfigError: The text is no URL of a known kind.
    """
    if storage is None and any(mark in str(directory.absolute()) for mark in "{}?"):
        raise ConfigError(f"{directory.absolute()}: the name of a sweep's folder must not hold {{, }} or ?")
    if storage is None:
        return f"sqlite:///{(directory / FILE).absolute()}"
    kind, _, rest = storage.partition("://")
    if kind == "journal" and rest:
        return f"journal://{os.path.abspath(rest)}"
    if kind == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return f"sqlite:///{os.path.abspath(rest.removeprefix('/'))}"
    if kind.partition("+")[0] in ("postgresql", "mysql") and rest:
        return storage
    raise ConfigError(
        f"sweep.storage: {without_secret(storage)!r} is no storage; use postgresql+psycopg://user@host/database,"
        " journal://folder/file or sqlite:///folder/file"
    )


def without_secret(text: str) -> str:
    """Return the text with the password of every URL in it replaced by stars."""
    shown = re.sub(r"(?<=://)([^/@\s:]*):\S*@", r"\1:***@", text)
    return re.sub(r"(?<=password=)[^&\s'\"]+", "***", shown)


def open_storage(url: str) -> "BaseStorage":
    """Open a storage, creating its tables where they are missing.

    Raises:
        RunError: It cannot be opened.
    """
    kind, _, place = url.partition(":///" if url.startswith("sqlite") else "://")
    if kind not in ("journal", "sqlite"):
        return _database(url)
    path = Path(place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _journal(path) if kind == "journal" else _database(url)
    except OSError as error:
        raise RunError(f"sweep.storage: {path} cannot be opened ({error.strerror or error})") from error


def _refuse(path: Path, kind: str, error: object) -> RunError:
    """Return the error of a file that holds something else; what to do follows from how a sweep goes on."""
    return RunError(
        f"sweep.storage: {path} is no {kind} of a sweep, or is damaged ({' '.join(str(error).split())[:120]}): move it"
        " away, and the same command adopts what has ended; sweep.name=<another> begins anew"
    )


def close_storage(storage: "BaseStorage") -> None:
    """Close the connections of a storage; it opens new ones where it is used again."""
    engine = getattr(getattr(storage, "_backend", storage), "engine", None)
    if engine is not None:
        engine.dispose()


def _journal(path: Path) -> "BaseStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    class Lock:
        """A lock of the operating system: it dies with its process, where Optuna's holds every worker up for 30 s."""

        def __init__(self) -> None:
            from filelock import FileLock

            self._lock = FileLock(f"{path}.guard")

        def acquire(self) -> bool:
            self._lock.acquire(poll_interval=POLL_S)
            return True

        def release(self) -> None:
            self._lock.release()

    class Backend(JournalFileBackend):
        """Cuts off what a full disk or a crash of the machine has left of a record before it appends the next."""

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lock.acquire()  # it may be taken again by the one who holds it
            try:
                _cut_torn_line(path)
                super().append_logs(logs)
            finally:
                lock.release()

    _require_journal(path)
    lock = Lock()
    held: Any = lock  # has the two methods that Optuna calls
    try:
        return JournalStorage(Backend(str(path), lock_obj=held))
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:  # Optuna reads all records
        raise _refuse(path, "journal", f"{type(error).__name__}: {error}") from error


def _require_journal(path: Path) -> None:
    """Refuse a file of something else before a record is appended to it, which would cut off its last line."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        if (first := file.read(1)) not in (b"", RECORD):
            raise _refuse(path, "journal", f"begins with {first!r}")


def _cut_torn_line(path: Path) -> None:
    """Shorten a file to its last whole line; the caller keeps other writers out."""
    with path.open("r+b") as file:
        end = size = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - BLOCK_BYTES)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0:
                end = start + at + 1
                break
            end = start
        if end < size:
            file.truncate(end)


def _database(url: str) -> "BaseStorage":
    import sqlalchemy
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    is_sqlite = url.startswith("sqlite")
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_S}} if is_sqlite else {"pool_pre_ping": True}
    error: Exception | None = None
    for attempt in range(ATTEMPTS):
        try:
            if is_sqlite:
                _prepare(Path(url.removeprefix("sqlite:///")))
            storage = RDBStorage(url, engine_kwargs=options, skip_compatibility_check=False)
        except (SQLAlchemyError, sqlite3.Error, RuntimeError) as problem:
            if is_sqlite and any(text in str(problem) for text in DAMAGED):
                raise _refuse(Path(url.removeprefix("sqlite:///")), "database", problem) from problem
            error = problem  # the tables are being created by another process
            time.sleep(PAUSE_S * (1 + attempt) * random.uniform(0.5, 1.5))
            continue
        except ImportError as problem:
            raise RunError(
                f"sweep.storage: {problem}; install the extra: pip install 'tradewright[postgres]'"
            ) from None
        if is_sqlite:
            _lock_when_beginning(sqlalchemy, storage.engine)
        return storage
    raise RunError(
        f"sweep.storage: {without_secret(url)} cannot be opened: {without_secret(' '.join(str(error).split()))[:300]}"
    )


def _prepare(path: Path) -> None:
    """Let a SQLite file on a drive of this machine append to a log, which spares two of three waits for the disk.

    A crash of the machine may undo the last writes, never damage the file; the jobs' directories still know better.
    """
    if _drive(path.parent) in LOCAL_DRIVES:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_S)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")


def _drive(folder: Path) -> str:
    """Return the kind of file system that a folder lies on; empty where the system does not tell."""
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return ""
    kinds = {}
    for line in mounts.read_text(errors="replace").splitlines():
        _, place, kind, *_ = line.split(" ")
        kinds[place.encode().decode("unicode_escape")] = kind  # a blank is written as \\040
    return next(
        (kinds[str(place)] for place in (folder.resolve(), *folder.resolve().parents) if str(place) in kinds), ""
    )


def _lock_when_beginning(sqlalchemy: Any, engine: Any) -> None:
    """Take SQLite's write lock at the start of every transaction, so that what it reads stays true until it writes."""

    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver shall not begin transactions of its own
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            connection.execute("PRAGMA synchronous = NORMAL")

    def begins(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sqlalchemy.event.listen(engine, "connect", connected)
    sqlalchemy.event.listen(engine, "begin", begins)
    engine.dispose()  # connections that were opened before
