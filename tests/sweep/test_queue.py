"""One worker's view of the queue: slots, parameters, verdicts."""

import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState
from queue_cases import claim, drain, states
from queue_workers import make_queue

from tradewright.sweep.queue import Queue
from tradewright.sweep.slots import Record, best_of
from tradewright.sweep.space import Space, parse_space

pytestmark = pytest.mark.usefixtures("alone")
GRID = parse_space(["algorithm=ppo,sac", "lora.r=range(8,25,8)", "+flag=true,null,'a b'", "name=x"])


def test_every_slot_is_queued_once_and_claimed_in_order(url: str) -> None:
    queue = make_queue(url, 7)
    queue.fill()
    queue.fill()
    assert not queue.is_finished
    assert queue.counts()["waiting"] == 7
    assert [one.slot for one in drain(queue)] == list(range(7))
    assert queue.is_finished
    assert states(queue) == [(slot, "COMPLETE") for slot in range(7)]


def test_more_slots_later_add_the_difference_and_fewer_take_none_away(url: str) -> None:
    first = make_queue(url, 3)
    first.fill()
    drain(first)
    second = make_queue(url, 5)
    assert second.counts() == {**second.counts(), "missing": 2, "done": 3}
    assert not second.is_finished
    second.fill()
    assert [one.slot for one in drain(second)] == [3, 4]
    third = make_queue(url, 2)
    third.fill()
    assert third.is_finished
    assert third.counts()["done"] == 5


def test_grid_is_claimed_point_by_point(url: str) -> None:
    points = GRID.grid()
    queue = make_queue(url, len(points), space=GRID, points=points, sampler_for=lambda slot: None)
    queue.fill()
    claims = drain(queue)
    words = itertools.product(["ppo", "sac"], ["8", "16", "24"], ["true", "null", "'a b'"])
    expected = [["name=x", f"algorithm={a}", f"lora.r={r}", f"+flag={f}"] for a, r, f in words]
    assert [one.overrides for one in claims] == expected
    assert [one.point for one in claims] == points
    assert [one["point"] for one in queue.records()] == points


def test_fewer_points_than_slots_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="points must be one per slot, were 1 for 2 slots"):
        make_queue(url, 2, space=GRID, points=GRID.grid()[:1])


def test_conditional_parameters_exist_exactly_where_their_condition_holds(url: str) -> None:
    queue = make_queue(url, 30)
    queue.fill()
    claims = drain(queue)
    assert {one.point["algorithm"] for one in claims} == {"ppo", "sac"}
    for one in claims:
        assert ("tau" in one.point) == (one.point["algorithm"] == "sac")
        assert one.overrides == ["seed=7", *(f"{key}={text}" for key, text in one.point.items())]
        assert 1e-5 <= float(one.point["lr"]) <= 1e-2
    assert [one["overrides"] for one in queue.records()] == [one.overrides for one in claims]


@pytest.mark.parametrize(
    ("when", "held"), [(True, {"true"}), (None, {"null"}), (0.001, {"0.001"}), (1, {"1"}), ("sac", {"sac"})]
)
def test_condition_compares_values_not_spellings(when: object, held: set[str], url: str) -> None:
    space = parse_space(
        ["a=true,null,1e-3,1,'sac'"], conditional=[{"when": {"a": when}, "params": {"b": "interval(0,1)"}}]
    )
    points = [{"a": word, "b": "0.5"} for word in space.dimensions[0].texts or ()]
    queue = make_queue(url, 5, space=space, points=points)
    queue.fill()
    assert {one.point["a"].strip("'") for one in drain(queue) if "b" in one.point} == held


@pytest.mark.parametrize("fixed", ["algorithm=sac", "+algorithm='sac'", 'algorithm="sac"'])
def test_condition_on_a_fixed_key_holds_for_every_slot(fixed: str, url: str) -> None:
    space = parse_space(
        [fixed, "a=1,2"],
        conditional=[
            {"when": {"algorithm": "sac"}, "params": {"tau": [0.1, 0.2]}},
            {"when": {"algorithm": "sac", "tau": 0.1}, "params": {"deep": [3, 4]}},
        ],
    )
    queue = make_queue(url, 12, space=space)
    queue.fill()
    for one in drain(queue):
        assert set(one.point) == {"a", "tau", *(["deep"] if one.point["tau"] == "0.1" else [])}


def test_one_key_may_have_another_range_under_each_condition(url: str) -> None:
    space = parse_space(
        ["algorithm=ppo,sac"],
        conditional=[
            {"when": {"algorithm": "ppo"}, "params": {"lr": "interval(1.0,2.0)"}},
            {"when": {"algorithm": "sac"}, "params": {"lr": "choice(10,20)"}},
        ],
    )
    queue = make_queue(url, 12, space=space)
    queue.fill()
    for one in drain(queue):
        assert (float(one.point["lr"]) >= 10) == (one.point["algorithm"] == "sac")
    assert {key for trial in queue.study.get_trials() for key in trial.params} == {
        "algorithm",
        "lr if algorithm=ppo",
        "lr if algorithm=sac",
    }


def test_sampler_is_made_per_slot_and_only_for_its_choice(url: str) -> None:
    made: list[int] = []

    def sampler_for(slot: int) -> BaseSampler:
        made.append(slot)
        return TPESampler(seed=slot, n_startup_trials=2)

    queue = make_queue(url, 4, sampler_for=sampler_for)
    before = queue.study.sampler
    queue.fill()
    drain(queue)
    assert made == [0, 1, 2, 3]
    assert queue.study.sampler is before


def test_fixed_seed_repeats_no_random_point_after_a_restart_or_by_another_worker(tmp_path: Path) -> None:
    """Trap 5: one sampler object with a fixed seed gives every worker the same sequence."""
    points = []
    for name in ("one", "many"):
        url = f"journal://{tmp_path}/{name}"
        make_queue(url, 12).fill()
        queues = [make_queue(url, 12) for _ in range(1 if name == "one" else 4)]
        claims = [claim(queues[number % len(queues)]) for number in range(12)]
        points.append({one.slot: one.overrides for one in claims})
    assert len({tuple(texts) for texts in points[0].values()}) == 12
    assert points[0] == points[1]


def test_sampler_that_raises_fails_its_slot_and_the_next_is_claimed(url: str) -> None:
    """Trap 22: Optuna leaves such a trial running for ever."""

    class Broken(RandomSampler):
        def sample_independent(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("no idea")

    queue = make_queue(url, 3, sampler_for=lambda slot: Broken() if slot < 2 else RandomSampler())
    queue.fill()
    assert claim(queue).slot == 2
    failed = [one for one in queue.records() if one["state"] == "failed"]
    assert [one["slot"] for one in failed] == [0, 1]
    assert failed[0]["reason"] == "its parameters could not be chosen: RuntimeError: no idea"
    assert queue.counts()["running"] == 1


def test_interrupted_choice_is_taken_up_again_by_the_same_worker(url: str) -> None:
    raised: list[bool] = []

    def sampler_for(slot: int) -> BaseSampler:
        if not raised:
            raised.append(True)
            raise KeyboardInterrupt
        return RandomSampler(seed=slot)

    queue = make_queue(url, 2, sampler_for=sampler_for)
    queue.fill()
    with pytest.raises(KeyboardInterrupt):
        queue.claim()
    assert queue.reclaim() == [0]
    assert [(one.slot, one.attempt) for one in drain(queue)] == [(1, 0), (0, 1)]
    assert queue.is_finished


@pytest.mark.parametrize(
    ("values", "constraints", "reason"),
    [
        (None, {}, "no objective value"),
        ([], {}, "no objective value"),
        ([math.nan], {}, "the objective is nan"),
        ([math.inf], {}, "the objective is inf"),
        ([-math.inf], {}, "the objective is -inf"),
        ([1.0, 2.0], {}, "2 objective values, expected 1"),
        ([1.0], {"drawdown": math.nan}, "the constraint on drawdown is nan"),
    ],
)
def test_result_that_is_no_number_is_a_failure_with_its_reason(
    values: list[float] | None, constraints: dict[str, float], reason: str, url: str
) -> None:
    """Trap 9: Optuna takes infinity, and raises at NaN."""
    queue = make_queue(url, 1)
    queue.fill()
    assert queue.tell(claim(queue), values, "done", "", constraints)
    (record,) = queue.records()
    assert (record["state"], record["values"], record["reason"]) == ("failed", None, reason)
    assert queue.is_finished
    json.dumps(queue.records(), allow_nan=False)


def test_verdicts_are_kept_with_their_reasons(url: str) -> None:
    queue = make_queue(url, 3)
    queue.fill()
    one, two, three = (claim(queue) for _ in range(3))
    one.trial.report(0.25, step=3)
    assert queue.tell(one, None, "pruned", "below the median")
    assert queue.tell(two, None, "failed", "RunError: out of memory")
    three.trial.set_user_attr("directory", "/runs/2")
    assert queue.tell(three, [0.5], "done", "", {"drawdown": -0.1})
    records = queue.records()
    assert [(one["state"], one["values"], one["reason"]) for one in records] == [
        ("pruned", None, "below the median"),
        ("failed", None, "RunError: out of memory"),
        ("done", [0.5], ""),
    ]
    assert records[2]["constraints"] == {"drawdown": -0.1}
    assert records[2]["attributes"] == {"directory": "/runs/2"}
    assert queue.study.get_trials()[0].state is TrialState.PRUNED


def test_trial_of_no_slot_is_ended_and_counts_nothing(url: str) -> None:
    queue = make_queue(url, 1)
    queue.study.enqueue_trial({"lr": 1e-3})
    queue.fill()
    assert [one.slot for one in drain(queue)] == [0]
    assert queue.is_finished
    assert len(queue.records()) == 1
    assert queue.study.get_trials()[0].state is TrialState.FAIL


def tell_all(queue: Queue, results: list[tuple[list[float], float]]) -> None:
    queue.fill()
    for values, bound in results:
        assert queue.tell(claim(queue), values, "done", "", {"bound": bound})


@pytest.mark.parametrize(("way", "slot"), [("maximize", 3), ("minimize", 1)])
def test_best_is_the_first_best_that_fulfils_its_constraints(way: str, slot: int, url: str) -> None:
    queue = make_queue(url, 6, directions=[way])
    tell_all(queue, [([3.0], -1), ([1.0], 0.0), ([0.0], 0.1), ([5.0], -1), ([9.0], 1e-9), ([5.0], -1)])
    (best,) = queue.best()
    assert best["slot"] == slot


def test_nothing_is_best_where_nothing_is_done(url: str) -> None:
    queue = make_queue(url, 1)
    assert queue.best() == []
    queue.fill()
    queue.tell(claim(queue), [1.0], "done", "", {"bound": 1.0})
    assert queue.best() == []


def test_best_of_two_objectives_is_the_pareto_front(url: str) -> None:
    queue = make_queue(url, 6, directions=["maximize", "minimize"])
    results = [
        ([1.0, 1.0], -1),
        ([2.0, 2.0], -1),
        ([2.0, 3.0], -1),
        ([0.5, 1.0], -1),
        ([9.0, 0.0], 1),
        ([1.0, 1.0], -1),
    ]
    tell_all(queue, [(values, float(bound)) for values, bound in results])
    assert [one["slot"] for one in queue.best()] == [0, 1, 5]


@pytest.mark.parametrize("flags", [[True], [False, True], [True, False, False]])
def test_front_of_many_records_is_what_nothing_dominates(flags: list[bool]) -> None:
    generator = random.Random(len(flags))
    records = [
        {"slot": slot, "state": "done", "constraints": {}, "values": [float(generator.randrange(8)) for _ in flags]}
        for slot in range(200)
    ]

    def beats(one: Record, two: Record) -> bool:
        gains = [(a - b) * (1 if up else -1) for a, b, up in zip(one["values"], two["values"], flags, strict=True)]
        return min(gains) >= 0 and max(gains) > 0

    front = [one for one in records if not any(beats(other, one) for other in records)]
    assert best_of(records, flags) == (front[:1] if len(flags) == 1 else front)


def test_empty_space_has_one_job(url: str) -> None:
    space = Space(fixed=("algorithm=ppo",))
    queue = make_queue(url, 1, space=space, points=space.grid(), sampler_for=lambda slot: None)
    queue.fill()
    assert [one.overrides for one in drain(queue)] == [["algorithm=ppo"]]


def test_numbers_of_optuna_and_texts_of_the_command_line_agree(url: str) -> None:
    space = parse_space(
        ["a=int(interval(1,100))", "b=tag(log,interval(1e-8,1e-2))", "c=range(0.5,2.1,0.5)", "d=true,1,x"]
    )
    queue = make_queue(url, 10, space=space)
    queue.fill()
    claims = drain(queue)
    for one, trial in zip(claims, queue.study.get_trials(), strict=True):
        assert one.point["a"] == str(trial.params["a"])
        assert float(one.point["b"]) == trial.params["b"]
        assert float(one.point["c"]) in (0.5, 1.0, 1.5, 2.0)
        assert one.point["d"] == str(trial.params["d"]).replace("True", "true")


def test_finished_sweep_tells_optuna_the_same_best(url: str) -> None:
    queue = make_queue(url, 5)
    queue.fill()
    drain(queue)
    assert queue.study.best_trial.number == queue.best()[0]["trial"]
    assert isinstance(queue.study, optuna.Study)
