"""The three ranges of design §1: train fits, validation chooses, test is scored once; an embargo lies between them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Half-open range of bar indices, ``start <= t < stop``."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Bar ranges of one panel, in time order, disjoint, ``embargo_bars`` unused bars between neighbours."""

    train: Range
    validation: Range
    test: Range
