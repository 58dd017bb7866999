"""Scripted conversations and how their answers are rated from 1 to 5, by formulas.

* relevance: 1 + 4 times the share that holds of: the question was understood; its kind is the expected one; the answer
  cites the expected decision; it says every expected word;
* accuracy: 1 + 4 times the share of true claims; answers from figures of the run, which hold no claim of a moment, are
  exact by construction and score 5; so do refusals that were expected;
* helpfulness: 1, and 1 more for each of: a source is cited (decision or range); a figure is given; it has 6 to 150
  words; it answers in the first sentence (names the day, the decision or the range);
* conversation: 1 + 4 times the mean of language quality (as for explanations, scaled to 0 to 1) and whether what the
  question leaves out was taken from the turn before (where it leaves nothing out: true).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tradewright.errors import DataError, suggest
from tradewright.explain.answers import Answer, Ask, Chat, DecisionTools
from tradewright.explain.questions import CATEGORIES
from tradewright.explain.scores import language_quality
from tradewright.explain.sheet import Write

RATINGS = ("relevance", "accuracy", "helpfulness", "conversation")
KEYS = ("ask", "category", "cites", "says", "is_refused")
SHORTEST, LONGEST = 6, 150


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One scripted question and what its answer must have.

    Args:
        ask: The question.
        category: Expected kind of question.
        cites: Id of the decision that must be cited; empty: any or none.
        says: Words that the answer must hold.
        is_refused: Whether the guard must refuse it.
    """

    ask: str
    category: str = ""
    cites: str = ""
    says: tuple[str, ...] = ()
    is_refused: bool = False


@dataclass(frozen=True, kw_only=True)
class Rated:
    """One answer with its ratings."""

    session: str
    turn: Turn
    answer: Answer
    ratings: Mapping[str, float]
    is_as_expected: bool


def read_sessions(path: Path) -> dict[str, tuple[Turn, ...]]:
    """Read scripted sessions from YAML: name -> list of turns; a turn is a question, or an object with ``KEYS``.

    Raises:
        DataError: The file is missing or malformed; names file, session and turn.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not valid YAML ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"{path.name}: expected sessions by name, each a list of turns")
    found = {}
    for name, turns in content.items():
        if not isinstance(turns, list) or not turns:
            raise DataError(f"{path.name}: session {name!r} must be a list of turns")
        found[str(name)] = tuple(
            _turn(turn, f"{path.name}: session {name!r} turn {number}") for number, turn in enumerate(turns, start=1)
        )
    return found


def _turn(value: Any, place: str) -> Turn:
    if isinstance(value, str):
        return Turn(ask=value)
    if not isinstance(value, Mapping) or not isinstance(value.get("ask"), str):
        raise DataError(f"{place}: expected a question, or an object with ask")
    for key in value:
        if key not in KEYS:
            raise DataError(f"{place}: unknown key {key!r}{suggest(str(key), KEYS)}")
    category = str(value.get("category", ""))
    if category and category not in CATEGORIES:
        raise DataError(f"{place}: category must be one of {', '.join(CATEGORIES)}, was {category!r}")
    says = value.get("says", [])
    if not isinstance(says, list):
        raise DataError(f"{place}: says must be a list of words")
    return Turn(
        ask=value["ask"],
        category=category,
        cites=str(value.get("cites", "")),
        says=tuple(str(word) for word in says),
        is_refused=bool(value.get("is_refused", False)),
    )


def run_sessions(
    sessions: Mapping[str, Iterable[Turn]],
    tools: DecisionTools,
    *,
    write: Write | None = None,
    num_tries: int = 3,
    trained_prompt: Ask | None = None,
) -> list[Rated]:
    """Hold every session in a conversation of its own."""
    found = []
    for name, turns in sessions.items():
        chat = Chat(tools=tools, write=write, num_tries=num_tries, trained_prompt=trained_prompt)
        for turn in turns:
            answer = chat.ask(turn.ask)
            found.append(
                Rated(
                    session=name,
                    turn=turn,
                    answer=answer,
                    ratings=rate(answer, turn),
                    is_as_expected=all(_expectations(answer, turn)),
                )
            )
    return found


def _expectations(answer: Answer, turn: Turn) -> list[bool]:
    if turn.is_refused or answer.is_refused:
        return [answer.is_refused == turn.is_refused]
    found = [answer.question.intent != "unknown"]
    if turn.category:
        found.append(answer.question.category == turn.category)
    if turn.cites:
        found.append(turn.cites in answer.ids and turn.cites in answer.text)
    return [*found, *(word.lower() in answer.text.lower() for word in turn.says)]


def rate(answer: Answer, turn: Turn) -> dict[str, float]:
    """Return the four ratings of an answer."""
    expected = _expectations(answer, turn)
    words = len(answer.text.split())
    first = re.split(r"(?<=[.!?])\s", answer.text)[0]
    has_source = any(id in answer.text for id in answer.ids) or any(call.name == "performance" for call in answer.calls)
    precision = 1.0 if answer.facts is None or not answer.facts.checked else answer.facts.claim_precision
    is_right_refusal = answer.is_refused and turn.is_refused
    leans = answer.question.is_follow_up
    is_resolved = not leans or bool(answer.calls)
    helpful = [
        has_source,
        re.search(r"\d", answer.text) is not None,
        SHORTEST <= words <= LONGEST,
        re.search(r"\d{4}-\d{2}-\d{2}|\d{8}|range", first) is not None,
    ]
    return {
        "relevance": 1.0 + 4.0 * float(np.mean(expected)),
        "accuracy": 5.0 if is_right_refusal else 1.0 + 4.0 * precision,
        "helpfulness": 5.0 if is_right_refusal else 1.0 + sum(helpful),
        "conversation": 1.0 + 2.0 * ((language_quality(answer.text) - 1.0) / 4.0 + is_resolved),
    }


def mean_ratings(rated: Sequence[Rated]) -> dict[str, float]:
    """Return the mean of every rating, and of all."""
    means = {name: float(np.mean([one.ratings[name] for one in rated])) for name in RATINGS}
    return {**means, "mean": float(np.mean(list(means.values())))}


def ratings_by_category(rated: Sequence[Rated]) -> dict[str, dict[str, float]]:
    """Return the mean ratings of each kind of question that occurred."""
    found: dict[str, dict[str, float]] = {}
    for category in CATEGORIES:
        own = [one for one in rated if one.answer.question.category == category and not one.answer.is_refused]
        if own:
            found[category] = mean_ratings(own)
    return found
