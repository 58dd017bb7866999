"""What a training changed in what a language model writes: the same prompts before and after, compared in pairs.

Each prompt is answered by both, so what makes a prompt easy cancels in the difference. True claims have a control: the
same text held against the facts of another prompt. A model that learns to say what is mostly true anywhere gains as
much there as on its own prompts, and has learnt nothing about reading them. Legend: M prompts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tradewright.evaluate.evidence import Interval
from tradewright.evaluate.intervals import mean_interval
from tradewright.evaluate.language import Answered, Grade

START = "start"
"""Kind of the evidence that the answers of the untrained model are, and its name among baselines."""
LENGTH = "characters"
"""Mean length of an answer, which preference training tends to change."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One figure of the answers before and after, with intervals.

    Args:
        name: Of the grade.
        num: Prompts of which both answers have it.
        before: Its mean.
        after: Its mean.
        change: Of the paired differences, after less before.
    """

    name: str
    num: int
    before: Interval
    after: Interval
    change: Interval

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the interval of the change excludes 0."""
        return self.change.low > 0 or self.change.high < 0


TRUE = "claim_precision"
ELSEWHERE = "claim_precision_elsewhere"
"""True claims of answers, held against the facts of their own prompt, and of another one of the same kind."""


def with_control(answers: Sequence[Answered], grade: Grade | None) -> tuple[Answered, ...]:
    """Return answers with ``ELSEWHERE`` beside ``TRUE``, where they have it and their kind has another prompt.

    Args:
        answers: In the order of their prompts; each is held against the prompt half of its kind further on.
        grade: Of the examples.
    """
    places: dict[str, list[int]] = {}
    for place, one in enumerate(answers):
        if TRUE in one.grades:
            places.setdefault(one.example.kind, []).append(place)
    found = list(answers)
    for group in places.values():
        for number, place in enumerate(group if grade is not None and len(group) > 1 else ()):
            one, other = answers[place], answers[group[(number + len(group) // 2) % len(group)]]
            assert grade is not None
            value = grade(other.example, one.drawn)[TRUE]
            found[place] = replace(one, grades={**one.grades, ELSEWHERE: value})
    return tuple(found)


def find_changes(
    before: Sequence[Answered], after: Sequence[Answered], *, num_resamples: int, confidence: float, seed: int
) -> tuple[Change, ...]:
    """Return the change of every grade, and of the length.

    Args:
        before: Answers of the model as it started.
        after: Answers of the trained model to the same prompts, in the same order.
        num_resamples: Of the bootstrap.
        confidence: Of the intervals.
        seed: Of the bootstrap.

    Raises:
        ValueError: The prompts differ.
    """
    if [one.example.id for one in before] != [one.example.id for one in after]:
        raise ValueError("before and after must answer the same prompts in the same order")
    names = sorted({name for one in (*before, *after) for name in one.grades})
    found = []
    for name in (*names, LENGTH):
        pair_M2 = np.array([[_figure(one, name) for one in both] for both in zip(before, after, strict=True)])
        pair_M2 = pair_M2[np.isfinite(pair_M2).all(axis=1)] if len(pair_M2) else np.empty((0, 2))
        if len(pair_M2):
            columns = (pair_M2[:, 0], pair_M2[:, 1], pair_M2[:, 1] - pair_M2[:, 0])
            first, second, change = (mean_interval(values_M, num_resamples, confidence, seed) for values_M in columns)
            found.append(Change(name=name, num=len(pair_M2), before=first, after=second, change=change))
    return tuple(found)


def _figure(one: Answered, name: str) -> float:
    return float(len(one.text)) if name == LENGTH else float(one.grades.get(name, np.nan))


def change_metrics(changes: Sequence[Change]) -> dict[str, float]:
    """Return the changes as figures: ``baseline/start/<name>``, ``change/<name>`` and its bounds."""
    found = {}
    for one in changes:
        found[f"baseline/{START}/{one.name}"] = one.before.value
        found[f"change/{one.name}"] = one.change.value
        found[f"change/{one.name}_low"], found[f"change/{one.name}_high"] = one.change.low, one.change.high
    return found
