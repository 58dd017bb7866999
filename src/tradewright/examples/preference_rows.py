"""Pairs of answers from JSON, JSONL or Parquet files, by the field names that others use too.

A row has ``chosen`` and ``rejected`` and either

* ``prompt``: a text, or a list of messages ``{"role", "content"}``; the answers are texts, or lists of one message of
  the assistant;
* or no prompt: both answers are whole conversations, which differ in their last message alone;

and optional ``id``, ``known_at`` (ISO, naive UTC), ``label``, ``kind``, ``split`` (train, validation or test),
``facts`` and ``source`` (who prefers). A row of the test split may be a prompt with one answer, as ``rows.py`` reads
it: it is judged by what a model answers. Every error names file and row.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tradewright.errors import DataError
from tradewright.examples.example import Messages, Preference
from tradewright.examples.rows import Row, facts_of, messages_of, prompt_of, read_values, require_keys, to_example

KEYS = ("id", "prompt", "chosen", "rejected", "known_at", "label", "kind", "split", "facts", "source")
ANSWERS = ("chosen", "rejected")
SUFFIXES = (".parquet", ".pq")


def read_preferences(path: Path, *, time_column: str = "known_at", kind: str = "answer") -> list[Row]:
    """Read a file of pairs.

    Args:
        path: The file.
        time_column: Key of the time at which everything in the prompt was known.
        kind: Of rows that name none.

    Raises:
        DataError: The file is missing, empty or malformed; names file and row.
    """
    values = _read_parquet(path) if path.suffix.lower() in SUFFIXES else read_values(path)
    return [_row(value, place, path.stem, number, time_column, kind) for number, place, value in values]


def _row(value: Any, place: str, stem: str, number: int, time_column: str, kind: str) -> Row:
    is_pair = isinstance(value, Mapping) and any(key in value for key in ANSWERS)
    if not is_pair:
        if isinstance(value, Mapping) and value.get("split") == "test":
            return to_example(value, place, stem, number, time_column, kind)
        found = f"keys {', '.join(map(str, value))}" if isinstance(value, Mapping) else type(value).__name__
        raise DataError(
            f"{place}: expected prompt, chosen and rejected, found {found}; a row with one answer is only judged, with"
            " split test"
        )
    require_keys(value, place, (*KEYS, time_column))
    missing = [key for key in ANSWERS if key not in value]
    if missing:
        raise DataError(f"{place}: no {missing[0]}; a pair has a chosen and a rejected answer")
    prompt, chosen, rejected = _pair(value, place)
    for key, text in zip(ANSWERS, (chosen, rejected), strict=True):
        if not text.strip():
            raise DataError(f"{place}: {key} is empty; fill it in or remove the row")
    if chosen.strip() == rejected.strip():
        raise DataError(f"{place}: chosen and rejected are the same text; remove the row")
    source = value.get("source") or "file"
    if not isinstance(source, str):
        raise DataError(f"{place}: source must be a text, was {source!r}")
    facts = facts_of(value, place, f"{stem}-{number}", time_column, kind)
    split = facts.pop("split")
    example = Preference(prompt=prompt, completion=chosen, rejected=rejected, source=source, **facts)
    return Row(example=example, split=split, place=place, has_id="id" in value)


def _pair(value: Mapping[str, Any], place: str) -> tuple[Messages, str, str]:
    """Return the prompt and both answers."""
    if value.get("prompt") is not None:
        chosen, rejected = (_answer(value[key], place, key) for key in ANSWERS)
        return prompt_of(value["prompt"], place), chosen, rejected
    both = []
    for key in ANSWERS:
        if isinstance(value[key], str):
            raise DataError(f"{place}: no prompt; without one, {key} must be a whole conversation, was a text")
        messages = messages_of(value[key], place)
        if len(messages) < 2 or messages[-1]["role"] != "assistant":
            raise DataError(f"{place}: no prompt; without one, {key} must end with a question and its answer")
        both.append(messages)
    if both[0][:-1] != both[1][:-1]:
        raise DataError(f"{place}: chosen and rejected answer different conversations; they must share the prompt")
    return prompt_of([dict(one) for one in both[0][:-1]], place), both[0][-1]["content"], both[1][-1]["content"]


def _answer(value: Any, place: str, key: str) -> str:
    if isinstance(value, str):
        return value
    messages = messages_of(value, place)
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise DataError(f"{place}: {key} must be a text or one message of the assistant")
    return messages[0]["content"]


def _read_parquet(path: Path) -> list[tuple[int, str, Any]]:
    """Return number, place and content of every row; empty cells are left out, times are ISO texts."""
    import duckdb

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with duckdb.connect() as connection:
            found = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
            names = [column[0] for column in found.description or ()]
            rows = found.fetchall()
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        raise DataError(f"{path.name}: cut off or no Parquet file ({str(error).splitlines()[0]})") from None
    if not rows:
        raise DataError(f"{path.name}: holds no example")
    return [
        (number, f"{path.name} row {number}", {k: _plain(v) for k, v in zip(names, row, strict=True) if v is not None})
        for number, row in enumerate(rows, start=1)
    ]


def _plain(value: Any) -> Any:
    """Return a cell as JSON would have it."""
    if hasattr(value, "isoformat"):
        return str(np.datetime64(value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value, "us"))
    return value
