"""Texts that the fact check refuses are drawn again, and how often the first draw was true is not hidden."""

from collections.abc import Callable

import pytest
from explained import decided

from tradewright.data.panel import Panel
from tradewright.explain.facts import check
from tradewright.explain.state import State
from tradewright.explain.writer import explain
from tradewright.task.author import Author, checked_texts

FALSE = "The agent holds. RSI(14) is 999.9."


@pytest.fixture(scope="module")
def states(panel_of: Callable[..., Panel]) -> tuple[State, ...]:
    return decided(panel_of(420, 1, seed=3), first=300)[:10]


def written(states: tuple[State, ...], author: Author, num_tries: int):
    return checked_texts(
        author,
        [({"role": "user", "content": str(place)},) for place in range(len(states))],
        [[state] for state in states],
        template=lambda place: explain(states[place]),
        passes=lambda place, text: check(text, states[place]).is_faithful,
        num_tries=num_tries,
    )


def author(draws: list[list[str]], asked: list[int]) -> Author:
    def write(prompts):
        asked.append(len(prompts))
        return draws[len(asked) - 1][: len(prompts)]

    return Author(name="drawn", write=write, cutoff="")


def test_refused_texts_are_drawn_again_and_the_first_share_is_kept(states: tuple[State, ...]) -> None:
    true = [explain(state, has_slots=True) for state in states]
    asked: list[int] = []
    first = [*true[:6], *[FALSE] * 4]
    found = written(states, author([first, [true[6], FALSE, true[8], true[9]], [true[7]]], asked), 3)
    assert asked == [10, 4, 1]
    assert found.first == 0.6
    assert found.texts == [explain(state) for state in states]


def test_the_last_draw_stays_where_none_is_true(states: tuple[State, ...]) -> None:
    asked: list[int] = []
    draws = [[FALSE.replace("999", str(900 + round))] * 10 for round in range(3)]
    found = written(states, author(draws, asked), 3)
    assert asked == [10, 10, 10]
    assert found.first == 0.0
    assert set(found.texts) == {FALSE.replace("999", "902")}


def test_a_writer_that_repeats_itself_is_not_asked_for_ever(states: tuple[State, ...]) -> None:
    asked: list[int] = []
    assert written(states, author([[FALSE] * 10] * 9, asked), 9).first == 0.0
    assert asked == [10, 10]


def test_templates_are_true_at_once(states: tuple[State, ...]) -> None:
    found = written(states, Author(name="template", write=None, cutoff=""), 3)
    assert found.first == 1.0
    assert found.texts == [explain(state) for state in states]
