"""Storages: URLs and their secrets, first start by many, locks and records that a crash left behind."""

import json
import os
import signal
import sqlite3
import time
import traceback
from pathlib import Path

import pytest
from queue_workers import make_queue, run_workers

from tradewright.errors import ConfigError, RunError
from tradewright.sweep import storage
from tradewright.sweep.storage import open_storage, storage_url, without_secret

SECRET = "s3cr-et"


def test_without_a_storage_the_queue_lies_in_the_folder_of_the_sweep(tmp_path: Path) -> None:
    assert storage_url(None, tmp_path) == f"sqlite:///{tmp_path}/study.db"


def test_relative_places_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage_url(None, Path("sweep")) == f"sqlite:///{tmp_path}/sweep/study.db"
    assert storage_url("journal://queue/log", Path("x")) == f"journal://{tmp_path}/queue/log"
    assert storage_url("sqlite:///queue.db", Path("x")) == f"sqlite:///{tmp_path}/queue.db"
    assert storage_url("sqlite:////abs/queue.db", Path("x")) == "sqlite:////abs/queue.db"


def test_address_of_a_database_server_is_left_alone() -> None:
    url = f"postgresql+psycopg://user:{SECRET}@host:5432/sweeps"
    assert storage_url(url, Path("x")) == url


@pytest.mark.parametrize("text", ["study.db", "sqlite://", "sqlite:///", "journal://", "redis://h", "postgresql://"])
def test_text_that_is_no_storage_is_refused_with_what_would_be(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sweep.storage: .* is no storage; use postgresql\+psycopg://"):
        storage_url(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"postgresql://user:{SECRET}@host/db", "postgresql://user:***@host/db"),
        (
            f"no server at postgresql+psycopg://u:{SECRET}@h:1/d now",
            "no server at postgresql+psycopg://u:***@h:1/d now",
        ),
        (f"postgresql://user:{SECRET}/with/slash@host/db", "postgresql://user:***@host/db"),
        (f"postgresql://user:{SECRET}@with@host/db", "postgresql://user:***@host/db"),
        (f"redis://:{SECRET}@host", "redis://:***@host"),
        (f"postgresql://host/db?user=u&password={SECRET}&x=1", "postgresql://host/db?user=u&password=***&x=1"),
        (f"postgresql://host/db?sslpassword={SECRET}", "postgresql://host/db?sslpassword=***"),
        ("postgresql://user@host/db", "postgresql://user@host/db"),
        ("sqlite:////tmp/study.db", "sqlite:////tmp/study.db"),
    ],
)
def test_password_of_a_url_is_never_shown(text: str, shown: str) -> None:
    assert without_secret(text) == shown


def test_refused_text_does_not_show_its_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        storage_url(f"redis://user:{SECRET}@host/db", tmp_path)
    assert SECRET not in str(caught.value)


def test_server_out_of_reach_is_one_line_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    monkeypatch.setattr(storage, "ATTEMPTS", 2)
    monkeypatch.setattr(storage, "PAUSE_S", 0.01)
    with pytest.raises(RunError) as caught:
        open_storage(f"postgresql+psycopg://user:{SECRET}@127.0.0.1:9/sweeps")
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert str(caught.value).startswith(
        "sweep.storage: postgresql+psycopg://user:***@127.0.0.1:9/sweeps cannot be opened"
    )
    assert "\n" not in str(caught.value)


def test_file_that_is_no_database_is_told_at_once_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("hello, this is a text and no database at all" * 30)
    started = time.monotonic()
    with pytest.raises(RunError) as caught:
        open_storage(storage_url(None, tmp_path))
    assert time.monotonic() - started < 2
    assert str(caught.value) == (
        f"sweep.storage: {tmp_path}/study.db is no database of a sweep, or is damaged (file is not a database): move it"
        " away, and the same command adopts what has ended; sweep.name=<another> begins anew"
    )


def test_database_with_damaged_pages_is_told_at_once(tmp_path: Path) -> None:
    url, path = storage_url(None, tmp_path), tmp_path / "study.db"
    storage.close_storage(open_storage(url))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"A" * (len(content) - 4096))
    started = time.monotonic()
    with pytest.raises(RunError, match=r"study.db is no database of a sweep, or is damaged \(.*malformed"):
        open_storage(url)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "content",
    [b"no journal\n", b"torn", b"\x00\xff\n", b'{"op_code": 99}\n', b'{"a": 1}\n', b"42\n", b'{"op_code": 0,\n{}\n'],
)
def test_file_that_is_no_journal_is_refused_and_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(RunError, match="log is no journal of a sweep, or is damaged") as caught:
        open_storage(f"journal://{path}")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["journal://", "sqlite:///"])
def test_storage_below_a_file_is_one_line(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"^sweep.storage: .*/file/sub/queue cannot be opened \("):
        open_storage(f"{kind}{tmp_path}/file/sub/queue")


def test_sqlite_appends_to_a_log_on_a_drive_of_this_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mode(name: str) -> str:
        open_storage(f"sqlite:///{tmp_path}/{name}")
        connection = sqlite3.connect(tmp_path / name)
        try:
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])
        finally:
            connection.close()

    monkeypatch.setattr(storage, "_drive", lambda folder: "nfs4")
    assert mode("far.db") == "delete"
    monkeypatch.setattr(storage, "_drive", lambda folder: "ext4")
    assert mode("near.db") == "wal"


def test_drive_of_a_folder_is_the_innermost_mount() -> None:
    assert storage._drive(Path("/proc/self")) == "proc"
    mounts = {line.split()[1]: line.split()[2] for line in Path("/proc/self/mounts").read_text().splitlines()}
    assert storage._drive(Path("/")) == mounts["/"]


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_six_processes_open_a_fresh_storage_at_once(kind: str, tmp_path: Path) -> None:
    """Trap 2: the tables are created once, whoever loses the race goes on; the study too."""
    url = f"{kind}://{'/' if kind == 'sqlite' else ''}{tmp_path}/queue"
    result = run_workers("together", url=url, num_slots=6, num_workers=6, events=str(tmp_path / "events"))
    assert result["codes"] == [0] * 6, result["errors"]
    ends = [line.split()[1] for line in (tmp_path / "events").read_text().splitlines() if line.startswith("end")]
    assert sorted(ends) == [str(slot) for slot in range(6)]


def test_relative_journal_with_a_lock_of_a_dead_process_is_usable_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap 6: with Optuna's own lock, every worker would wait for ever at full load."""
    monkeypatch.chdir(tmp_path)
    Path("queue.log").touch()
    os.symlink("queue.log", "queue.log.lock")
    begun = time.monotonic()
    queue = make_queue(storage_url("journal://queue.log", tmp_path), 3)
    queue.fill()
    assert queue.counts()["waiting"] == 3
    assert time.monotonic() - begun < 10


def test_process_killed_while_it_holds_the_journal_leaves_no_lock(tmp_path: Path) -> None:
    url = f"journal://{tmp_path}/queue.log"
    make_queue(url, 1).fill()

    assert run_workers("die_in_lock", url=url)["codes"] == [-signal.SIGKILL]
    begun = time.monotonic()
    queue = make_queue(url, 5)
    queue.fill()
    assert queue.counts()["waiting"] == 5
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("tail", ['{"op_code":6,"worker', "x" * 10_000])
def test_torn_record_at_the_end_of_a_journal_is_cut_off(tail: str, tmp_path: Path) -> None:
    """Trap 7: a full disk leaves half a record, after which Optuna could not append any more."""
    url = f"journal://{tmp_path}/queue.log"
    queue = make_queue(url, 2)
    queue.fill()
    path = tmp_path / "queue.log"
    whole = path.read_text()
    with path.open("a") as file:
        file.write(tail)
    claim = queue.claim()
    assert claim is not None
    assert path.read_text().startswith(whole)
    assert all(isinstance(json.loads(line), dict) for line in path.read_text().splitlines())
    other = make_queue(url, 2)
    assert other.counts() == {**other.counts(), "running": 1, "waiting": 1}
