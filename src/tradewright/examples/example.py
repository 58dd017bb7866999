"""``Example``: a prompt and the answer it should get, what language models are fitted and judged on.

A prompt is a list of chat messages; only a tokenizer's chat template turns it into text, the same one in training and
in use. ``known_at`` is when everything in the prompt was known; sets are split by it, so that no answer teaches about
a time that is judged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import numpy as np

from tradewright.errors import DataError


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Messages = tuple[Message, ...]
"""A prompt: messages up to the one that is to be answered."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One prompt with its answer.

    Args:
        id: Unique in its set.
        prompt: What is asked; ends with a message of the user.
        completion: The answer, without any mark of its end.
        known_at: When everything in the prompt was known, naive UTC; None where time has no meaning.
        label: The decision that the answer states, e.g. BUY; None where it states none.
        kind: What is asked for, e.g. ``decision`` or ``explanation``; sets are mixed and judged by it.
        facts: What the answer can be checked against, JSON values.
    """

    id: str
    prompt: Messages
    completion: str
    known_at: np.datetime64 | None = None
    label: str | None = None
    kind: str = "answer"
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Preference(Example):
    """Two answers to one prompt, of which the ``completion`` is preferred.

    It is an example like any other whose answer is the preferred one, so it can be read, fitted and judged as such.

    Args:
        rejected: The other answer.
        source: Who prefers, e.g. ``edit`` or ``rating`` (people), ``check`` (the fact check) or ``file``.
    """

    rejected: str
    source: str = "file"


@dataclass(frozen=True, kw_only=True)
class ExampleSets:
    """Examples of the three ranges.

    Args:
        train: Fits.
        validation: Chooses.
        test: Scored once.
        fingerprint: Hex digest of their content.
        name: Of the data set, for reports.
        is_synthetic: Generated; every report says so.
        note: One sentence for reports; may be empty.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    fingerprint: str
    name: str
    is_synthetic: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse sets that share an example or overlap in time.

        Raises:
            DataError: An id occurs twice, or an earlier set reaches into a later one.
        """
        seen: set[str] = set()
        for example in (*self.train, *self.validation, *self.test):
            if example.id in seen:
                raise DataError(f"examples: id {example.id!r} occurs twice; every example needs its own")
            seen.add(example.id)
        for earlier, later, names in (
            (self.train, self.validation, "train and validation"),
            (self.validation, self.test, "validation and test"),
            (self.train, self.test, "train and test"),
        ):
            last, first = _newest(earlier), _oldest(later)
            if last is not None and first is not None and last >= first:
                raise DataError(
                    f"examples: {names} overlap in time ({last} is not before {first}); split them by known_at"
                )


def _newest(examples: Iterable[Example]) -> np.datetime64 | None:
    return max((one.known_at for one in examples if one.known_at is not None), default=None)


def _oldest(examples: Iterable[Example]) -> np.datetime64 | None:
    return min((one.known_at for one in examples if one.known_at is not None), default=None)
