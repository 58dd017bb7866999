"""Slots of texts: filled they are the texts that the writer gives with figures, and what nothing fills is a fault."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from explained import decided

from tradewright.data.panel import Panel
from tradewright.examples.explanations import Explanations
from tradewright.examples.json import JsonExamples
from tradewright.explain.commentary import market_states, write_commentary
from tradewright.explain.facts import check
from tradewright.explain.grades import grade_text
from tradewright.explain.phrases import describe, figures_of
from tradewright.explain.slots import SLOT, fill, slots_of
from tradewright.explain.state import ACTIONS, State
from tradewright.explain.writer import explain


@pytest.fixture(scope="module")
def states(panel_of: Callable[..., Panel]) -> tuple[State, ...]:
    return decided(panel_of(420, 2, seed=3), first=100)


def test_filled_slots_give_the_text_with_figures(states: tuple[State, ...]) -> None:
    for seed, state in enumerate(states[:200]):
        slotted = explain(state, seed, has_slots=True)
        assert fill(slotted, [state]) == explain(state, seed)
        assert not re.search(r"\d[.,]\d", slotted)  # no figure is written out


def test_slots_of_a_commentary_are_filled_by_instrument(states: tuple[State, ...]) -> None:
    for seed, market in enumerate(market_states(states)[:100]):
        slotted = write_commentary(market, seed, has_slots=True)
        assert "{close}" in slotted
        assert "{close:2}" in slotted
        assert fill(slotted, market.states) == write_commentary(market, seed)


def test_every_figure_has_a_slot_and_words_have_none(states: tuple[State, ...]) -> None:
    slots = slots_of(states[-1], np.random.default_rng(0))
    assert {name for name, text in slots.items() if SLOT.fullmatch(text)} == set(figures_of(states[-1]))
    assert slots["rsi_14"] == "{rsi_14}"
    assert slots["return_5_sign"] in ("positive", "negative")


def test_what_nothing_fills_stays_and_is_a_fault(states: tuple[State, ...]) -> None:
    state = replace(states[-1], indicators={n: v for n, v in states[-1].indicators.items() if n != "rsi_14"})
    text = fill("RSI(14) is {rsi_14} and ATR(14) is {atr_14} of the price.", [state])
    assert "{rsi_14}" in text
    assert "{atr_14}" not in text
    found = check(text, state)
    assert any("'{rsi_14}'" in fault for fault in found.faults)
    assert found.ungrounded_numbers == 1
    assert fill("{close:3} and {nothing}", [state]) == "{close:3} and {nothing}"


def test_fact_sheet_says_what_is_so(states: tuple[State, ...]) -> None:
    for state in states:
        assert not check(describe(state), state).faults
        assert state.action not in describe(state, has_decision=False)


def test_fact_sheet_of_a_bar_that_did_not_move_takes_no_side(states: tuple[State, ...]) -> None:
    still = {**states[0].indicators, "return_1": 0.0, "sma_20_distance": 0.0, "sma_20": states[0].close}
    sheet = describe(replace(states[0], indicators=still))
    assert "1-day return: 0.00%, zero" in sheet
    assert "the close is 0.00% at its 20-day average" in sheet


@pytest.mark.row("T5")
def test_examples_that_name_their_figures_are_true_and_graded_filled(states: tuple[State, ...]) -> None:
    source = Explanations(num_samples=60, figures="filled")
    sets = source.sets(states)
    assert source.checks(sets).is_faithful == 1
    assert "filled in from the log" in sets.note
    for example in sets.test:
        assert SLOT.search(example.completion)
        shown = source.render(example, example.completion)
        assert not SLOT.search(shown)
        grades = grade_text(example, example.completion)
        assert grades == grade_text(example, shown)
        assert grades["faithful"] == 1
        assert source.stated(example, example.completion, ACTIONS) == example.label
        false = example.completion.replace("above", "below").replace("holds", "sells").replace("rose", "fell")
        if false != example.completion:
            assert grade_text(example, false)["faithful"] == 0


def test_examples_read_from_a_file_are_shown_filled(states: tuple[State, ...], tmp_path) -> None:
    from tradewright.examples.explanations import write_sets

    train, _ = write_sets(Explanations(num_samples=60, figures="filled").sets(states), tmp_path)
    source = JsonExamples(path=str(train))
    example = source.read(None).train[0]
    assert SLOT.search(example.completion)
    assert not SLOT.search(source.render(example, example.completion))
