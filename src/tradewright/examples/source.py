"""``ExampleSource``: what every option of config group ``examples`` offers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from tradewright.data.panel import Panel
from tradewright.data.ranges import Ranges
from tradewright.examples.example import Example, ExampleSets


@dataclass(frozen=True)
class Market:
    """Bars that examples are made of, and their three ranges."""

    panel: Panel
    ranges: Ranges


class ExampleSource(Protocol):
    """Makes the examples of a run."""

    needs_market: ClassVar[bool]
    """Whether it is given the run's market; others bring their own data."""

    def read(self, market: Market | None) -> ExampleSets:
        """Return the examples.

        Raises:
            DataError: There is too little, or something malformed, to make them from.
        """
        ...

    def grade(self, example: Example, text: str) -> Mapping[str, float]:
        """Return figures of an answer that a model wrote, each averaged over all; NaN where one does not apply."""
        ...
