"""Pairs of answers to one prompt: by what people rated, by what they edited, and by the fact check.

People win: of a prompt that they judged the fact check makes no pair. Grades and ratings are both means of criteria of
1 to 5, so a gap means the same. An edit is preferred to the text that it corrects.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tradewright.errors import DataError, suggest
from tradewright.examples.example import Example, Preference
from tradewright.examples.rows import Row
from tradewright.explain.grades import faults_of

EDIT, RATING, CHECK = "edit", "rating", "check"
SEPARATOR = "~"
"""Between the id of an example and what was made of it; last in the id of a pair, and of an answer."""
SOURCES = (EDIT, RATING, CHECK)
"""Who prefers: people who corrected a text, people who rated several, the fact check."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer that a model wrote.

    Args:
        id: Unique among all answers.
        example: What it answers.
        text: As written.
        grade: Of the fact check, 1 to 5; NaN where the example has no facts.
    """

    id: str
    example: Example
    text: str
    grade: float


def rated_pairs(answers: Iterable[Answer], ratings: Mapping[str, float]) -> list[Preference]:
    """Return best against worst of every prompt of which people rated several answers and not all alike.

    Args:
        answers: All of them.
        ratings: Mean rating by id of the answer.
    """
    rated = [replace(one, grade=ratings[one.id]) for one in answers if one.id in ratings]
    return ranked_pairs(rated, min_gap=0.0, source=RATING)


def ranked_pairs(answers: Iterable[Answer], *, min_gap: float, source: str = CHECK) -> list[Preference]:
    """Return the best against the worst answer of every prompt, where their grades differ.

    Args:
        answers: In the order of their prompts; the earlier of equals is taken.
        min_gap: Least difference of the two grades; a difference there must be in any case.
        source: Who graded.
    """
    by_prompt: dict[str, list[Answer]] = {}
    for one in answers:
        if one.text.strip():
            by_prompt.setdefault(one.example.id, []).append(one)
    found = []
    for group in by_prompt.values():
        best, worst = max(group, key=lambda one: one.grade), min(group, key=lambda one: one.grade)
        gap = best.grade - worst.grade
        if gap > 0 and gap >= min_gap and best.text.strip() != worst.text.strip():
            found.append(pair_of(best.example, best.text, worst.text, source))
    return found


def edited_pairs(
    rows: Sequence[Row], texts: Mapping[str, tuple[Example, str]], held_out: Iterable[str]
) -> list[Preference]:
    """Return edited texts against those that they correct.

    Args:
        rows: The edits; their ids are those of ``texts``.
        texts: What can be edited, by id: an answer, or the text that an example was generated with.
        held_out: Ids of the test part, for messages.

    Raises:
        DataError: An edit has no such id, occurs twice, changes nothing, or says what is not so; names file and row.
    """
    found: dict[str, Preference] = {}
    held_out = frozenset(held_out)
    for row in rows:
        name, text = row.example.id, row.example.completion
        if name in held_out:
            raise DataError(
                f"{row.place}: {name} belongs to the test part, which nothing is trained on; remove the row"
            )
        if not row.has_id or name not in texts:
            near = suggest(name, list(texts)[:2000])[:160] if row.has_id else ""
            raise DataError(f"{row.place}: an edit needs the id of the text that it corrects, was {name!r}{near}")
        example, before = texts[name]
        if name in found:
            raise DataError(f"{row.place}: {name} was edited before; keep one of them")
        if text.strip() == before.strip():
            raise DataError(f"{row.place}: {name}: the edit changes nothing; remove the row")
        faults = faults_of(example, text)
        if faults:
            raise DataError(f"{row.place}: {name}: {faults[0]}; correct the text")
        found[name] = replace(pair_of(example, text, before, EDIT), id=f"{example.id}{SEPARATOR}{EDIT}{len(found)}")
    return list(found.values())


def pair_of(example: Example, chosen: str, rejected: str, source: str) -> Preference:
    """Return a pair of answers to an example's prompt."""
    return Preference(
        id=f"{example.id}{SEPARATOR}{source}",
        prompt=example.prompt,
        completion=chosen,
        rejected=rejected,
        source=source,
        known_at=example.known_at,
        label=example.label,
        kind=example.kind,
        facts=example.facts,
    )


def example_of(pair: Preference) -> str:
    """Return the id of the example whose prompt a pair answers."""
    return pair.id.rpartition(SEPARATOR)[0]
