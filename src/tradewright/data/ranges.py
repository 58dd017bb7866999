"""The three ranges of design §1: train fits, validation chooses, test is scored once; an embargo lies between them."""

from dataclasses import dataclass

MIN_BARS = 2
"""A range needs two bars: one to decide on, one to earn a return on."""


@dataclass(frozen=True)
class Range:
    """Half-open range of bar indices, ``start <= t < stop``."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Bar ranges of one panel, disjoint, with unused bars between neighbours.

    Args:
        train: From the first to the last training bar.
        validation: Chooses checkpoints.
        test: From the first to the last test bar.
        train_parts: The training bars where they are not all of ``train``: cross-validation cuts test blocks out of
            them. Empty: all of ``train``.
    """

    train: Range
    validation: Range
    test: Range
    train_parts: tuple[Range, ...] = ()

    @property
    def training(self) -> tuple[Range, ...]:
        """The parts that fit: of scalers, rollouts and labels."""
        return self.train_parts or (self.train,)
