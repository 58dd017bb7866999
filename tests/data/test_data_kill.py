"""kill -9 at random moments of a load: the store opens with the old rows or the new ones, never anything between."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bar_files import random_rows, write_csv

from tradewright.data.csv import Csv
from tradewright.data.duckdb import DuckDB

KILLER = """
import json, os, random, signal, sys, time
from tradewright.data.csv import Csv
from tradewright.data.duckdb import DuckDB

store, paths, kills, seed = sys.argv[1], sys.argv[2:4], int(sys.argv[4]), int(sys.argv[5])

def load_for_ever():
    while True:
        for path in paths:
            Csv(store=store, dataset="mine", path=path).ingest(force=True)

def report(pipe):
    os.write(pipe, DuckDB(store=store, dataset="mine").panel().fingerprint.encode())

def in_child(work, *arguments):
    # A fresh process per step: DuckDB's threads do not survive a fork, so this process never opens a database.
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(*arguments)
            code = 0
        finally:
            os._exit(code)
    return pid

random.seed(seed)
seen, left_over = [], 0
while len(seen) < kills or (left_over == 0 and len(seen) < 10 * kills):  # a busy machine begins to write late
    pid = in_child(load_for_ever)
    time.sleep(random.uniform(0.0, 0.12 * (1 + len(seen) // kills)))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    left_over += any(name.startswith(".mine") for name in os.listdir(os.path.join(store, "bars")))
    reader, writer = os.pipe()
    pid = in_child(report, writer)
    os.close(writer)
    text = os.read(reader, 100).decode()
    os.close(reader)
    status = os.waitpid(pid, 0)[1]
    seen.append(text if status == 0 else f"status {status}")
print(json.dumps({"seen": seen, "left_over": left_over}))
"""


def kill_loads(tmp_path: Path, kills: int, seed: int) -> None:
    """Load two inputs in turn under one name, kill the loader ``kills`` times, and read after every kill."""
    store = str(tmp_path / "store")
    paths = [
        write_csv(tmp_path / name, random_rows(size, size)) for name, size in (("old.csv", 3_000), ("new.csv", 4_000))
    ]
    expected = set()
    for path in paths:
        Csv(store=store, dataset="mine", path=str(path)).ingest()
        expected.add(DuckDB(store=store, dataset="mine").panel().fingerprint)
    done = subprocess.run(
        [sys.executable, "-c", KILLER, store, *map(str, paths), str(kills), str(seed)],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    found = json.loads(done.stdout)
    print(f"seed {seed}: {found['left_over']} of {len(found['seen'])} kills left temporary files behind")
    assert len(found["seen"]) >= kills
    assert set(found["seen"]) <= expected
    assert found["left_over"] > 0, "no kill met a writer at work"
    Csv(store=store, dataset="mine", path=str(paths[1])).ingest(force=True)
    assert sorted(path.name for path in (tmp_path / "store" / "bars").iterdir()) == ["mine.duckdb", "mine.lock"]


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork, by which the loader is killed")


@forks
def test_twenty_kills_leave_old_or_new_rows(tmp_path):
    kill_loads(tmp_path, kills=20, seed=1)


@pytest.mark.slow
@forks
def test_five_hundred_kills_leave_old_or_new_rows(tmp_path):
    kill_loads(tmp_path, kills=500, seed=2)
