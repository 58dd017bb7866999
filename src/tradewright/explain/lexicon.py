"""The words that texts about decisions are made of, read from ``lexicon.yaml``: indicators and their names, words with
a mechanical condition, directions, relations and actions.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from tradewright.data.timeframe import DAY_S
from tradewright.explain.state import State

PATH = Path(__file__).with_name("lexicon.yaml")
Unit = Literal["price", "percent", "fraction", "index", "times"]
Lean = Literal["up", "down", "none"]

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
}  # fmt: skip
WEEK_S, HOUR_S = 7 * DAY_S, 3_600
BAR_WORDS = {DAY_S: "day", WEEK_S: "week", HOUR_S: "hour"}
SPANS: dict[int, dict[str, int]] = {
    DAY_S: {"day": 1, "session": 1, "week": 5, "month": 20, "quarter": 60},
    WEEK_S: {"week": 1, "month": 4, "quarter": 13},
    HOUR_S: {"hour": 1},
}
"""Bars in the spans that texts name, by bar length; a month is 20 and a quarter 60 trading days."""


SCALES: dict[str, dict[str, float]] = {
    "price": {"": 1.0, "points": 1.0},
    "percent": {"%": 1.0, "bps": 0.01},
    "fraction": {"": 1.0, "%": 0.01},
    "index": {"": 1.0, "points": 1.0},
    "times": {"": 1.0, "x": 1.0, "%": 0.01},
}
"""What one printed unit is worth in the indicator's own, by unit of the indicator; others are faults."""


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """An entry of the lexicon.

    Args:
        name: As in ``State.indicators``, or a fact of the decision.
        unit: Of its values.
        group: What kind of fact it is.
        decimals: As prompts print it.
        low, high: Where every correct value lies.
        title: As prompts name it; ``{bar}`` stands for the bar's unit.
        is_magnitude: Texts give its size with either sign.
    """

    name: str
    unit: Unit
    group: str
    decimals: int
    low: float
    high: float
    title: str
    is_magnitude: bool = False


@dataclass(frozen=True, kw_only=True)
class Word:
    """A qualitative word: true where all comparisons ``(indicator, operator, indicator or number)`` hold."""

    name: str
    when: tuple[tuple[str, str, str | float], ...]
    lean: Lean
    group: str

    def holds(self, state: State) -> bool | None:
        """Return whether the word is true; None where the state lacks an indicator that it needs."""
        for left, relation, right in self.when:
            first = state.value(left)
            second = state.value(right) if isinstance(right, str) else right
            if first is None or second is None:
                return None
            if not OPERATORS[relation](first, second):
                return False
        return True


@cache
def content() -> Mapping[str, Any]:
    """Return the file."""
    found = yaml.load(PATH.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    assert isinstance(found, dict)
    return found


@cache
def indicators() -> dict[str, Indicator]:
    """Return the indicators by name."""
    return {
        name: Indicator(
            name=name,
            unit=entry["unit"],
            group=entry["group"],
            decimals=entry["decimals"],
            low=entry["range"][0],
            high=entry["range"][1],
            title=entry["title"],
            is_magnitude=entry.get("is_magnitude", False),
        )
        for name, entry in content()["indicators"].items()
    }


@cache
def words() -> dict[str, Word]:
    """Return the qualitative words by name."""
    return {
        name: Word(
            name=name,
            when=tuple((left, relation, right) for left, relation, right in entry["when"]),
            lean=entry["lean"],
            group=entry["group"],
        )
        for name, entry in content()["words"].items()
    }


@cache
def families() -> dict[str, frozenset[str]]:
    """Return, for each indicator that can be compared with others, those others and itself."""
    return {name: frozenset(family) for family in content()["families"] for name in family}


def bar_word(timeframe_s: int) -> str:
    """Return what one bar is called: ``day``, ``week``, ``hour`` or ``bar``."""
    return BAR_WORDS.get(timeframe_s, "bar")


def bars_in(count: int, unit: str, timeframe_s: int) -> int | None:
    """Return the bars of a span such as 2 weeks; None where the bar length does not divide it."""
    unit = unit.removesuffix("s")
    if unit == "bar":
        return count
    bars = SPANS.get(timeframe_s, {}).get(unit)
    return None if bars is None else count * bars


def number_text(value: float, decimals: int) -> str:
    """Return a number with thousands separators and no negative zero."""
    text = f"{value:,.{decimals}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def value_text(name: str, value: float, decimals: int | None = None) -> str:
    """Return a value with its unit as texts print it, e.g. ``28.4``, ``-2.30%`` or ``1.35x``."""
    indicator = indicators()[name]
    text = number_text(value, indicator.decimals if decimals is None else decimals)
    return text + {"percent": "%", "times": "x"}.get(indicator.unit, "")


def title(name: str, timeframe_s: int) -> str:
    """Return an indicator's name for people."""
    return indicators()[name].title.format(bar=bar_word(timeframe_s))
