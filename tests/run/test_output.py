"""Files are whole or absent, statuses tell the truth, the ledger never forgets."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tradewright.errors import RunError
from tradewright.ledger import Ledger
from tradewright.output import Status, read_json, read_metrics, write_json, write_text, write_with
from tradewright.provenance import trial_id


def test_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail(part: Path) -> None:
        part.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_with(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_undefined_numbers_are_null_in_json_and_nan_in_memory(tmp_path: Path) -> None:
    write_json(tmp_path / "metrics.json", {"test/sharpe": math.nan, "test/calmar": math.inf, "test/cagr": 0.1 + 0.2})
    text = (tmp_path / "metrics.json").read_text()
    assert json.loads(text)["test/sharpe"] is None
    metrics = read_metrics(tmp_path)
    assert math.isnan(metrics["test/sharpe"])
    assert math.isnan(metrics["test/calmar"])
    assert metrics["test/cagr"] == 0.1 + 0.2


def test_damaged_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text("{")
    with pytest.raises(RunError, match=r"status\.json: not valid JSON"):
        read_json(tmp_path / "status.json")


WRITER = """
import sys
from pathlib import Path
from tradewright.output import write_text
path = Path(sys.argv[1])
for i in range(10**9):
    write_text(path, str(i) * 20000)
"""


def test_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
        while not path.exists():
            time.sleep(0.01)
        time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
        child.wait()
        text = path.read_text()
        number = text[: len(text) // 20000]
        assert text == number * 20000


@pytest.mark.row("B40")
def test_status_says_running_then_done_and_adds_up_time(tmp_path: Path) -> None:
    with Status(tmp_path):
        assert read_json(tmp_path / "status.json")["state"] == "running"
        assert read_json(tmp_path / "status.json")["pid"] == os.getpid()
        time.sleep(0.02)
    first = read_json(tmp_path / "status.json")
    assert first["state"] == "done"
    with Status(tmp_path):
        pass
    second = read_json(tmp_path / "status.json")
    assert second["started_at"] == first["started_at"]
    assert second["duration_s"] >= first["duration_s"] >= 0.02


def test_status_of_a_failure_names_the_error_and_passes_it_on(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no luck"), Status(tmp_path):
        raise RunError("no luck")
    status = read_json(tmp_path / "status.json")
    assert (status["state"], status["error"]) == ("failed", "RunError: no luck")


def test_ledger_counts_distinct_trials_per_data_set_and_survives_deleted_runs(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.count("a") == 0
    for trial, data in (("t1", "a"), ("t1", "a"), ("t2", "a"), ("t3", "b")):
        ledger.record(trial=trial, data_fingerprint=data, run="r", state="done")
    assert (ledger.count("a"), ledger.count("b")) == (2, 1)
    with (tmp_path / "trials.jsonl").open("a") as file:
        file.write("{broken\n")
    with pytest.raises(RunError, match=r"trials\.jsonl: line 5 is not a trial record"):
        ledger.count("a")


def test_trial_ignores_seed_and_places_but_not_choices_or_data() -> None:
    config = {"seed": 0, "output_dir": "outputs", "data": {"store": "a", "split": 0.7}, "algorithm": {"lr": 1e-3}}
    same = {"seed": 1, "output_dir": "elsewhere", "data": {"store": "b", "split": 0.7}, "algorithm": {"lr": 1e-3}}
    assert trial_id(config, "x") == trial_id(same, "x")
    assert trial_id(config, "x") != trial_id(config, "y")
    assert trial_id(config, "x") != trial_id({**config, "algorithm": {"lr": 2e-3}}, "x")
    assert trial_id(config, "x") != trial_id({**config, "data": {"store": "a", "split": 0.6}}, "x")


def test_what_chooses_the_checkpoint_is_part_of_the_trial_and_what_only_shows_it_is_not() -> None:
    def trial(monitor: str, keep_last: int) -> str:
        callbacks = {"best": {"monitor": monitor}, "last": {"every_n_epochs": keep_last}}
        return trial_id({"callbacks": callbacks}, "x")

    assert trial("validation/sharpe", 1) == trial("validation/sharpe", 5)
    assert trial("validation/sharpe", 1) != trial("validation/cagr", 1)
