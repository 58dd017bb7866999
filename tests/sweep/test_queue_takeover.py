"""What is left of workers that died, were silent or queued a slot at the same moment."""

import pytest
from optuna.trial import TrialState
from queue_cases import Clock, claim, drain, states
from queue_workers import make_queue

from tradewright.sweep.lease import Worker
from tradewright.sweep.space import parse_space

ELSEWHERE = Worker("other", "another host", 1, 1)
pytestmark = pytest.mark.usefixtures("alone")
GRID = parse_space(["algorithm=ppo,sac", "lora.r=range(8,25,8)", "+flag=true,null,'a b'", "name=x"])


def test_released_slot_is_run_again_with_the_same_parameters(url: str) -> None:
    queue = make_queue(url, 2)
    queue.fill()
    first = claim(queue)
    assert queue.release(first, "interrupted")
    assert not queue.release(first, "interrupted")
    assert not queue.tell(first, [1.0], "done")
    claims = drain(queue)
    assert [(one.slot, one.attempt) for one in claims] == [(1, 0), (0, 1)]
    assert claims[1].overrides == first.overrides
    assert queue.is_finished
    assert queue.counts() == {**queue.counts(), "done": 2, "lost": 1}


def test_slot_of_a_silent_worker_is_taken_over_and_its_late_word_does_not_count(url: str) -> None:
    """Trap 4: an empty queue is not the end while another worker's job runs."""
    other = make_queue(url, 2, worker=ELSEWHERE)
    other.fill()
    lost = claim(other)
    queue = make_queue(url, 2)
    drain(queue)
    assert queue.claim() is None
    assert not queue.is_finished
    assert queue.reclaim() == []
    assert Clock(queue).pass_grace(queue) == [0]
    assert other.beat([lost]) == [lost]
    again = claim(queue)
    assert (again.slot, again.attempt, again.overrides) == (0, 1, lost.overrides)
    assert not other.tell(lost, [9.0], "done")
    assert not other.tell(lost, None, "failed", "late")
    assert queue.tell(again, [1.0], "done")
    assert queue.is_finished
    assert [one["values"] for one in queue.records()] == [[1.0], [1.0]]


def test_slot_of_a_worker_that_beats_is_left_to_it(url: str) -> None:
    other = make_queue(url, 1, worker=ELSEWHERE)
    other.fill()
    mine = claim(other)
    queue = make_queue(url, 1)
    clock = Clock(queue)
    for _ in range(20):
        assert queue.reclaim() == []
        assert other.beat([mine]) == []
        clock.now += queue._stale.grace_s / 5
    assert other.tell(mine, [1.0], "done")


def test_worker_never_takes_its_own_slots(url: str) -> None:
    queue = make_queue(url, 1)
    queue.fill()
    mine = claim(queue)
    assert Clock(queue).pass_grace(queue) == []
    assert queue.tell(mine, [1.0], "done")


def test_worker_that_died_before_its_first_lease_is_noticed(url: str) -> None:
    """Trap 3: Optuna's heartbeat never notices a worker that was killed before its first beat."""
    queue = make_queue(url, 1)
    queue.fill()
    assert queue.study._pop_waiting_trial_id() is not None
    assert queue.claim() is None
    assert not queue.is_finished
    assert Clock(queue).pass_grace(queue) == [0]
    assert [(one.slot, one.attempt) for one in drain(queue)] == [(0, 1)]


def test_duplicates_of_a_slot_are_dropped_when_they_are_claimed(url: str) -> None:
    queue = make_queue(url, 2)
    queue.fill()
    for slot in (0, 1, 0):
        queue.study.enqueue_trial({}, user_attrs={"slot": slot, "attempt": 0})
    assert [one.slot for one in drain(queue)] == [0, 1]
    assert queue.is_finished
    assert [trial.user_attrs.get("duplicate", False) for trial in queue.study.get_trials()] == [False] * 2 + [True] * 3
    assert queue.counts() == {**queue.counts(), "done": 2, "lost": 0, "failed": 0}


def test_duplicate_that_outlives_its_slot_does_not_bring_other_parameters(url: str) -> None:
    """The first trial of a slot was lost with its parameters; a second one, queued without, must not replace them."""
    other = make_queue(url, 1, worker=ELSEWHERE)
    other.fill()
    other.study.enqueue_trial({}, user_attrs={"slot": 0, "attempt": 0})
    lost = claim(other)
    queue = make_queue(url, 1, seed=5)
    assert Clock(queue).pass_grace(queue) == [0]
    claims = drain(queue)
    assert [(one.overrides, one.attempt) for one in claims] == [(lost.overrides, 1)]
    assert queue.is_finished
    assert [name for _, name in states(queue)].count("COMPLETE") == 1


def test_duplicate_whose_claimer_died_is_cleared_away_without_a_new_attempt(url: str) -> None:
    other = make_queue(url, 1, worker=ELSEWHERE)
    other.fill()
    other.study.enqueue_trial({}, user_attrs={"slot": 0, "attempt": 0})
    mine = claim(other)
    assert other.study._pop_waiting_trial_id() is not None
    assert other.tell(mine, [1.0], "done")
    queue = make_queue(url, 1)
    assert not queue.is_finished
    assert Clock(queue).pass_grace(queue) == []
    assert queue.is_finished
    assert queue.counts() == {**queue.counts(), "done": 1, "lost": 0, "waiting": 0}


def test_reclaimer_that_died_before_it_queued_the_slot_is_healed_by_fill(url: str) -> None:
    other = make_queue(url, 2, worker=ELSEWHERE)
    other.fill()
    lost = claim(other)
    lost.trial.set_user_attr("lost", True)
    other.study._storage.set_trial_state_values(lost.trial._trial_id, TrialState.FAIL)
    queue = make_queue(url, 2)
    assert queue.counts() == {**queue.counts(), "missing": 1, "waiting": 1, "lost": 1}
    queue.fill()
    assert {(one.slot, one.attempt): one.overrides for one in drain(queue)}[0, 1] == lost.overrides
    assert queue.is_finished


def test_mark_of_a_reclaimer_that_came_too_late_loses_nothing(url: str) -> None:
    """A reclaimer marks a trial as lost, and its slow worker ends it before the reclaimer can."""
    other = make_queue(url, 2, worker=ELSEWHERE)
    other.fill()
    for verdict in ("done", "failed"):
        slow = claim(other)
        slow.trial.set_user_attr("lost", True)
        assert other.tell(slow, [1.0], verdict, "its own error")  # type: ignore[arg-type]
    queue = make_queue(url, 2)
    queue.fill()
    assert queue.is_finished
    assert [(one["state"], one["reason"]) for one in queue.records()] == [("done", ""), ("failed", "its own error")]


def test_grid_point_survives_being_lost(url: str) -> None:
    points = GRID.grid()
    other = make_queue(url, 3, space=GRID, points=points, sampler_for=lambda slot: None, worker=ELSEWHERE)
    other.fill()
    lost = claim(other)
    queue = make_queue(url, 3, space=GRID, points=points, sampler_for=lambda slot: None)
    assert Clock(queue).pass_grace(queue) == [0]
    claims = drain(queue)
    assert [(one.slot, one.point) for one in claims] == [(1, points[1]), (2, points[2]), (0, points[0])]
    assert claims[-1].overrides == lost.overrides
