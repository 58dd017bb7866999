"""``Dimension``: one parameter of a sweep: a choice of values or a number from an interval.

Its values exist twice: as texts in Hydra's grammar, which make the overrides of a job, and as what Optuna samples.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tradewright.errors import ConfigError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = str | float | int | bool | None


@dataclass(frozen=True)
class Dimension(ABC):
    """One parameter.

    Args:
        key: As it stands before ``=`` on the command line, ``+`` included.
    """

    key: str

    @property
    def name(self) -> str:
        """The key without the marks of Hydra's grammar."""
        return self.key.lstrip("+~")

    @property
    @abstractmethod
    def texts(self) -> tuple[str, ...] | None:
        """Every value as Hydra reads it; None where there are infinitely many."""

    @abstractmethod
    def distribution(self) -> "BaseDistribution":
        """Return what Optuna samples from."""

    @abstractmethod
    def text(self, value: Any) -> str:
        """Return a sampled value as Hydra reads it."""

    @abstractmethod
    def describe(self) -> str:
        """Return the values in one line; equal lines mean equal dimensions."""

    def override(self, value: Any) -> str:
        """Return ``key=value`` for a sampled value."""
        return f"{self.key}={self.text(value)}"


@dataclass(frozen=True)
class Choice(Dimension):
    """One of some values.

    Args:
        words: The values as Hydra reads them, quotes included.
        values: The same for people and Optuna: scalars where they are.
    """

    words: tuple[str, ...]
    values: tuple[Value, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """Every value as Hydra reads it."""
        return self.words

    def distribution(self) -> "BaseDistribution":
        """Return a categorical distribution over the values."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def text(self, value: Any) -> str:
        """Return the word of a value; values are told apart by type, 1 and True are not the same."""
        for word, known in zip(self.words, self.values, strict=True):
            if known == value and type(known) is type(value):
                return word
        raise ConfigError(f"{self.name}: {value!r} is not one of {', '.join(self.words)}")

    def describe(self) -> str:
        """Return the words."""
        return f"choice({', '.join(self.words)})"


@dataclass(frozen=True)
class Number(Dimension):
    """A number from an interval.

    Args:
        low: Least value.
        high: Largest value, included.
        is_int: Whole numbers only.
        is_log: Sampled on a logarithmic scale.
        step: Distance between two values; None: any.
    """

    low: float
    high: float
    is_int: bool
    is_log: bool = False
    step: float | None = None

    @property
    def texts(self) -> tuple[str, ...] | None:
        """The values of a range, None of an interval."""
        if self.step is None:
            return None
        low, step = Decimal(repr(self.low)), Decimal(repr(self.step))
        return tuple(self.text(low + number * step) for number in range(self.num))

    @property
    def num(self) -> int:
        """The number of values of a range.

        Raises:
            ValueError: An interval has infinitely many.
        """
        if self.step is None:
            raise ValueError(f"{self.name}: an interval has no number of values")
        return round((self.high - self.low) / self.step) + 1

    def distribution(self) -> "BaseDistribution":
        """Return a float or integer distribution."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.is_int:
            return IntDistribution(int(self.low), int(self.high), log=self.is_log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.is_log, step=self.step)

    def text(self, value: Any) -> str:
        """Return the number without loss."""
        return str(int(value)) if self.is_int else repr(float(value))

    def describe(self) -> str:
        """Return bounds, kind and scale."""
        kind = "integers" if self.is_int else "floats"
        scale = ", logarithmic" if self.is_log else ""
        step = f", step {self.text(self.step)}" if self.step is not None else ""
        return f"{kind} {self.text(self.low)} to {self.text(self.high)}{scale}{step}"


def first_value(dimension: Dimension) -> Any:
    """Return some value of a dimension."""
    if isinstance(dimension, Choice):
        return dimension.values[0]
    assert isinstance(dimension, Number)
    return dimension.low
