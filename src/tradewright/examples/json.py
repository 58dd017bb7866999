"""``examples=json``: any prompts and answers from JSON or JSONL files; the schema is in ``rows.py``.

Rows that name their ``split`` keep it; otherwise all rows are cut by time, or in the order of the files where they have
no time. What ``task=generate_data`` wrote loads back equal.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from tradewright.errors import DataError
from tradewright.examples.example import Example, ExampleSets
from tradewright.examples.rows import SPLITS, Row, read_rows, to_row
from tradewright.examples.source import Market
from tradewright.explain.grades import grade_text, render, stated


class JsonExamples:
    """Reads examples of your own.

    Args:
        path: A file, or several; required.
        time_column: Key of the time at which everything in the prompt was known.
        train: Fraction of the rows that fit, in (0, 1), where rows name no split.
        validation: Fraction that chooses, in (0, 1); the rest is test.
        kind: Of rows that name none.
        name: Of the data set, for reports; None: that of the first file.

    Raises:
        ValueError: A value is out of range.
    """

    needs_market: ClassVar[bool] = False

    def __init__(
        self,
        *,
        path: str | list[str] | None = None,
        time_column: str = "known_at",
        train: float = 0.8,
        validation: float = 0.1,
        kind: str = "answer",
        name: str | None = None,
    ) -> None:
        paths = [path] if isinstance(path, str) else list(path or ())
        if not paths:
            raise ValueError("path must name at least one file, was null; e.g. examples.path=pairs.jsonl")
        check_fractions(train, validation)
        self.paths = tuple(Path(entry).expanduser() for entry in paths)
        self.time_column, self.kind = time_column, kind
        self.train, self.validation = train, validation
        self.name = name or self.paths[0].stem

    def read(self, market: Market | None = None) -> ExampleSets:
        """Read and cut.

        Raises:
            DataError: A file or row is malformed, only some rows name a split or time, or the sets overlap.
        """
        rows = self._rows()
        named = [row for row in rows if row.split is not None]
        if named and len(named) < len(rows):
            other = next(row for row in rows if row.split is None)
            raise DataError(f"{other.place}: no split, but {named[0].place} has one; give it to all rows or to none")
        if named:
            parts = {split: [row.example for row in rows if row.split == split] for split in SPLITS}
        else:
            parts = self._cut(rows)
        return sets_of(parts, name=self.name)

    def grade(self, example: Example, text: str) -> Mapping[str, float]:
        """Grade a written answer by the facts that its row carries; see ``explain.grades``."""
        return grade_text(example, text)

    def render(self, example: Example, text: str) -> str:
        """Return a written answer as people read it; see ``explain.grades``."""
        return render(example, text)

    def stated(self, example: Example, text: str, labels: Sequence[str]) -> str | None:
        """Return the label that a written answer states; see ``explain.grades``."""
        return stated(example, text, labels)

    def _rows(self) -> Sequence[Row]:
        return [row for path in self.paths for row in read_rows(path, time_column=self.time_column, kind=self.kind)]

    def _cut(self, rows: Sequence[Row]) -> dict[str, list[Example]]:
        timed = [row for row in rows if row.example.known_at is not None]
        if timed and len(timed) < len(rows):
            other = next(row for row in rows if row.example.known_at is None)
            raise DataError(f"{other.place}: no {self.time_column}, but {timed[0].place} has one; give it to all rows")
        examples = [row.example for row in rows]
        if timed:
            examples.sort(key=_when)
        first = later_time(examples, int(len(examples) * self.train + 0.5))
        second = later_time(examples, max(first, int(len(examples) * (self.train + self.validation) + 0.5)))
        return {"train": examples[:first], "validation": examples[first:second], "test": examples[second:]}


def _when(example: Example) -> np.datetime64:
    assert example.known_at is not None
    return example.known_at


def later_time(examples: Sequence[Example], cut: int) -> int:
    """Return the cut, moved on until no time lies on both of its sides."""
    while 0 < cut < len(examples) and examples[cut].known_at is not None:
        if examples[cut].known_at != examples[cut - 1].known_at:
            break
        cut += 1
    return cut


def check_fractions(train: float, validation: float) -> None:
    """Refuse fractions that leave nothing for a set.

    Raises:
        ValueError: The message starts with the argument's name.
    """
    for name, value in (("train", train), ("validation", validation)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must be a fraction in (0, 1), was {value}")
    if train + validation >= 1:
        raise ValueError(f"validation must leave rows for test: {train} + {validation} must be < 1")


def sets_of(parts: dict[str, list[Example]], *, name: str, is_synthetic: bool = False, note: str = "") -> ExampleSets:
    """Return sets with the fingerprint of their content."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for example in parts[split]:
            digest.update(json.dumps(to_row(example, split), sort_keys=True).encode() + b"\n")
    train, validation, test = (tuple(parts[split]) for split in SPLITS)
    return ExampleSets(
        train=train,
        validation=validation,
        test=test,
        fingerprint=digest.hexdigest()[:16],
        name=name,
        is_synthetic=is_synthetic,
        note=note,
    )
