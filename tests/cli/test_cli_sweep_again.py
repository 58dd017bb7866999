"""The same sweep again: after its folders were deleted, after failures, and after its code or its bars have changed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tradewright.errors import RunError
from tradewright.output import read_json

LR = "algorithm.lr=tag(log,interval(1e-5,1e-2))"
RANDOM = ("-m", "sweep=random", "sweep.num_trials=4", LR)


def the_sweep(tmp_path: Path) -> Path:
    (found,) = (path.parent for path in tmp_path.glob("outputs/default/*/sweep.json"))
    return found


def by_job(spine: dict[str, Any]) -> list[tuple[str, float]]:
    """Return folder and learning rate of every run since the last look."""
    found = [(directory.name, float(cfg.algorithm.lr)) for cfg, directory, _ in spine["calls"]]
    spine["calls"].clear()
    return found


def fail(*names: str) -> Callable[[Any, Path], None]:
    """Return what fails the jobs of these folders."""

    def do(cfg: Any, directory: Path) -> None:
        if directory.name in names:
            with (directory / "log.txt").open("a") as log:
                log.write("a line of the job\n")
            raise RunError("no memory")

    return do


def test_jobs_whose_folders_were_deleted_are_run_again_with_the_same_parameters(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    spine["do"] = fail("2")
    assert cli(*RANDOM).code == 2
    first = dict(by_job(spine))
    for name in ("1", "2"):
        shutil.rmtree(the_sweep(tmp_path) / name)
    spine["do"] = lambda cfg, directory: None
    answer = cli(*RANDOM)
    assert answer.code == 0
    assert "jobs 1, 2: their folders are gone, they are run again\n" in answer.err
    assert by_job(spine) == [("1", first["1"]), ("2", first["2"])]
    slots = read_json(the_sweep(tmp_path) / "sweep.json")["slots"]
    assert [(one["state"], one["num_repeats"], one["num_lost"]) for one in slots] == [
        ("done", 0, 0),
        ("done", 1, 0),
        ("done", 1, 0),
        ("done", 0, 0),
    ]
    assert "nothing was left to do" in cli(*RANDOM).err
    assert spine["calls"] == []


def test_all_folders_beside_their_own_queue_are_run_again(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    assert cli("-m", "seed=0").code == 0
    shutil.rmtree(the_sweep(tmp_path) / "0")
    answer = cli("-m", "seed=0")
    assert "job 0: its folder is gone, it is run again\n" in answer.err
    assert [cfg.seed for cfg, _, _ in spine["calls"]] == [0, 0]


def test_missing_run_of_one_seed_is_run_again_alone(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    words = ("-m", "sweep=random", "sweep.num_trials=2", "sweep.seeds=3", LR)
    assert cli(*words).code == 0
    spine["calls"].clear()
    shutil.rmtree(the_sweep(tmp_path) / "1" / "2")
    assert "job 1: its folder is gone" in cli(*words).err
    assert [directory.relative_to(the_sweep(tmp_path)).as_posix() for _, directory, _ in spine["calls"]] == ["1/2"]


def test_deleted_checkpoints_are_no_deleted_folder(cli: Callable, spine: dict[str, Any]) -> None:
    words = ("-m", "seed=0,1,2", "sweep.keep_checkpoints=1")
    spine["do"] = lambda cfg, directory: (directory / "checkpoints").mkdir()
    assert cli(*words).code == 0
    assert "nothing was left to do" in cli(*words).err


def test_queue_elsewhere_without_any_folder_here_is_refused_and_without_one_goes_on(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    """As on a machine that does not see the folders of the others."""
    words = ("-m", "seed=0,1", f"sweep.storage=journal://{tmp_path}/queue")
    assert cli(*words).code == 0
    sweep = the_sweep(tmp_path)
    sweep.rename(tmp_path / "kept")
    answer = cli(*words)
    assert answer.code == 2
    assert answer.err.startswith(
        f"error: {sweep}: expected the folders of the 2 jobs that have ended in the queue jour"
    )
    assert len(answer.err.splitlines()) == 1
    assert "sweep.name=<another>" in answer.err
    shutil.rmtree(sweep)
    (tmp_path / "kept").rename(sweep)
    shutil.rmtree(sweep / "1")
    assert "job 1: its folder is gone" in cli(*words).err
    assert [cfg.seed for cfg, _, _ in spine["calls"]] == [0, 1, 1]


def test_failed_jobs_are_tried_again_once_per_command_where_asked(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    spine["do"] = fail("1", "3")
    answer = cli(*RANDOM)
    assert answer.err.splitlines()[-1].endswith("sweep.retry_failed=true tries them again")
    first = dict(by_job(spine))
    spine["do"] = fail("3")
    answer = cli(*RANDOM, "sweep.retry_failed=true")
    assert answer.code == 2
    assert "jobs 1, 3: they had failed and are tried again\n" in answer.err
    assert [resume for _, _, resume in spine["calls"]] == [True, True]
    assert by_job(spine) == [("1", first["1"]), ("3", first["3"])]
    sweep = the_sweep(tmp_path)
    log = (sweep / "1" / "log.txt").read_text()
    assert log.index("a line of the job") < log.index("tried again; it had failed: RunError: no memory")
    assert read_json(sweep / "1" / "status.json")["state"] == "done"
    assert read_json(sweep / "3" / "status.json")["state"] == "failed"
    assert cli(*RANDOM).code == 2
    assert spine["calls"] == []
    spine["do"] = lambda cfg, directory: None
    assert cli(*RANDOM, "sweep.retry_failed=true").code == 0
    assert by_job(spine) == [("3", first["3"])]


def test_second_attempt_that_was_interrupted_goes_on_without_being_asked_again(
    cli: Callable, spine: dict[str, Any]
) -> None:
    spine["do"] = fail("0")
    assert cli("-m", "seed=0,1").code == 2
    spine["do"] = lambda cfg, directory: (_ for _ in ()).throw(KeyboardInterrupt)
    assert cli("-m", "seed=0,1", "sweep.retry_failed=true").code == 130
    spine["do"] = lambda cfg, directory: None
    assert cli("-m", "seed=0,1").code == 0
    assert [cfg.seed for cfg, _, _ in spine["calls"]] == [0, 1, 0, 0]


def test_second_failure_whose_worker_died_is_adopted_and_not_tried_a_third_time(
    cli: Callable, spine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tradewright.sweep.queue import Queue

    spine["do"] = fail("0")
    assert cli("-m", "seed=0,1").code == 2

    def dies(*_: Any, **__: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "tell", dies)
        patch.setattr(Queue, "release", lambda *_, **__: True)
        assert cli("-m", "seed=0,1", "sweep.retry_failed=true").code == 130
    assert len(spine["calls"]) == 3
    answer = cli("-m", "seed=0,1", "sweep.grace_s=0.5", "sweep.heartbeat_s=0.1")
    assert answer.code == 2
    assert "job 0 failed: RunError: no memory" in answer.err
    assert len(spine["calls"]) == 3


def bars(path: Path, last: float) -> None:
    """Write a year of bars."""
    rows = [f"2020-{month:02}-{day:02},10,11,9,{10 + day / 100},1" for month in range(1, 13) for day in range(1, 28)]
    path.write_text("\n".join(["date,open,high,low,close,volume", *rows, f"2021-01-04,10,11,9,{last},1"]) + "\n")


def test_bars_that_changed_make_another_sweep_and_touched_ones_do_not(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    words = ("-m", "seed=0,1", "data=csv", "data.path=bars.csv")
    bars(tmp_path / "bars.csv", 10.5)
    assert cli(*words).code == 0
    os.utime(tmp_path / "bars.csv", (1, 1))
    assert "nothing was left to do" in cli(*words).err
    assert cli(*words, "sweep.name=mine").code == 0
    spine["calls"].clear()
    bars(tmp_path / "bars.csv", 10.25)
    assert cli(*words).code == 0
    assert len(spine["calls"]) == 2
    answer = cli(*words, "sweep.name=mine")
    assert answer.code == 2
    assert "bars.csv: was content " in answer.err
    (tmp_path / "bars.csv").unlink()
    assert cli(*words).err == "error: data.path=bars.csv: no such file or folder, and no file matches it as a pattern\n"
    assert len(spine["calls"]) == 2


def test_every_file_of_bars_that_varies_is_looked_at(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    words = ("-m", "seed=0", "data=csv", "data.path=one.csv,two.csv")
    for name in ("one.csv", "two.csv"):
        bars(tmp_path / name, 10.5)
    assert cli(*words).code == 0
    bars(tmp_path / "two.csv", 10.25)
    assert cli(*words).code == 0
    assert len(spine["calls"]) == 4


def test_own_code_that_changed_makes_another_sweep(
    cli: Callable, spine: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    words = ("-m", "seed=0,1", "allow=[rules_of_mine]")
    (tmp_path / "rules_of_mine.py").write_text("LIMIT = 1\n")
    assert cli(*words).code == 0
    assert "nothing was left to do" in cli(*words).err
    assert cli(*words, "sweep.name=mine").code == 0
    spine["calls"].clear()
    (tmp_path / "rules_of_mine.py").write_text("LIMIT = 2\n")
    assert cli(*words).code == 0
    assert len(spine["calls"]) == 2
    answer = cli(*words, "sweep.name=mine")
    assert answer.code == 2
    assert "code.rules_of_mine: was source " in answer.err


def test_bars_and_code_are_known_without_torch(tmp_path: Path) -> None:
    text = (
        "import sys; from tradewright.config.compose import compose; from tradewright.sweep.origin import *;"
        " from tradewright.sweep.space import Space;"
        " cfg = compose([]); print(code_of(cfg), bars_of([cfg], Space(), compose));"
        " assert not {'torch', 'lightning', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{} {'nasdaq': 'content ")
    assert not (tmp_path / ".tradewright").exists()


def test_silence_that_slurm_needs_is_the_default_and_less_is_refused(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    words = ("sweep=random", "sweep.num_trials=1", LR, "launcher=slurm", "launcher.timeout_min=5")
    answer = cli(*words, "sweep.grace_s=60")
    assert answer.code == 2
    assert answer.err.startswith("error: sweep.grace_s must be > 180 with launcher=slurm, was 60: ")
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "outputs").exists()


def test_table_of_the_sweep_is_written_now_and_then_and_at_the_end(
    cli: Callable, spine: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tradewright.sweep import results

    written: list[int] = []
    write = results.write_results

    def noted(plan: Any, queue: Any) -> None:
        written.append(len(spine["calls"]))
        write(plan, queue)

    monkeypatch.setattr(results, "write_results", noted)
    monkeypatch.setattr(results, "LEAST_S", 1e9)
    answer = cli("-m", "seed=0,1,2,3")
    assert written == [1, 4]
    assert [f"({number} of 4" in answer.err for number in (1, 2, 3, 4)] == [True] * 4
    assert read_json(the_sweep(tmp_path) / "sweep.json")["counts"]["done"] == 4
