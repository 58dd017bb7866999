"""Grades of a written answer by the facts that its example carries, for ``evaluate=language``."""

from collections.abc import Mapping, Sequence

from tradewright.errors import DataError
from tradewright.examples.example import Example
from tradewright.explain.commentary import MarketState, score_commentary
from tradewright.explain.facts import check
from tradewright.explain.scores import score
from tradewright.explain.slots import fill
from tradewright.explain.state import State, from_json


def states_in(example: Example) -> tuple[State, ...]:
    """Return the states that an example's answer is checked against.

    Raises:
        DataError: The example holds none.
    """
    rows = example.facts.get("states")
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise DataError(f"example {example.id}: holds no states to check its answer against")
    return tuple(from_json(row, f"example {example.id}") for row in rows)


def render(example: Example, text: str) -> str:
    """Return an answer as people read it: figures that it names are put in where the example carries facts."""
    return fill(text, states_in(example)) if "states" in example.facts else text


def grade_text(example: Example, text: str) -> Mapping[str, float]:
    """Return faithfulness, and the criteria of 1 to 5; nothing where the example carries no facts.

    Specificity is that of the text alone here: there are no other states to hold it against.
    """
    if "states" not in example.facts:
        return {}
    states = states_in(example)
    text = fill(text, states)
    facts = check(text, states)
    grades = {
        "faithful": float(facts.is_faithful and bool(facts.checked)),
        "claim_precision": facts.claim_precision,
        "ungrounded_numbers": float(facts.ungrounded_numbers),
        "coverage": facts.coverage,
    }
    if example.kind == "commentary":
        return {**grades, **score_commentary(text, MarketState(states)).values}
    return {**grades, "action_agreement": float(facts.action_agreement), **score(text, states[0], ()).values}
