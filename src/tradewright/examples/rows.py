"""Examples as JSON: one schema for what ``task=generate_data`` writes, what people edit and what users bring.

A row is an object with

* the prompt: ``prompt`` (a text, or a list of messages ``{"role", "content"}``), or ``instruction`` with an optional
  ``input`` below it, or ``messages`` (a conversation whose last message is the answer);
* the answer: ``completion`` or ``output`` (with ``messages``: none);
* optional ``id``, ``known_at`` (ISO, naive UTC), ``label``, ``kind``, ``split`` (train, validation or test), ``facts``.

A file is a JSON array of rows or one row per line. Every error names file and row.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tradewright.errors import DataError, suggest
from tradewright.examples.example import Example, Message, Messages, Preference
from tradewright.output import write_text

SPLITS = ("train", "validation", "test")
ROLES = ("system", "user", "assistant")
KEYS = (
    "id", "prompt", "completion", "instruction", "input", "output", "messages", "known_at", "label", "kind", "split",
    "facts",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a file.

    Args:
        example: What it holds.
        split: The range that it names; None: none.
        place: File and row, for errors.
        has_id: Whether the id is the row's own.
    """

    example: Example
    split: str | None
    place: str
    has_id: bool


def read_rows(path: Path, *, time_column: str = "known_at", kind: str = "answer") -> list[Row]:
    """Read a JSON or JSONL file.

    Args:
        path: The file.
        time_column: Key of the time at which everything in the prompt was known.
        kind: Of rows that name none.

    Raises:
        DataError: The file is missing, empty or malformed; names file and row.
    """
    return [
        to_example(value, place, path.stem, number, time_column, kind) for number, place, value in read_values(path)
    ]


def read_values(path: Path) -> list[tuple[int, str, Any]]:
    """Return number, place and content of every row of a JSON or JSONL file.

    Raises:
        DataError: The file is missing, empty or no JSON; names file and row.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    found = list(_values(text, path.name))
    if not found:
        raise DataError(f"{path.name}: holds no example")
    return found


def _values(text: str, file: str) -> Iterable[tuple[int, str, Any]]:
    if text.lstrip().startswith("["):
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(f"{file} line {error.lineno}: not valid JSON ({error.msg})") from None
        yield from ((number, f"{file} row {number}", value) for number, value in enumerate(values, start=1))
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                yield number, f"{file} row {number}", json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{file} row {number}: not valid JSON ({error.msg})") from None


def to_example(value: Any, place: str, stem: str, number: int, time_column: str, kind: str) -> Row:
    """Return the row of one prompt and its answer; see ``read_rows``.

    Args:
        value: Its content.
        place: File and row, for errors.
        stem: Of the file, for the id of a row that has none.
        number: Of the row, likewise.
        time_column: Key of the time.
        kind: Of a row that names none.

    Raises:
        DataError: It is malformed.
    """
    require_keys(value, place, (*KEYS, time_column))
    prompt, completion = _prompt_and_answer(value, place)
    if not completion.strip():
        raise DataError(f"{place}: the answer is empty; fill it in or remove the row")
    facts = facts_of(value, place, f"{stem}-{number}", time_column, kind)
    split = facts.pop("split")
    example = Example(prompt=prompt, completion=completion, **facts)
    return Row(example=example, split=split, place=place, has_id="id" in value)


def require_keys(value: Any, place: str, keys: Sequence[str]) -> None:
    """Refuse a row that is no object or has another key.

    Raises:
        DataError: It is so.
    """
    if not isinstance(value, Mapping):
        raise DataError(f"{place}: expected an object, was {type(value).__name__}")
    for key in value:
        if key not in keys:
            raise DataError(f"{place}: unknown key {key!r}{suggest(str(key), keys)}")


def facts_of(value: Mapping[str, Any], place: str, name: str, time_column: str, kind: str) -> dict[str, Any]:
    """Return id, time, label, kind, facts and split of a row, whatever its answers are.

    Args:
        value: Its content.
        place: File and row, for errors.
        name: The id of a row that has none.
        time_column: Key of the time.
        kind: Of a row that names none.

    Raises:
        DataError: One of them is malformed.
    """
    split = value.get("split")
    if split is not None and split not in SPLITS:
        raise DataError(f"{place}: split must be one of {', '.join(SPLITS)}, was {split!r}")
    facts = value.get("facts") or {}
    if not isinstance(facts, Mapping):
        raise DataError(f"{place}: facts must be an object, was {type(facts).__name__}")
    label = value.get("label")
    return {
        "id": str(value.get("id", name)),
        "known_at": _time(value.get(time_column), place, time_column),
        "label": None if label is None else str(label),
        "kind": str(value.get("kind", kind)),
        "facts": dict(facts),
        "split": split,
    }


def _time(value: Any, place: str, key: str) -> np.datetime64 | None:
    if value is None:
        return None
    try:
        if not isinstance(value, str):
            raise ValueError("no text")
        found = np.datetime64(value, "us")
    except ValueError:
        raise DataError(f"{place}: {key} must be an ISO date and time in naive UTC, was {value!r}") from None
    if np.isnat(found):
        raise DataError(f"{place}: {key} must be an ISO date and time, was {value!r}")
    return found


def _text(value: Any, place: str, key: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{place}: {key} must be a text, was {type(value).__name__}")
    return value


def _prompt_and_answer(value: Mapping[str, Any], place: str) -> tuple[Messages, str]:
    forms = [key for key in ("prompt", "instruction", "messages") if key in value]
    if len(forms) != 1:
        found = " and ".join(forms) or "none"
        raise DataError(f"{place}: expected exactly one of prompt, instruction and messages, found {found}")
    if forms == ["messages"]:
        messages = messages_of(value["messages"], place)
        if len(messages) < 2 or messages[-1]["role"] != "assistant":
            raise DataError(f"{place}: messages must end with one of the assistant, which is the answer")
        return _ending_with_user(messages[:-1], place), messages[-1]["content"]
    answers = [key for key in ("completion", "output") if key in value]
    if len(answers) != 1:
        raise DataError(
            f"{place}: expected exactly one of completion and output, found {' and '.join(answers) or 'none'}"
        )
    answer = _text(value[answers[0]], place, answers[0])
    if forms == ["prompt"]:
        return prompt_of(value["prompt"], place), answer
    content = _text(value["instruction"], place, "instruction")
    if value.get("input"):
        content = f"{content}\n\n{_text(value['input'], place, 'input')}"
    return _question(content, place, "instruction"), answer


def prompt_of(value: Any, place: str) -> Messages:
    """Return the messages of a prompt: a text, or a list of messages that ends with the user's.

    Raises:
        DataError: It is neither.
    """
    if isinstance(value, str):
        return _question(value, place, "prompt")
    return _ending_with_user(messages_of(value, place), place)


def _question(content: str, place: str, key: str) -> Messages:
    if not content.strip():
        raise DataError(f"{place}: {key} is empty; fill it in or remove the row")
    return (Message(role="user", content=content),)


def _ending_with_user(messages: Messages, place: str) -> Messages:
    if not messages or messages[-1]["role"] != "user":
        raise DataError(f"{place}: the prompt must end with a message of the user")
    return messages


def messages_of(value: Any, place: str) -> Messages:
    """Return a list of messages.

    Raises:
        DataError: It is none.
    """
    if not isinstance(value, list):
        raise DataError(f"{place}: messages must be a list, was {type(value).__name__}")
    found = []
    for message in value:
        if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
            raise DataError(f"{place}: a message must have role and content, was {message!r:.80}")
        if message["role"] not in ROLES:
            raise DataError(f"{place}: role must be one of {', '.join(ROLES)}, was {message['role']!r}")
        found.append(Message(role=message["role"], content=_text(message["content"], place, "content")))
    return tuple(found)


def to_row(example: Example, split: str) -> dict[str, Any]:
    """Return an example as ``read_rows`` reads it, a preference as ``read_preferences`` does."""
    answers: dict[str, Any] = {"completion": example.completion}
    if isinstance(example, Preference):
        answers = {"chosen": example.completion, "rejected": example.rejected, "source": example.source}
    return {
        "id": example.id,
        "known_at": None if example.known_at is None else str(example.known_at.astype("datetime64[us]")),
        "kind": example.kind,
        "label": example.label,
        "split": split,
        "prompt": [dict(message) for message in example.prompt],
        **answers,
        "facts": dict(example.facts),
    }


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as a JSON array, one row per line, whole or not at all."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    write_text(path, f"[\n{lines}\n]\n")
