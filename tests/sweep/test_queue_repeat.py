"""Slots that have ended and are run again: one run each, the same parameters, whoever asks and whenever he dies."""

from collections import Counter
from pathlib import Path

import optuna
import pytest
from queue_cases import Clock, claim, drain, states
from queue_workers import NAME, make_queue, run_workers
from test_queue_workers import events_of

from tradewright.sweep.lease import Worker
from tradewright.sweep.queue import Queue
from tradewright.sweep.space import parse_space
from tradewright.sweep.storage import close_storage, open_storage

ELSEWHERE = Worker("other", "another host", 1, 1)
pytestmark = pytest.mark.usefixtures("alone")
GRID = parse_space(["algorithm=ppo,sac", "lora.r=8,16"])


def ended(url: str, num_slots: int = 3) -> Queue:
    """Return a queue whose slots are done, pruned, failed and so on in turn."""
    queue = make_queue(url, num_slots)
    queue.fill()
    for number in range(num_slots):
        state = ("done", "pruned", "failed")[number % 3]
        assert queue.tell(claim(queue), [float(number)], state, "why")  # type: ignore[arg-type]
    return queue


def test_ended_slots_are_run_again_with_the_same_parameters_and_the_last_word_counts(url: str) -> None:
    queue = ended(url)
    before = queue.records()
    queue.repeat(before)
    assert not queue.is_finished
    claims = [claim(queue) for _ in range(3)]
    assert [(one.slot, one.attempt, one.num_repeats, one.num_losses) for one in claims] == [
        (slot, 1, 1, 0) for slot in range(3)
    ]
    assert [one.overrides for one in claims] == [one["overrides"] for one in before]
    for one in claims:
        assert queue.tell(one, [7.0], "done")
    assert queue.is_finished
    assert [(one["state"], one["values"], one["reason"]) for one in queue.records()] == [("done", [7.0], "")] * 3
    assert queue.counts() == {**queue.counts(), "done": 3, "pruned": 0, "failed": 0, "lost": 0}


def test_repeated_grid_point_stays_itself(url: str) -> None:
    points = GRID.grid()
    queue = make_queue(url, 4, space=GRID, points=points, sampler_for=lambda slot: None)
    queue.fill()
    drain(queue)
    queue.repeat([queue.records()[2]])
    again = claim(queue)
    assert (again.slot, again.point) == (2, points[2])


def test_two_workers_that_repeat_one_slot_at_once_run_it_once(url: str) -> None:
    one, two = ended(url), make_queue(url, 3)
    records = one.records()
    two_sees = two._slots()
    one.repeat(records[:1])
    two._queue(0, two_sees[0], again=records[0]["trial"])  # as if it had looked before the other wrote
    assert [claimed.slot for claimed in (*drain(one), *drain(two))] == [0]
    assert two.is_finished
    assert Counter(state for slot, state in states(one) if slot == 0) == {"COMPLETE": 2, "FAIL": 1}


def test_worker_with_an_old_record_does_not_repeat_what_another_has_repeated(url: str) -> None:
    one, two = ended(url), make_queue(url, 3)
    records = two.records()
    one.repeat(records)
    drain(one)
    two.repeat(records)
    assert two.claim() is None
    assert two.is_finished


def test_repetition_that_was_lost_is_taken_over_and_the_old_result_does_not_come_back(url: str) -> None:
    other = make_queue(url, 1, worker=ELSEWHERE)
    other.fill()
    first = claim(other)
    other.tell(first, [1.0], "done")
    other.repeat(other.records())
    lost = claim(other)
    queue = make_queue(url, 1)
    assert Clock(queue).pass_grace(queue) == [0]
    assert queue.counts() == {**queue.counts(), "done": 0, "waiting": 1, "lost": 1}
    again = claim(queue)
    assert (again.attempt, again.num_repeats, again.num_losses) == (2, 1, 1)
    assert again.overrides == lost.overrides == first.overrides


def test_losses_count_from_the_last_command_on_and_interruptions_do_not_count(url: str) -> None:
    queue = make_queue(url, 1)
    queue.fill()
    for is_lost, expected in ((False, 0), (True, 1), (False, 1), (True, 2)):
        assert queue.release(claim(queue), "gone", is_lost=is_lost)
        other = make_queue(url, 1, worker=ELSEWHERE)
        one = claim(other)
        assert one.num_losses == expected
        other.release(one, "interrupted")
    silent = claim(make_queue(url, 1, worker=ELSEWHERE))
    assert Clock(queue).pass_grace(queue) == [0]
    assert silent.num_losses == 2
    one = claim(queue)
    assert (one.num_losses, one.attempt) == (3, 9)
    queue.tell(one, None, "failed", "lost too often")
    queue.repeat(queue.records())
    assert claim(queue).num_losses == 0


def test_worker_killed_before_a_write_of_a_repetition_leaves_one_run_to_the_next(tmp_path: Path) -> None:
    check(tmp_path, step=5)


@pytest.mark.slow
def test_worker_killed_before_any_write_of_a_repetition_leaves_one_run_to_the_next(tmp_path: Path) -> None:
    check(tmp_path, step=1)


def check(folder: Path, step: int) -> None:
    """Kill a worker before chosen writes while it repeats two finished slots; each is done once more, with its own."""
    result = run_workers("at_every_write", folder=str(folder), num_slots=2, first=1, step=step, has_repeats=True)
    assert set(result["codes"]) == {0}, result["errors"]
    assert result["num_killed"] >= 20 // step
    before = {slot: words for event, slot, _, words in events_of(folder / "blank.db.events") if event == "begin"}
    for number in range(1, 1 + step * result["num_killed"], step):
        storage = open_storage(f"sqlite:///{folder}/{number}.db")
        trials = optuna.load_study(storage=storage, study_name=NAME).get_trials()
        close_storage(storage)
        done = Counter(trial.user_attrs["slot"] for trial in trials if trial.state.name == "COMPLETE")
        assert done == {0: 2, 1: 2}
        assert {trial.state.name for trial in trials} <= {"COMPLETE", "FAIL"}
        begun = [event for event in events_of(folder / f"{number}.db.events") if event[0] == "begin"]
        assert max(Counter((slot, attempt) for _, slot, attempt, _ in begun).values()) == 1
        assert all(words == before[slot] for _, slot, _, words in begun)
