"""The sheet on which people, or a judge model, score texts beside the formulas, and how it is read back."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tradewright.errors import DataError
from tradewright.examples.example import Message, Messages
from tradewright.explain.scores import CRITERIA, Score
from tradewright.output import write_text

Write = Callable[[Sequence[Messages]], list[str]]
"""Answers prompts: a language model."""
HEAD = ("id", "text", *(f"auto_{name}" for name in CRITERIA), *(f"human_{name}" for name in CRITERIA), "comment")
LOWEST, HIGHEST = 1, 5


@dataclass(frozen=True, kw_only=True)
class HumanScore:
    """What a person gave a text; criteria that were left empty are absent."""

    id: str
    values: Mapping[str, float]
    comment: str


def write_sheet(path: Path, scores: Sequence[Score]) -> None:
    """Write the sheet as CSV: our scores, and empty columns for a person's."""
    write_texts(path, [(one.id, one.text, one.values) for one in scores])


def write_texts(path: Path, texts: Sequence[tuple[str, str, Mapping[str, float]]]) -> None:
    """Write a sheet of texts.

    Args:
        path: The file.
        texts: Id, text, and our scores by criterion; the column of one that is absent stays empty.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(HEAD)
    for name, text, values in texts:
        automatic = [f"{values[criterion]:.2f}" if criterion in values else "" for criterion in CRITERIA]
        writer.writerow([name, _harmless(text), *automatic, *[""] * (len(CRITERIA) + 1)])
    write_text(path, buffer.getvalue())


def _harmless(text: str) -> str:
    """Keep spreadsheets from reading a text as a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def read_sheet(path: Path, ids: Sequence[str]) -> tuple[HumanScore, ...]:
    """Read what people filled in; rows without any score are left out.

    Args:
        path: The sheet.
        ids: Texts that exist.

    Raises:
        DataError: The file, a column, an id or a score is wrong; names file and row.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason}); save the sheet as CSV UTF-8") from None
    reader = csv.DictReader(io.StringIO(text))
    missing = [
        name for name in ("id", *(f"human_{name}" for name in CRITERIA)) if name not in (reader.fieldnames or ())
    ]
    if missing:
        raise DataError(f"{path.name}: no column '{missing[0]}' in the header")
    found: dict[str, HumanScore] = {}
    for number, row in enumerate(reader, start=2):
        place = f"{path.name} row {number}"
        if row["id"] not in ids:
            raise DataError(f"{place}: id {row['id']!r} is none of the explanations")
        if row["id"] in found:
            raise DataError(f"{place}: id {row['id']!r} was there before; keep one of them")
        values = {
            name: _score(row[f"human_{name}"], f"{place}: human_{name}") for name in CRITERIA if row[f"human_{name}"]
        }
        if values:
            found[row["id"]] = HumanScore(id=row["id"], values=values, comment=row.get("comment") or "")
    return tuple(found.values())


def _score(text: str, place: str) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        raise DataError(f"{place} must be a number from 1 to 5, was {text!r}") from None
    if not LOWEST <= value <= HIGHEST:
        raise DataError(f"{place} must be from 1 to 5, was {text}")
    return value


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Scores of a judge model by id, and how many of its answers could not be read; those are left out, not guessed."""

    values: Mapping[str, Mapping[str, float]]
    num_unreadable: int


def ask_judge(write: Write, scores: Sequence[Score], facts: Mapping[str, str]) -> Judged:
    """Let a language model score texts.

    Args:
        write: The judge.
        scores: The texts.
        facts: What was known, by id, as prompts tell it.
    """
    answers = write([_judge_prompt(one, facts[one.id]) for one in scores])
    found, unreadable = {}, 0
    for one, answer in zip(scores, answers, strict=True):
        values = read_judgement(answer)
        if values is None:
            unreadable += 1
        else:
            found[one.id] = values
    return Judged(values=found, num_unreadable=unreadable)


def _judge_prompt(one: Score, facts: str) -> Messages:
    names = ", ".join(CRITERIA)
    system = f"You grade explanations of trading decisions. Answer with one JSON object: {names}, each 1 to 5."
    return (
        Message(role="system", content=system),
        Message(role="user", content=f"Facts:\n{facts}\n\nExplanation:\n{one.text}"),
    )


def read_judgement(answer: str) -> dict[str, float] | None:
    """Return the five scores of an answer; None where it does not hold exactly one such object."""
    objects = re.findall(r"\{[^{}]*\}", answer)
    if len(objects) != 1:
        return None
    try:
        content = json.loads(objects[0])
    except json.JSONDecodeError:
        return None
    values = {name: content.get(name) for name in CRITERIA}
    if any(
        isinstance(v, bool) or not isinstance(v, int | float) or not LOWEST <= v <= HIGHEST for v in values.values()
    ):
        return None
    return {name: float(value) for name, value in values.items()}
