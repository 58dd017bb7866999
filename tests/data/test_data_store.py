"""The store: one writer, atomic replacement, clear messages, many readers."""

import multiprocessing
from pathlib import Path

import duckdb
import pytest
from bar_files import GOOD, random_rows, write_csv

from tradewright.data.csv import Csv
from tradewright.data.duckdb import DuckDB
from tradewright.data.store import BarStore, read_meta
from tradewright.errors import DataError


def test_a_second_writer_is_told_who_is_in_the_way(tmp_path):
    first = BarStore(root=str(tmp_path), dataset="mine")
    second = BarStore(root=str(tmp_path), dataset="mine", lock_timeout_s=0.05)
    with first.writing(), pytest.raises(DataError, match=r"mine.lock: another process is writing data set 'mine'"):
        second.writing().__enter__()
    with second.writing():
        pass


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    source = Csv(store=str(tmp_path), dataset="mine", path=str(write_csv(tmp_path / "A.csv")))
    before = source.panel()
    store = BarStore(root=str(tmp_path), dataset="mine")

    def fail(connection, scratch):
        scratch.write_text("scratch")
        raise RuntimeError("disk on fire")

    with store.writing(), pytest.raises(RuntimeError, match="disk on fire"):
        store.replace(fail)
    assert sorted(p.name for p in store.path.parent.iterdir()) == ["mine.duckdb", "mine.lock"]
    assert source.panel().fingerprint == before.fingerprint


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    source = Csv(store=str(tmp_path), dataset="mine", path=str(write_csv(tmp_path / "A.csv")))
    source.panel()
    folder = tmp_path / "bars"
    (folder / ".mine.duckdb.123.part").write_bytes(b"half")
    (folder / ".mine.duckdb.123.part.wal").write_bytes(b"half")
    (folder / ".mine.duckdb.123.part.tmp").mkdir()
    (folder / ".mine.duckdb.123.part.tmp" / "spill").write_bytes(b"half")
    source.ingest(force=True)
    assert sorted(p.name for p in folder.iterdir()) == ["mine.duckdb", "mine.lock"]


def test_a_reader_keeps_its_rows_while_a_writer_replaces_them(tmp_path):
    path = write_csv(tmp_path / "A.csv")
    Csv(store=str(tmp_path), dataset="mine", path=str(path)).panel()
    with BarStore(root=str(tmp_path), dataset="mine").reading() as connection:
        write_csv(path, GOOD[:2])
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            done = pool.apply(ingest_in_child, (str(tmp_path), str(path)))
        assert connection.sql("SELECT count(*) FROM bars").fetchall() == [(4,)]
    assert done == 2
    assert DuckDB(store=str(tmp_path), dataset="mine").panel().num_bars == 2


def ingest_in_child(store: str, path: str) -> int:
    """Load a file in another process and return its number of bars."""
    return Csv(store=store, dataset="mine", path=path).ingest().num_bars


def test_jobs_that_start_together_load_once(tmp_path):
    path = str(write_csv(tmp_path / "A.csv", random_rows(2_000)))
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        done = pool.starmap(first_read, [(str(tmp_path), path)] * 4, chunksize=1)
    assert len({fingerprint for fingerprint, _ in done}) == 1
    assert len({created for _, created in done}) == 1


def first_read(store: str, path: str) -> tuple[str, str]:
    """Read a panel of a store that may not exist yet; return its fingerprint and when it was loaded."""
    panel = Csv(store=store, dataset="mine", path=path).panel()
    return panel.fingerprint, str(BarStore(root=store, dataset="mine").path.stat().st_mtime_ns)


def test_force_replaces_a_damaged_store(tmp_path):
    source = Csv(store=str(tmp_path), dataset="mine", path=str(write_csv(tmp_path / "A.csv")))
    fingerprint = source.panel().fingerprint
    BarStore(root=str(tmp_path), dataset="mine").path.write_bytes(b"no database")
    with pytest.raises(DataError, match=r"mine.duckdb: damaged .*; load it again with task=ingest task.force=true"):
        source.ingest()
    assert source.ingest(force=True).is_changed
    assert source.panel().fingerprint == fingerprint


@pytest.mark.parametrize("content", [b"", b"no database", b"\0" * 8_192])
def test_a_damaged_store_says_what_to_do(tmp_path, content):
    store = BarStore(root=str(tmp_path), dataset="mine")
    store.path.parent.mkdir()
    store.path.write_bytes(content)
    with pytest.raises(DataError, match=r"mine.duckdb: .*") as error:
        DuckDB(store=str(tmp_path), dataset="mine").panel()
    assert "\n" not in str(error.value)


def test_a_foreign_database_in_the_store_is_refused(tmp_path):
    store = BarStore(root=str(tmp_path), dataset="mine")
    store.path.parent.mkdir()
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("CREATE TABLE bars(x INTEGER)")
    with pytest.raises(DataError, match=r"no data set of tradewright; read it with data=duckdb data.path="):
        DuckDB(store=str(tmp_path), dataset="mine").panel()


def test_another_schema_version_is_refused(tmp_path):
    Csv(store=str(tmp_path), dataset="mine", path=str(write_csv(tmp_path / "A.csv"))).ingest()
    store = BarStore(root=str(tmp_path), dataset="mine")
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
        with pytest.raises(
            DataError, match=r"schema version 99, expected 1; load it again with task=ingest task.force=true"
        ):
            read_meta(connection, store.path)


def test_a_store_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "store").write_text("")
    with pytest.raises(DataError, match=r"cannot write here .*; set store="):
        Csv(store=str(tmp_path / "store"), path=str(write_csv(tmp_path / "A.csv"))).ingest()


def test_bars_are_stored_sorted_with_their_facts(tmp_path):
    rows = [f"{symbol},{row}" for row in GOOD for symbol in ("B", "A")]
    path = write_csv(tmp_path / "all.csv", rows, "symbol,date,open,high,low,close,volume")
    summary = Csv(store=str(tmp_path), dataset="mine", path=str(path)).ingest()
    assert summary.path == Path(tmp_path) / "bars" / "mine.duckdb"
    with duckdb.connect(str(summary.path), read_only=True) as connection:
        stored = connection.sql("SELECT symbol, timeframe_s, ts FROM bars").fetchall()
        facts = dict(connection.sql("SELECT key, value FROM meta").fetchall())
    assert stored == sorted(stored)
    assert len(stored) == 8
    assert facts["kind"] == "csv"
    assert facts["is_synthetic"] == "0"
    assert facts["fingerprint"] == summary.fingerprint
