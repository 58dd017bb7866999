"""A fit that gives a rule."""

from dataclasses import dataclass

from tradewright.data.ranges import Ranges
from tradewright.evaluate.bench import Bench, Fitted
from tradewright.strategy.strategy import Strategy


@dataclass
class RuleFit:
    """Gives a rule, whatever the ranges; remembers what it was asked for."""

    strategy: Strategy
    bench: Bench
    is_learned: bool = False

    def __post_init__(self) -> None:
        self.asked: list[tuple[Ranges | None, str, bool]] = []

    def __call__(self, ranges: Ranges | None = None, *, name: str = "", is_shuffled: bool = False) -> Fitted:
        self.asked.append((ranges, name, is_shuffled))
        return Fitted(self.strategy, self.bench)

    def reference(self, ranges: Ranges, *, name: str) -> Fitted | str:
        return "a rule has none"
