"""Grades of a written answer by the facts that its example carries, for ``evaluate=language``."""

import math
from collections.abc import Mapping, Sequence

from tradewright.errors import DataError
from tradewright.examples.example import Example
from tradewright.examples.find_label import find_label
from tradewright.explain import commentary, scores
from tradewright.explain.commentary import MarketState, check_commentary, score_commentary
from tradewright.explain.facts import check
from tradewright.explain.scores import score
from tradewright.explain.slots import fill
from tradewright.explain.state import State, from_json

CRITERIA = (*scores.CRITERIA, *commentary.CRITERIA)
"""Of explanations and of commentary, 1 to 5; a text is graded by those of its kind."""


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


def stated(example: Example, text: str, labels: Sequence[str]) -> str | None:
    """Return the action that an answer states; None: none, or several.

    Args:
        example: What is answered; without facts, its label is looked for as a word.
        text: The answer.
        labels: What there is to state.
    """
    if "states" not in example.facts:
        return find_label(text, labels)
    states = states_in(example)
    claims = (one.claim for one in check(fill(text, states), states).checked)
    actions = {claim.relation for claim in claims if claim.kind == "action" and not claim.is_negated}
    return actions.pop() if len(actions) == 1 else None


def grade_text(example: Example, text: str) -> Mapping[str, float]:
    """Return faithfulness, and the criteria of 1 to 5; nothing where the example carries no facts.

    Specificity is that of the text alone here: there are no other states to hold it against.
    """
    if "states" not in example.facts:
        return {}
    states = states_in(example)
    text = fill(text, states)
    facts = check(text, states)
    is_commentary = example.kind == "commentary"
    grades = {
        "faithful": float(facts.is_faithful and (bool(facts.checked) if is_commentary else facts.action_agreement)),
        "claim_precision": facts.claim_precision,
        "ungrounded_numbers": float(facts.ungrounded_numbers),
        "coverage": facts.coverage,
    }
    if is_commentary:
        return {**grades, **score_commentary(text, MarketState(states)).values}
    return {**grades, "action_agreement": float(facts.action_agreement), **score(text, states[0], ()).values}


def grade_of(example: Example, text: str, criteria: Sequence[str] = CRITERIA) -> float:
    """Return one grade of an answer: the mean of its criteria, 1 to 5; NaN where the example carries no facts.

    Args:
        example: What is answered.
        text: The answer.
        criteria: Those that count; those of another kind of text do not apply.

    Raises:
        DataError: None of them applies.
    """
    grades = grade_text(example, text)
    if not grades:
        return math.nan
    found = [grades[name] for name in criteria if name in grades]
    if not found:
        raise DataError(f"example {example.id}: none of {', '.join(criteria)} grades a text of kind {example.kind}")
    return sum(found) / len(found)


def faults_of(example: Example, text: str) -> tuple[str, ...]:
    """Return what a text says that is not so, or leaves out; empty where the example carries no facts."""
    if "states" not in example.facts:
        return ()
    states = states_in(example)
    text = fill(text, states)
    if example.kind == "commentary":
        return check_commentary(text, MarketState(states)).faults
    found = check(text, states)
    missing = () if found.action_agreement else (f"does not state the action {states[0].action}",)
    return found.faults or missing
