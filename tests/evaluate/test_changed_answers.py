"""Answers before and after a training: paired intervals, and the control that exposes what is true anywhere."""

from collections.abc import Mapping

import numpy as np
import pytest

from tradewright.evaluate.changed_answers import ELSEWHERE, TRUE, change_metrics, find_changes, with_control
from tradewright.evaluate.language import Answered
from tradewright.examples.example import Example
from tradewright.report.sections import answer_changes

NUM = 40
OPTIONS = {"num_resamples": 500, "confidence": 0.95, "seed": 0}


def example(number: int) -> Example:
    return Example(id=str(number), prompt=({"role": "user", "content": "?"},), completion=str(number))


def grade(example: Example, text: str) -> Mapping[str, float]:
    """A claim is true where it names the example, or is the platitude."""
    claims = text.split()
    return {TRUE: float(np.mean([claim in (example.id, "sure") for claim in claims])) if claims else float("nan")}


def answered(texts: list[str]) -> tuple[Answered, ...]:
    made = [Answered(example(n), text, grade(example(n), text), text, str(n)) for n, text in enumerate(texts)]
    return with_control(made, grade)


@pytest.mark.row("T46")
def test_platitudes_gain_on_other_prompts_too_and_reading_does_not() -> None:
    before = answered(["wrong"] * NUM)
    platitudes = {one.name: one for one in find_changes(before, answered(["sure"] * NUM), **OPTIONS)}
    assert platitudes[TRUE].change.value == platitudes[ELSEWHERE].change.value == 1.0
    read = {one.name: one for one in find_changes(before, answered([str(n) for n in range(NUM)]), **OPTIONS)}
    assert read[TRUE].change.value == 1.0
    assert read[ELSEWHERE].change.value == 0.0
    assert not read[ELSEWHERE].is_beyond_chance
    told = " ".join(answer_changes.headline(tuple(read.values())))
    assert "True claims: 0.00% before, 100.00% after" in told
    assert (
        "True claims of another prompt's facts: 0.00% before, 0.00% after (change 0.00% (0.00% to 0.00%), not" in told
    )


def test_a_change_is_that_of_the_pairs_and_what_has_no_claim_is_left_out() -> None:
    rng = np.random.default_rng(0)
    before = [f"{n if rng.random() < 0.5 else 'x'} x" for n in range(NUM)]
    after = ["" if n == 0 else f"{text} sure" for n, text in enumerate(before)]
    changes = {one.name: one for one in find_changes(answered(before), answered(after), **OPTIONS)}
    own = changes[TRUE]
    assert own.num == NUM - 1
    expected = [
        grade(example(n), two)[TRUE] - grade(example(n), one)[TRUE]
        for n, (one, two) in enumerate(zip(before, after, strict=True))
        if n
    ]
    assert own.change.value == pytest.approx(np.mean(expected))
    assert own.change.low <= own.change.value <= own.change.high
    assert own.is_beyond_chance
    metrics = change_metrics(tuple(changes.values()))
    assert metrics[f"change/{TRUE}"] == own.change.value
    assert metrics[f"baseline/start/{TRUE}"] == own.before.value
    assert metrics["change/characters"] == pytest.approx(
        np.mean(list(map(len, after))) - np.mean(list(map(len, before)))
    )


def test_other_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="the same prompts in the same order"):
        find_changes(answered(["a", "b"]), answered(["a"]), **OPTIONS)
