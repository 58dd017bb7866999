"""Explanation data sets: exact sizes, cut by time, checked, balanced, edited, written and read back."""

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from explained import decided

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import ConfigError, DataError
from tradewright.examples.explanations import EVAL_FILE, NEEDED, TRAIN_FILE, Explanations, write_sets
from tradewright.examples.json import JsonExamples
from tradewright.explain.decision_log import write_decisions
from tradewright.explain.grades import grade_text, states_in
from tradewright.explain.phrases import describe, instructions
from tradewright.explain.state import State, states_of
from tradewright.market.positions import Positions


@pytest.fixture(scope="module")
def states(panel_of: Callable[..., Panel]) -> tuple[State, ...]:
    return decided(panel_of(420, 2, seed=3), first=100)


@pytest.mark.row("T3")
@pytest.mark.parametrize(
    ("num_samples", "ratio", "sizes"),
    [(200, 0.9, (180, 20)), (101, 0.8, (81, 20)), pytest.param(10_000, 0.9, (9000, 1000), marks=pytest.mark.slow)],
)
def test_sizes_are_exact(states: tuple[State, ...], num_samples: int, ratio: float, sizes: tuple[int, int]) -> None:
    sets = Explanations(num_samples=num_samples, split_ratio=ratio).sets(states)
    assert (len(sets.train), len(sets.validation) + len(sets.test)) == sizes


@pytest.mark.row("T3")
def test_defaults_are_the_source_systems() -> None:
    made = Explanations()
    assert (made.num_samples, made.num_train) == (10_000, 9_000)


@pytest.mark.row("T10")
def test_sets_are_cut_by_time(states: tuple[State, ...]) -> None:
    sets = Explanations(num_samples=200).sets(states)
    times = [[example.known_at for example in part] for part in (sets.train, sets.validation, sets.test)]
    assert max(times[0]) < min(times[1]) <= max(times[1]) < min(times[2])
    assert all(part == sorted(part) for part in times)


@pytest.mark.row("T7")
@pytest.mark.row("T8")
def test_every_sample_states_its_action_and_its_indicators_are_in_range(states: tuple[State, ...]) -> None:
    made = Explanations(num_samples=100)
    sets = made.sets(states)
    checks = made.checks(sets)
    assert (checks.parsed, checks.is_faithful) == (1.0, 1.0)
    assert checks.missing == checks.out_of_range == ()
    for example in (*sets.train, *sets.validation, *sets.test):
        known = states_in(example)
        if example.kind == "explanation":
            assert example.label == known[0].action
            assert describe(known[0]) in example.prompt[-1]["content"]
            assert "nan" not in example.prompt[-1]["content"].lower()


def test_checks_find_a_wrong_action_and_a_value_out_of_range(states: tuple[State, ...]) -> None:
    made = Explanations(num_samples=60, tasks={"explanation": 1.0})
    sets = made.sets(states)
    first, second, *others = sets.train
    wrong = replace(first, completion="The agent does nothing in particular.")
    (row,) = second.facts["states"]
    broken = replace(second, facts={"states": [{**row, "indicators": {**row["indicators"], "rsi_14": 140.0}}]})
    checks = made.checks(replace(sets, train=(wrong, broken, *others)))
    assert checks.parsed == pytest.approx(59 / 60, abs=1 / 60)
    assert checks.out_of_range == (f"{second.id}: rsi_14",)


@pytest.mark.row("T9")
def test_rare_action_is_warned_of_and_balance_draws_it_equally(panel_of: Callable[..., Panel], caplog) -> None:
    panel = panel_of(420, 1, seed=3)
    weights_TN = np.full((270, 1), np.nan)
    weights_TN[20:260:30], weights_TN[35:260:30] = 0.5, 0.0
    rare = states_of(panel, Positions(weights_TN=weights_TN), Range(150, 420))
    with caplog.at_level(logging.WARNING, logger="tradewright.examples.explanations"):
        made = Explanations(num_samples=120, tasks={"explanation": 1.0})
        checks = made.checks(made.sets(rare))
    assert "SELL is" in caplog.text
    assert "below min_share 10%" in checks.warnings[0]
    assert sum(checks.actions.values()) == pytest.approx(1.0)
    even = Explanations(num_samples=120, tasks={"explanation": 1.0}, balance=True)
    train = Counter(example.label for example in even.sets(rare).train)
    assert set(train.values()) == {36}


@pytest.mark.row("T45")
def test_instructions_differ_and_kinds_are_mixed_as_asked(states: tuple[State, ...]) -> None:
    made = Explanations(num_samples=240, tasks={"explanation": 0.75, "commentary": 0.25})
    sets = made.sets(states)
    assert Counter(e.kind for e in (*sets.train, *sets.validation, *sets.test)) == {
        "explanation": 180,
        "commentary": 60,
    }
    for kind, least in (("explanation", 12), ("commentary", 8)):
        asked = {e.prompt[-1]["content"].split("\n")[0] for e in sets.train if e.kind == kind}
        assert asked == set(instructions(kind))
        assert len(asked) >= least
    texts = {example.completion for example in sets.train}
    assert len(texts) > 0.98 * len(sets.train)


def test_same_seed_gives_the_same_sets_and_another_gives_others(states: tuple[State, ...]) -> None:
    first, same, other = (Explanations(num_samples=40, seed=seed).sets(states) for seed in (1, 1, 2))
    assert first == same
    assert first.fingerprint != other.fingerprint


@pytest.mark.row("T6")
@pytest.mark.row("T2")
def test_files_load_back_equal(states: tuple[State, ...], tmp_path: Path) -> None:
    sets = Explanations(num_samples=60).sets(states)
    train, evaluation = write_sets(sets, tmp_path)
    assert (train.name, evaluation.name) == (TRAIN_FILE, EVAL_FILE) == ("train_data.json", "eval_data.json")
    again = JsonExamples(path=[str(train), str(evaluation)], name=sets.name).read()
    assert (again.train, again.validation, again.test) == (sets.train, sets.validation, sets.test)
    assert again.fingerprint == sets.fingerprint
    rows = json.loads(train.read_text())
    assert set(rows[0]) == {"id", "known_at", "kind", "label", "split", "prompt", "completion", "facts"}


@pytest.mark.row("T44")
def test_edited_answers_win_over_generated_ones(states: tuple[State, ...], tmp_path: Path) -> None:
    before = Explanations(num_samples=60).sets(states)
    own = next(example for example in before.train if example.kind == "explanation")
    (state,) = states_in(own)
    word = {"BUY": "buys", "SELL": "sells", "HOLD": "holds"}[state.action]
    text = f"An editor's words: the agent {word}, with RSI(14) at {state.indicators['rsi_14']:.1f}."
    rows = [{"id": own.id, "prompt": "Explain.", "completion": text}]
    sampled = {example.id for example in before.train}
    absent = next(
        s
        for s in states
        if f"{s.id}-explanation-0" not in sampled
        and set(NEEDED) <= set(s.indicators)
        and s.known_at > before.train[0].known_at
    )
    word = {"BUY": "buys", "SELL": "sells", "HOLD": "holds"}[absent.action]
    rows.append({"id": f"{absent.id}-explanation-7", "prompt": "Explain.", "completion": f"Edited: the agent {word}."})
    path = tmp_path / "edits.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    after = Explanations(num_samples=60, edits=str(path)).sets(states)
    everything = {example.id: example for example in (*after.train, *after.validation, *after.test)}
    assert everything[own.id].completion == text
    assert everything[rows[1]["id"]].completion.startswith("Edited:")
    assert len(after.train) == len(before.train)
    changed = [e.id for e in before.train if everything.get(e.id) != e]
    assert len(changed) <= 2


@pytest.mark.row("T44")
@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"id": "S0-19000101-explanation-0"}, "row 1: id 'S0-19000101-explanation-0' belongs to no decision"),
        ({"completion": "The agent dances."}, "row 1: .* does not state the action"),
        ({"completion": "RSI(14) is 99.9."}, r"row 1: .*'RSI\(14\) is 99.9': RSI\(14\) is"),
        ({"id": None}, "row 1: .*belongs to no decision"),
    ],
)
def test_wrong_edit_is_refused_by_row(states: tuple[State, ...], tmp_path: Path, row: dict, words: str) -> None:
    path = tmp_path / "edits.jsonl"
    known = states[-1]
    path.write_text(json.dumps({"id": f"{known.id}-explanation-0", "prompt": "x", "completion": "y", **row}))
    with pytest.raises(DataError, match=words):
        Explanations(num_samples=60, edits=str(path)).sets(states)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_samples": 2}, "num_samples must be >= 4"),
        ({"split_ratio": 1.0}, "split_ratio must be a fraction"),
        ({"tasks": {"poem": 1.0}}, "tasks must be weights of explanation, commentary, had 'poem'"),
        ({"min_share": 0.5}, "min_share must be in"),
    ],
)
def test_impossible_settings_are_refused(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Explanations(**arguments)


def test_too_few_decisions_are_refused(panel_of: Callable[..., Panel]) -> None:
    with pytest.raises(DataError, match="at least 8 moments"):
        Explanations(num_samples=40).sets(decided(panel_of(120, 1), first=100))


def test_sets_are_read_from_the_log_and_answers_graded_by_its_facts(states: tuple[State, ...], tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    write_decisions(path, states)
    made = Explanations(num_samples=40, decisions=str(path))
    sets = made.read()
    assert sets == Explanations(num_samples=40).sets(states)
    for example in sets.test:
        right, wrong = made.grade(example, example.completion), made.grade(example, "It rose 77.7% over 5 days.")
        assert (right["faithful"], right["claim_precision"], wrong["faithful"]) == (1.0, 1.0, 0.0)
    assert grade_text(replace(sets.test[0], facts={}), "x") == {}
    with pytest.raises(ConfigError, match=r"examples\.decisions must name a decisions\.jsonl"):
        Explanations().read()
