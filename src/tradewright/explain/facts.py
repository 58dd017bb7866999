"""The mechanical fact check: every claim of a text against the state that it is about; no model judges.

A printed number is true where the value rounds to it: within half a step of its last digit, in its unit. Whatever the
state does not hold - an indicator that is not defined yet, a forecast, a number that belongs to nothing, a slot that
nothing filled - is a fault.
What the check cannot see: statements in words that the lexicon lacks; ``coverage`` tells how many there are.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tradewright.explain.claim import Claim
from tradewright.explain.claims import parse
from tradewright.explain.lexicon import SCALES, indicators, value_text, words
from tradewright.explain.slots import SLOT
from tradewright.explain.state import State
from tradewright.explain.tokens import MONTHS, WEEKDAYS

ROUNDING = 1e-9
"""Relative slack for the rounding of binary fractions."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A claim with its verdict: True, False, or None where it cannot be checked; and why it is no true one."""

    claim: Claim
    verdict: bool | None
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Faithfulness:
    """How far a text agrees with its state.

    Args:
        claim_precision: True claims over all claims; NaN without any.
        ungrounded_numbers: Numbers that belong to nothing the state holds.
        action_agreement: Whether the text states an action and every one that it states is the state's.
        coverage: Share of content words and numbers that the lexicon knows.
        is_faithful: Every claim is true.
        faults: One sentence per claim that is not.
        checked: All claims.
        num_sentences: Of the text.
        unknown: Content words that the lexicon does not know.
    """

    claim_precision: float
    ungrounded_numbers: int
    action_agreement: bool
    coverage: float
    is_faithful: bool
    faults: tuple[str, ...]
    checked: tuple[Checked, ...]
    num_sentences: int
    unknown: tuple[str, ...]


def check(text: str, states: State | Sequence[State]) -> Faithfulness:
    """Check a text.

    Args:
        text: Free text.
        states: The decision that it explains, or the instruments of one moment that it speaks of, by symbol.
    """
    known = {states.symbol: states} if isinstance(states, State) else {state.symbol: state for state in states}
    first = next(iter(known.values()))
    parsed = parse(SLOT.sub(" ", text), timeframe_s=first.timeframe_s, symbols=known)
    reason = "that it names is none of the state's"
    unfilled = (Claim(kind="number", text=slot[0], reason=reason) for slot in SLOT.finditer(text))
    checked = tuple(_check(claim, known) for claim in (*parsed.claims, *unfilled))
    faults = tuple(one.fault for one in checked if one.verdict is not True)
    actions = [one for one in checked if one.claim.kind == "action" and not one.claim.is_negated]
    return Faithfulness(
        claim_precision=sum(one.verdict is True for one in checked) / len(checked) if checked else math.nan,
        ungrounded_numbers=sum(one.claim.kind == "number" for one in checked),
        action_agreement=bool(actions) and all(one.verdict is True for one in checked if one.claim.kind == "action"),
        coverage=parsed.coverage,
        is_faithful=not faults,
        faults=faults,
        checked=checked,
        num_sentences=parsed.num_sentences,
        unknown=parsed.unknown,
    )


def _check(claim: Claim, states: Mapping[str, State]) -> Checked:
    if claim.kind == "number":
        return Checked(claim=claim, verdict=False, fault=f"'{claim.text}': the number {claim.reason}")
    if claim.kind == "vague":
        return Checked(claim=claim, verdict=None, fault=f"'{claim.text}' {claim.reason}")
    if claim.kind == "breadth":
        return _check_breadth(claim, states)
    if not claim.symbol and len(states) > 1 and claim.kind != "date":
        return Checked(claim=claim, verdict=None, fault=f"'{claim.text}' names none of the instruments")
    state = states[claim.symbol] if claim.symbol else next(iter(states.values()))
    verdict, found = _CHECKS[claim.kind](claim, state)
    if verdict is not None and claim.is_negated:
        verdict = not verdict
    if verdict is True:
        return Checked(claim=claim, verdict=True)
    said = f"not '{claim.text}'" if claim.is_negated and "not" not in claim.text else f"'{claim.text}'"
    return Checked(claim=claim, verdict=verdict, fault=f"{said}: {found}")


def _shown(name: str, value: float) -> str:
    title = indicators()[name].title.format(bar="bar")
    return f"{title} is {value_text(name, value, 4 if indicators()[name].unit != 'price' else 2)}"


def _missing(name: str) -> str:
    return f"the state holds no {name}" if name not in ("unknown", "return") else "is no indicator of a state"


def _value(claim: Claim, state: State) -> tuple[bool | None, str]:
    indicator = indicators().get(claim.subject)
    value = state.value(claim.subject)
    if indicator is None or value is None:
        return None, _missing(claim.subject)
    scale = SCALES[indicator.unit].get(claim.unit)
    if scale is None or math.isnan(claim.value):
        return False, f"{_shown(claim.subject, value)}, which has another unit"
    printed = claim.value * scale
    if indicator.is_magnitude:
        value, printed = abs(value), abs(printed)
    return _is_rounded(value, printed, claim.step * scale), _shown(claim.subject, value)


def _is_rounded(value: float, printed: float, step: float) -> bool:
    return abs(value - printed) <= 0.5 * step + ROUNDING * max(abs(value), 1.0)


def _gap(claim: Claim, state: State) -> tuple[bool | None, str]:
    first, second = state.value(claim.subject), state.value(claim.other)
    if first is None or second is None:
        return None, _missing(claim.subject if first is None else claim.other)
    signed = abs(claim.value) if claim.relation == "up" else -abs(claim.value)
    if claim.unit == "points":
        value, step = first - second, claim.step
    else:
        scale = SCALES["percent"][claim.unit]
        value, signed, step = 100.0 * (first / second - 1.0), signed * scale, claim.step * scale
    return _is_rounded(value, signed, step), f"the gap is {value:,.4g}{'' if claim.unit == 'points' else '%'}"


def _comparison(claim: Claim, state: State) -> tuple[bool | None, str]:
    first, second = state.value(claim.subject), state.value(claim.other)
    if first is None or second is None:
        return None, _missing(claim.subject if first is None else claim.other)
    found = f"{_shown(claim.subject, first)}, {_shown(claim.other, second)}"
    return first > second if claim.relation == "up" else first < second, found


def _threshold(claim: Claim, state: State) -> tuple[bool | None, str]:
    indicator = indicators().get(claim.subject)
    value = state.value(claim.subject)
    if indicator is None or value is None:
        return None, _missing(claim.subject)
    scale = SCALES[indicator.unit].get(claim.unit)
    if scale is None or math.isnan(claim.value):
        return False, f"{_shown(claim.subject, value)}, which has another unit"
    bound = claim.value * scale
    return value > bound if claim.relation == "up" else value < bound, _shown(claim.subject, value)


def _word(claim: Claim, state: State) -> tuple[bool | None, str]:
    word = words()[claim.relation]
    conditions = " and ".join(f"{left} {relation} {right}" for left, relation, right in word.when)
    values = ((name, state.value(name)) for name in dict.fromkeys(left for left, _, _ in word.when))
    found = ", ".join(_missing(name) if value is None else _shown(name, value) for name, value in values)
    return word.holds(state), f"it means {conditions}; {found}"


def _direction(claim: Claim, state: State) -> tuple[bool | None, str]:
    value = state.value(claim.subject)
    if value is None:
        return None, _missing(claim.subject)
    return value > 0 if claim.relation == "up" else value < 0, _shown(claim.subject, value)


def _action(claim: Claim, state: State) -> tuple[bool | None, str]:
    return claim.relation == state.action, f"the action is {state.action}"


def _id(claim: Claim, state: State) -> tuple[bool | None, str]:
    return claim.relation == state.id.lower(), f"the decision is {state.id}"


def _date(claim: Claim, state: State) -> tuple[bool | None, str]:
    day = state.ts.astype("datetime64[D]")
    text = claim.relation
    found = f"the bar is of {day}"
    if ":" in text:
        clocks = {str(stamp.astype("datetime64[m]"))[11:] for stamp in (state.ts, state.known_at)}
        return text.split()[0].zfill(5) in clocks, f"the bar is from {' to '.join(sorted(clocks))}"
    if text in WEEKDAYS:
        weekday = int((day - np.datetime64("1970-01-05", "D")) / np.timedelta64(1, "D")) % 7
        return WEEKDAYS.index(text) == weekday, f"{found}, a {WEEKDAYS[weekday]}"
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return text == str(day), found
    month = next(number for number, name in enumerate(MONTHS.split("|"), start=1) if name in text)
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    wanted = [int(part) for part in str(day).split("-")]
    days, years = [n for n in numbers if n <= 31], [n for n in numbers if n > 31]
    is_same = month == wanted[1] and days == [wanted[2]] and years in ([], [wanted[0]])
    return is_same, found


_CHECKS = {
    "value": _value, "gap": _gap, "comparison": _comparison, "threshold": _threshold, "word": _word, "id": _id,
    "direction": _direction, "sign": _direction, "action": _action, "date": _date,
}  # fmt: skip


def _check_breadth(claim: Claim, states: Mapping[str, State]) -> Checked:
    """Count the instruments; all of them must know what is counted."""
    values = []
    for state in states.values():
        value = state.value(claim.other)
        if value is None:
            return Checked(claim=claim, verdict=None, fault=f"'{claim.text}': {state.symbol} has no {claim.other}")
        is_return = claim.other.startswith("return")
        values.append(value if is_return else state.close - value)
    count = sum(value > 0 if claim.relation == "up" else value < 0 for value in values)
    if (claim.value, claim.step) == (count, len(values)):
        return Checked(claim=claim, verdict=True)
    return Checked(claim=claim, verdict=False, fault=f"'{claim.text}': it is {count} of {len(values)}")
