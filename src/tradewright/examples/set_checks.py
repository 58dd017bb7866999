"""``SetChecks``: what is known of a data set of explanations before anybody trains on it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SetChecks:
    """What the checks of a data set found.

    Args:
        num_examples: By split.
        mix: Examples by kind.
        actions: Share of each action among the explanations.
        parsed: Share of the explanations whose text states exactly its label.
        is_faithful: Share of all answers that pass the fact check; NaN-free, since sets are not empty.
        missing: Ids of explanations whose decision lacks one of ``NEEDED``, or whose prompt does not give its facts.
        out_of_range: ``id: indicator`` of values outside the range of the lexicon.
        warnings: Sentences for reports.
    """

    num_examples: Mapping[str, int]
    mix: Mapping[str, int]
    actions: Mapping[str, float]
    parsed: float
    is_faithful: float
    missing: tuple[str, ...]
    out_of_range: tuple[str, ...]
    warnings: tuple[str, ...]
