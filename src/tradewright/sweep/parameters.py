"""``Parameters``: a space as Optuna's parameters: what a slot is bound to, and what is chosen for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewright.sweep.dimensions import Choice, Dimension, Number
from tradewright.sweep.slots import is_lost, replaced
from tradewright.sweep.space import Condition, Space, is_same

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial


@dataclass(frozen=True)
class Parameter:
    """A dimension under the name that Optuna knows it by.

    Args:
        name: That name.
        dimension: Its values.
        condition: Where it exists; None: everywhere.
    """

    name: str
    dimension: Dimension
    condition: Condition | None


class Parameters:
    """What the slots of a sweep vary.

    Args:
        space: All of it.
        points: Texts by name of the dimension per slot, of a grid; None: a sampler chooses.
    """

    def __init__(self, space: Space, points: Sequence[Mapping[str, str]] | None) -> None:
        self.space, self.points = space, points
        self.known = tuple(_named(space))

    def bound(self, slot: int, trials: Sequence["FrozenTrial"], again: int | None = None) -> dict[str, Any]:
        """Return the parameters that a slot must have: those of its grid point and of its earlier attempts.

        Args:
            slot: Its number.
            trials: Its trials so far.
            again: Number of the one that is about to be replaced.
        """
        from tradewright.sweep import optuna_compat

        params: dict[str, Any] = {}
        if self.points is not None:
            point = self.points[slot]
            params = {one.name: _value(one.dimension, point[one.dimension.name]) for one in self.known}
        gone = replaced(trials) | {again}
        for trial in trials:
            if is_lost(trial) or trial.number in gone:
                params |= {**optuna_compat.waiting_params(trial), **trial.params}
        return params

    def choose(self, trial: "Trial") -> dict[str, str]:
        """Choose every parameter that exists for a trial; return texts by name of the dimension."""
        from tradewright.sweep import optuna_compat

        point: dict[str, str] = {}
        for one in self.known:
            if one.condition is None or self._holds(one.condition, point):
                value = optuna_compat.suggest(trial, one.name, one.dimension.distribution())
                point[one.dimension.name] = one.dimension.text(value)
        return point

    def point(self, params: Mapping[str, Any]) -> dict[str, str]:
        """Return the texts of chosen parameters by name of the dimension."""
        return {one.dimension.name: one.dimension.text(params[one.name]) for one in self.known if one.name in params}

    def _holds(self, condition: Condition, point: Mapping[str, str]) -> bool:
        values = {**_fixed(self.space.fixed), **point}
        return all(key in values and is_same(values[key], text) for key, text in condition.when.items())


def _named(space: Space) -> list[Parameter]:
    """Return every dimension under its own name, or with its condition where one name has several ranges."""
    lines: dict[str, set[str]] = {}
    for one in space.all_dimensions:
        lines.setdefault(one.name, set()).add(one.describe())
    found = [Parameter(one.name, one, None) for one in space.dimensions]
    for condition in space.conditions:
        where = ", ".join(f"{key}={text}" for key, text in sorted(condition.when.items()))
        for one in condition.dimensions:
            name = one.name if len(lines[one.name]) == 1 else f"{one.name} if {where}"
            found.append(Parameter(name, one, condition))
    return found


def _value(dimension: Dimension, text: str) -> Any:
    """Return what Optuna knows a text of a grid as."""
    if isinstance(dimension, Choice):
        return dimension.values[dimension.words.index(text)]
    assert isinstance(dimension, Number)
    return int(text) if dimension.is_int else float(text)


def _fixed(texts: Sequence[str]) -> dict[str, str]:
    """Return the values of ``key=value`` texts."""
    pairs = (text.lstrip("+").partition("=") for text in texts)
    return {key: value for key, sign, value in pairs if sign}
