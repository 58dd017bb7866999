"""Edited explanations and commentary: they take the place of generated ones and are checked like them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tradewright.errors import DataError, suggest
from tradewright.examples.example import Example
from tradewright.examples.rows import Row, read_rows
from tradewright.explain.commentary import MarketState, check_commentary
from tradewright.explain.facts import check
from tradewright.explain.slots import fill
from tradewright.explain.state import State, to_json


def apply_edits(
    parts: dict[str, list[Example]], path: Path, states: Sequence[State], markets: Sequence[MarketState]
) -> None:
    """Put edited answers in the place of generated ones: of the same id, else of the newest example of the split.

    Args:
        parts: Generated examples by split; changed.
        path: JSON or JSONL file of the edits.
        states: Decisions that there may be examples of.
        markets: Moments that there may be examples of.

    Raises:
        DataError: An edit has no id or one of no decision, occurs twice, or says what is not so.
    """
    by_state = {state.id: state for state in states}
    by_market = {market.id: market for market in markets}
    seen: dict[str, str] = {}
    for row in read_rows(path):
        if row.example.id in seen:
            raise DataError(f"{row.place}: {row.example.id} is edited in {seen[row.example.id]} too; keep one of them")
        seen[row.example.id] = row.place
        _place_edit(parts, _edited(row, by_state, by_market), frozenset(seen))


def _edited(row: Row, states: Mapping[str, State], markets: Mapping[str, MarketState]) -> Example:
    """Return the example that an edit makes.

    Raises:
        DataError: The id is none of a decision, or the text says what is not so.
    """
    example = row.example
    if not row.has_id:
        raise DataError(f"{row.place}: an edit needs the id of the example that it replaces")
    owner, _, rest = example.id.partition("-explanation-")
    if rest and owner in states:
        state = states[owner]
        found = check(fill(example.completion, [state]), state)
        faults = found.faults or (() if found.action_agreement else (f"does not state the action {state.action}",))
        made = replace(example, known_at=state.known_at, label=state.action, kind="explanation")
        made = replace(made, facts={"states": [to_json(state)]})
    else:
        owner, _, rest = example.id.partition("-commentary-")
        if not rest or owner not in markets:
            known = [*states, *markets]
            raise DataError(
                f"{row.place}: id {example.id!r} belongs to no decision{suggest(owner, known[:2000])[:160]}"
            )
        market = markets[owner]
        faults = check_commentary(fill(example.completion, market.states), market).faults
        made = replace(example, known_at=market.known_at, label=None, kind="commentary")
        made = replace(made, facts={"states": [to_json(state) for state in market.states]})
    if faults:
        raise DataError(f"{row.place}: {example.id}: {faults[0]}; correct the text")
    return made


def _place_edit(parts: dict[str, list[Example]], edited: Example, kept: frozenset[str]) -> None:
    """Replace the generated example of the same id, or another of the same split and kind so that sizes stay."""
    assert edited.known_at is not None
    for examples in parts.values():
        for place, example in enumerate(examples):
            if example.id == edited.id:
                examples[place] = edited
                return
    for examples in reversed(parts.values()):
        times = [example.known_at for example in examples if example.known_at is not None]
        if times and edited.known_at >= min(times):
            free = [place for place, example in enumerate(examples) if example.id not in kept]
            alike = [place for place in free if examples[place].kind == edited.kind] or free
            if not alike:
                raise DataError(f"edits: more of them than examples; raise num_samples to place {edited.id}")
            examples[alike[-1]] = edited
            examples.sort(key=lambda example: (str(example.known_at), example.id))
            return
    raise DataError(f"edits: {edited.id} is older than every example; raise num_samples")
