"""``Claim``: one statement of a text that is true or false of a state."""

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "value", "comparison", "gap", "threshold", "word", "direction", "sign", "action", "date", "id", "number", "vague",
    "breadth",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement that is true or false of a state.

    Args:
        kind: How it is checked.
        text: The words that make it.
        sentence: Number of its sentence.
        subject: Indicator that it is about.
        relation: ``up`` or ``down``, or the action, word, date or id that is named.
        other: Indicator that the subject is compared with.
        value: Printed number, signed.
        step: Value of the last printed digit, e.g. 0.1.
        unit: As printed: ``%``, ``bps``, ``x``, ``points`` or nothing.
        is_negated: The text says the opposite.
        symbol: Instrument that the sentence names last; empty: none.
        reason: Why a vague claim or a number cannot be checked.
    """

    kind: Kind
    text: str
    sentence: int = 0
    subject: str = ""
    relation: str = ""
    other: str = ""
    value: float = math.nan
    step: float = math.nan
    unit: str = ""
    is_negated: bool = False
    symbol: str = ""
    reason: str = ""
