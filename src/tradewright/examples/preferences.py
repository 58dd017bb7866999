"""``examples=preferences``: pairs of answers of which one is preferred, by people or by the fact check.

A pair is an example whose answer is the preferred one (``Preference``), so reading by time, fingerprints, tables and
judging are those of ``examples=json``, and ``algorithm=sft`` can fit the preferred answers alone. Where the pairs come
from is none of this file's business: ``task=generate_pairs`` writes them from a trained language model's answers and
from what people rated and edited, and anybody else's file will do. Only it knows which part of a run a prompt belongs
to, and it keeps the test part apart: those rows have one answer and are judged once.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from tradewright.examples.example import ExampleSets, Preference
from tradewright.examples.json import JsonExamples
from tradewright.examples.preference_rows import read_preferences
from tradewright.examples.rows import Row
from tradewright.examples.source import Market

WHO = {"check": "the fact check", "edit": "people who corrected", "rating": "people who rated", "file": "not said"}
"""Sources of ``task=generate_pairs``, and that of rows which name none, for reports."""


class Preferences(JsonExamples):
    """Reads pairs.

    Args:
        path: A file, or several, JSON, JSONL or Parquet; None: those of ``run``.
        run: Run directory of the language model whose answers are compared, by ``task=generate_pairs``; None: the
            newest in ``outputs/trading_llm``, which is trained first where there is none.
        time_column: Key of the time at which everything in the prompt was known.
        train: Fraction of the rows that fit, in (0, 1), where rows name no split.
        validation: Fraction that chooses, in (0, 1); the rest is test.
        kind: Of rows that name none.
        name: Of the data set, for reports; None: that of the first file.
        is_synthetic: Whether the prompts are about generated bars; every report says so.

    Raises:
        ValueError: A value is out of range.
    """

    holds_pairs: ClassVar[bool] = True

    def __init__(
        self,
        *,
        path: str | list[str] | None = None,
        run: str | None = None,
        time_column: str = "known_at",
        train: float = 0.8,
        validation: float = 0.1,
        kind: str = "answer",
        name: str | None = None,
        is_synthetic: bool = False,
    ) -> None:
        super().__init__(path=path, time_column=time_column, train=train, validation=validation, kind=kind, name=name)
        self.run, self.is_synthetic = run, is_synthetic

    def read(self, market: Market | None = None) -> ExampleSets:
        """Read and cut; the note says who preferred.

        Raises:
            DataError: A file or row is malformed, only some rows name a split or time, or the sets overlap.
        """
        sets = super().read(market)
        everything = (*sets.train, *sets.validation, *sets.test)
        sources = Counter(one.source for one in everything if isinstance(one, Preference))
        told = ", ".join(f"{WHO.get(source, source)} {num:,}" for source, num in sorted(sources.items()))
        return replace(sets, note=f"Pairs by who preferred: {told}.", is_synthetic=self.is_synthetic)

    def _rows(self) -> Sequence[Row]:
        return [
            row for path in self.paths for row in read_preferences(path, time_column=self.time_column, kind=self.kind)
        ]
