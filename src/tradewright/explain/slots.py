"""Slots: places of a text that take figures of the log, such as ``{rsi_14}``; for a second instrument ``{rsi_14:2}``.

A small model that copies digits gets them wrong long after it has learned what to say. One that names a figure leaves
the digits to the log; which figure it names, and every word about it, stay its own and are checked as ever.
"""

import re
from collections.abc import Sequence

import numpy as np

from tradewright.explain.phrases import figures_of, values_of
from tradewright.explain.state import State

SLOT = re.compile(r"\{(\w+)(?::([1-9]\d*))?\}")


def slots_of(state: State, rng: np.random.Generator, place: int = 1) -> dict[str, str]:
    """Return what fills the placeholders of phrases: a slot for every figure, the words as they are.

    Args:
        state: The decision.
        rng: Draws the verbs.
        place: Of the instrument among those that the text speaks of, from 1.
    """
    suffix = "" if place == 1 else f":{place}"
    return {**values_of(state, rng), **{name: f"{{{name}{suffix}}}" for name in figures_of(state)}}


def fill(text: str, states: Sequence[State]) -> str:
    """Put the figures of states into the slots of a text; a slot that no state has a figure for stays.

    Args:
        text: With or without slots.
        states: The instruments that it speaks of, in the order of the prompt.
    """

    def figure(match: re.Match[str]) -> str:
        place = int(match[2] or 1)
        return match[0] if place > len(states) else figures_of(states[place - 1]).get(match[1], match[0])

    return SLOT.sub(figure, text)
