"""Workers killed at random moments: no slot is lost, doubled or overwritten, no parameter repeated, the total exact."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from kill_sweep import LOG, NUM_SLOTS, plan_of

from tradewright.output import read_json, read_metrics
from tradewright.sweep.optuna_compat import trials
from tradewright.sweep.queue import open_study
from tradewright.sweep.storage import open_storage

HERE = Path(__file__).parent


def kill_and_check(folder: Path, num_kills: int, seed: int) -> int:
    """Run the sweep under kills, check what it left behind, and return how many kills it took."""
    words = [sys.executable, HERE / "kill_sweep.py", folder, str(num_kills), str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    plan = plan_of(folder)
    study = open_study(open_storage(plan.url), plan.study, plan.objectives.directions, plan.description)
    live = [one for one in trials(study) if not (one.user_attrs.get("lost") or one.user_attrs.get("duplicate"))]
    assert Counter(one.user_attrs["slot"] for one in live) == dict.fromkeys(range(NUM_SLOTS), 1)
    assert {one.state.name for one in live} == {"COMPLETE"}
    assert len({one.params["x"] for one in live}) == NUM_SLOTS
    for one in live:
        directory = folder / str(one.user_attrs["slot"])
        assert read_json(directory / "status.json")["state"] == "done"
        assert read_metrics(directory)["validation/sharpe"] == one.params["x"] == one.values[0]
        lines = (directory / LOG).read_text().splitlines()
        assert {float(line.split()[1]) for line in lines} == {one.params["x"]}
        assert sum(line.startswith("end") for line in lines) <= 1  # what has ended is adopted, not run again
    assert sorted(int(path.name) for path in folder.iterdir() if path.is_dir()) == list(range(NUM_SLOTS))
    return int(done.stdout)


def test_sweep_survives_kills_of_its_worker(tmp_path: Path) -> None:
    assert kill_and_check(tmp_path / "sweep", 10, seed=1) >= 3


@pytest.mark.slow
def test_sweeps_survive_two_hundred_kills(tmp_path: Path) -> None:
    total, seed = 0, 100
    while total < 200:
        seed += 1
        killed = kill_and_check(tmp_path / str(seed), 40, seed)
        total += killed
        print(f"seed {seed}: {killed} kills, {total} in all", flush=True)
