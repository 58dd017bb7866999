"""What a preference training changed in what a language model writes, beside the model that it began with."""

from collections.abc import Sequence

from tradewright.evaluate.changed_answers import ELSEWHERE, TRUE, Change
from tradewright.evaluate.evidence import Interval
from tradewright.metrics.figures import describe, show
from tradewright.report.sections.section import Grid, Section

TOLD = ("faithful", TRUE, ELSEWHERE)
"""Grades of the fact check that the headline tells, where there are such."""
METHOD = (
    "The model as it was before the training and the trained one answered the same test prompts, of which no pair was"
    " made. Intervals are bootstrapped over prompts, those of the change over the differences prompt by prompt. True"
    " claims of another prompt's facts are the control: what rises there as well was learnt without reading the prompt."
)


def build(changes: Sequence[Change]) -> Section | None:
    """Return the section, or None where nothing is compared."""
    if not changes:
        return None
    rows = tuple(
        (
            describe(one.name).label,
            str(one.num),
            _bounds(one.name, one.before),
            _bounds(one.name, one.after),
            _bounds(one.name, one.change),
        )
        for one in changes
    )
    told = headline(changes)
    return Section(
        title="Before and after",
        anchor="changes",
        findings=told,
        paragraphs=(METHOD,),
        grids=(Grid(titles=("Figure", "Prompts", "Before", "After", "Change"), rows=rows, kind="narrow"),),
        lines=told,
    )


def headline(changes: Sequence[Change]) -> tuple[str, ...]:
    """Return one sentence per grade of the fact check; empty where there is none."""
    found = []
    for one in changes:
        if one.name in TOLD:
            label = describe(one.name).label
            beyond = "" if one.is_beyond_chance else ", not beyond chance"
            found.append(
                f"{label}: {show(one.name, one.before.value)} before, {show(one.name, one.after.value)} after (change"
                f" {_bounds(one.name, one.change)}{beyond})."
            )
    return tuple(found)


def _bounds(name: str, interval: Interval) -> str:
    value, low, high = (show(name, one) for one in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"
