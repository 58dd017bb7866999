"""Many workers on one queue, and workers killed at any moment: every slot once, none lost, none twice."""

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from queue_workers import NAME, make_queue, run_workers

from tradewright.sweep.storage import close_storage, open_storage

KINDS = ["sqlite", "journal"]


def url_of(kind: str, folder: Path) -> str:
    return f"sqlite:///{folder}/queue.db" if kind == "sqlite" else f"journal://{folder}/queue.log"


def events_of(path: Path) -> list[tuple[str, int, int, tuple[str, ...]]]:
    """Return event, slot, attempt and overrides of every line that workers wrote."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return [(event, int(slot), int(attempt), tuple(rest[:-1])) for event, slot, attempt, *rest in lines]


def check_total(url: str, num_slots: int) -> list[optuna.trial.FrozenTrial]:
    """Check in the study itself that every slot has one result, with parameters of its own; return all trials."""
    storage = open_storage(url)
    trials = optuna.load_study(storage=storage, study_name=NAME).get_trials()
    close_storage(storage)
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert sorted(trial.user_attrs["slot"] for trial in done) == list(range(num_slots))
    assert all(trial.values == [float(trial.user_attrs["slot"])] for trial in done)
    assert len({json.dumps(trial.params, sort_keys=True) for trial in done}) == num_slots
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "FAIL"}
    dropped = [trial for trial in trials if trial.state.name == "FAIL"]
    assert all(trial.user_attrs.get("lost") or trial.user_attrs.get("duplicate") for trial in dropped)
    return trials


def check_events(path: Path, num_slots: int) -> None:
    """Check that no attempt began twice, and that every attempt of a slot had the same command line."""
    events = events_of(path)
    begun = Counter((slot, attempt) for event, slot, attempt, _ in events if event == "begin")
    assert max(begun.values()) == 1
    lines: dict[int, set[tuple[str, ...]]] = {}
    for event, slot, _, overrides in events:
        if event == "begin":
            lines.setdefault(slot, set()).add(overrides)
    assert set(lines) == set(range(num_slots))
    assert {len(texts) for texts in lines.values()} == {1}
    ends = Counter(slot for event, slot, *_ in events if event == "end")
    assert max(ends.values()) == 1


def check_together(url: str, folder: Path, num_slots: int, num_workers: int) -> None:
    """Let workers empty a queue and check that every slot began once."""
    events = folder / "events"
    result = run_workers("together", url=url, num_slots=num_slots, num_workers=num_workers, events=str(events))
    assert result["codes"] == [0] * num_workers, result["errors"]
    begun = Counter(slot for event, slot, *_ in events_of(events) if event == "begin")
    assert begun == Counter(range(num_slots))
    check_events(events, num_slots)
    check_total(url, num_slots)


def check_killed(url: str, folder: Path, seed: int, *, num_slots: int, num_kills: int, **more: Any) -> int:
    """Kill workers at random moments, replace them, and check what came out; return the number of lost attempts."""
    options: dict[str, Any] = {"num_workers": 3, "mean_s": 0.2, "job_s": 0.5, "grace_s": 1.5, **more}
    events = folder / "events"
    print(f"seed {seed}")
    result = run_workers(
        "killed", url=url, num_slots=num_slots, num_kills=num_kills, events=str(events), seed=seed, **options
    )
    assert set(result["codes"]) == {0}, result["errors"]
    assert result["num_killed"] >= num_kills // 2, "the queue was finished too early"
    check_events(events, num_slots)
    trials = check_total(url, num_slots)
    return sum(bool(trial.user_attrs.get("lost")) for trial in trials)


@pytest.mark.parametrize("kind", KINDS)
def test_four_workers_claim_every_slot_once(kind: str, tmp_path: Path) -> None:
    """Trap 1: two processes can claim one trial of a SQLite file whose readers take no lock."""
    check_together(url_of(kind, tmp_path), tmp_path, num_slots=24 if kind == "sqlite" else 60, num_workers=4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_eight_workers_claim_three_hundred_slots_once(kind: str, tmp_path: Path) -> None:
    check_together(url_of(kind, tmp_path), tmp_path, num_slots=300, num_workers=8)


@pytest.mark.parametrize("kind", KINDS)
def test_workers_killed_at_random_moments_lose_and_repeat_no_slot(kind: str, tmp_path: Path) -> None:
    lost = check_killed(url_of(kind, tmp_path), tmp_path, 11, num_slots=14, num_kills=10)
    assert lost > 0, "no kill hit a running slot: the test proves nothing"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", KINDS)
def test_workers_killed_hundreds_of_times_lose_and_repeat_no_slot(kind: str, seed: int, tmp_path: Path) -> None:
    lost = check_killed(url_of(kind, tmp_path), tmp_path, seed, num_slots=60, num_kills=40, num_workers=4)
    assert lost > 0


def check_every_write(folder: Path, num_slots: int, first: int, step: int) -> int:
    """Kill a worker before chosen writes of its life; return how many there were."""
    result = run_workers("at_every_write", folder=str(folder), num_slots=num_slots, first=first, step=step)
    assert set(result["codes"]) == {0}, result["errors"]
    for number in range(first, first + step * result["num_killed"], step):
        check_total(f"sqlite:///{folder}/{number}.db", num_slots)
        check_events(folder / f"{number}.db.events", num_slots)
    return int(result["num_killed"])


def test_worker_killed_before_a_write_leaves_what_the_next_one_finishes(tmp_path: Path) -> None:
    assert check_every_write(tmp_path, num_slots=1, first=3, step=6) >= 1


@pytest.mark.slow
def test_worker_killed_before_any_of_its_writes_leaves_what_the_next_one_finishes(tmp_path: Path) -> None:
    assert check_every_write(tmp_path, num_slots=3, first=1, step=1) >= 30


@pytest.mark.row("N59")
@pytest.mark.parametrize("kind", KINDS)
def test_same_command_again_after_all_were_killed_finishes_the_sweep(kind: str, tmp_path: Path) -> None:
    url, events = url_of(kind, tmp_path), tmp_path / "events"
    common: dict[str, Any] = {"url": url, "events": str(events), "num_workers": 2, "job_s": 0.2, "grace_s": 1.5}
    first = run_workers("together", num_slots=4, num_killed=2, **common)
    assert first["codes"] == [-signal.SIGKILL] * 2
    assert not make_queue(url, 4).is_finished
    second = run_workers("together", num_slots=6, **common)
    assert second["codes"] == [0, 0], second["errors"]
    check_events(events, 6)
    check_total(url, 6)
