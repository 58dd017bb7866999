"""Writes true explanations of a state, seeded and varied: what language models learn from, and the honest answer where
no model is there.

A text says what the agent did and what was known then, in favour and against; it never claims to know why a network
decided. Every text passes the fact check.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from tradewright.explain.lexicon import Lean
from tradewright.explain.phrases import Factor, factors_of, phrases, values_of
from tradewright.explain.slots import slots_of
from tradewright.explain.state import State

SHORT, LONG = 2, 6
"""Fewest and most factors of a text."""
SUPPORTING: Mapping[str, Lean] = {"BUY": "up", "SELL": "down", "HOLD": "none"}
OPPOSITE: Mapping[Lean, Lean] = {"up": "down", "down": "up", "none": "none"}
DECISION = ("position", "target", "confidence")


def seeded(*parts: object) -> np.random.Generator:
    """Return a generator that depends on the parts alone, not on the order in which texts are written."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def explain(state: State, seed: int = 0, *, has_slots: bool = False) -> str:
    """Write one explanation.

    Args:
        state: The decision.
        seed: Another seed gives other words, order and factors.
        has_slots: Leave slots in the place of figures, see ``explain.slots``.
    """
    rng = seeded("explain", state.id, seed)
    values = slots_of(state, rng) if has_slots else values_of(state, rng)
    factors = factors_of(state, values)
    wanted = int(rng.integers(SHORT, LONG + 1))
    chosen = choose(factors, wanted, rng)
    is_last = rng.random() < 0.3 and bool(chosen)
    pool = phrases()["closings" if is_last else "decisions"][state.action]
    decision = [str(rng.choice(pool)).format_map(values)]
    if state.confidence is not None and rng.random() < 0.5:
        decision.append(str(rng.choice(phrases()["confidences"])).format_map(values))
    is_argued = rng.random() < 0.6 and not is_last  # "in favour of it" needs a decision before it
    body = _argued(chosen, state, rng) if is_argued else joined(chosen, rng)
    parts = [*body, *decision] if is_last else [*decision, *body]
    return " ".join(sentence(part) for part in parts)


def choose(factors: Sequence[Factor], wanted: int, rng: np.random.Generator) -> list[Factor]:
    """Draw factors, of different groups as long as there are any."""
    order = [factors[place] for place in rng.permutation(len(factors))]
    first: dict[str, Factor] = {}
    for factor in order:
        first.setdefault(factor.group, factor)
    others = [factor for factor in order if factor not in first.values()]
    return [*first.values(), *others][:wanted]


def clause_of(factor: Factor, rng: np.random.Generator) -> str:
    """Return one way to say a factor, often with a word that is true of it."""
    clause = str(rng.choice(factor.clauses))
    if factor.additions and rng.random() < 0.6:
        clause += str(rng.choice(factor.additions))
    return clause


def joined(factors: Sequence[Factor], rng: np.random.Generator) -> list[str]:
    """Return sentences that say the factors, one or two in each."""
    clauses = [clause_of(factor, rng) for factor in factors]
    found = []
    while clauses:
        if len(clauses) > 1 and rng.random() < 0.6:
            first, second = clauses.pop(0), clauses.pop(0)
            found.append(str(rng.choice(phrases()["joins"])).format(first, second))
        else:
            found.append(clauses.pop(0))
    return found


def _argued(factors: Sequence[Factor], state: State, rng: np.random.Generator) -> list[str]:
    """Group the factors by whether they are usually read for or against the action."""
    lean = SUPPORTING[state.action]
    groups: dict[str, list[Factor]] = {"supports": [], "opposes": [], "neutrals": []}
    for factor in factors:
        if lean == "none" or factor.lean == "none":
            groups["neutrals"].append(factor)
        else:
            groups["supports" if factor.lean == lean else "opposes"].append(factor)
    found = []
    for name, members in groups.items():
        for number, text in enumerate(joined(members, rng)):
            found.append(str(rng.choice(phrases()[name])).format(text) if number == 0 else text)
    return found


def sentence(text: str) -> str:
    """Return the text with a capital first letter and a full stop."""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
