"""The recommendation of a comparison: the best run that is beyond chance, or a refusal that says why.

A run may be recommended if its Sharpe ratio exceeds that of buy-and-hold by more than chance explains, corrected for
all runs, and if its deflated Sharpe ratio reaches the confidence level, so that the number of trials does not explain
it either. Among those the validation range chooses, as the test range would flatter the luckiest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tradewright.metrics.figures import describe
from tradewright.report.chance import is_beyond_chance, show_bounds, show_p, show_share, show_signed
from tradewright.report.content import BUY_AND_HOLD, readable
from tradewright.report.standings import Standing, Standings


@dataclass(frozen=True)
class Recommendation:
    """The recommended run, or None, and the sentences that justify it, the decision first."""

    run: Standing | None
    sentences: tuple[str, ...]


def recommend(found: Standings | None, sort: str) -> Recommendation:
    """Return the recommendation.

    Args:
        found: The comparable runs, or None if no finished run can be compared.
        sort: Figure the runs are ordered by; its validation value chooses among those beyond chance.
    """
    if found is None:
        return Recommendation(None, ("No model is recommended: no finished run left equity that can be compared.",))
    if all(run.hold is None for run in found.runs):
        return Recommendation(
            None, (f"No model is recommended: no run was judged beside {readable(BUY_AND_HOLD)}, the least to beat.",)
        )
    worthy = [run for run in found.runs if is_worthy(run, found.confidence)]
    if not worthy:
        return Recommendation(None, (_refusal(found), *_details(found)))
    chosen, how = _choose(worthy, sort)
    assert chosen.hold is not None
    return Recommendation(
        chosen,
        (
            f"Recommended: {chosen.label} ({chosen.record.path.name}), {how}.",
            f"Sharpe ratio against {readable(BUY_AND_HOLD)}: {show_signed(chosen.hold.sharpe.value)} "
            f"({show_bounds(chosen.hold.sharpe)}), corrected p-value {show_p(chosen.hold.adjusted_p_value)}.",
            f"Deflated Sharpe ratio {show_share(chosen.deflated_sharpe)} after {found.num_trials:,} trials.",
            *_seeds(chosen, found),
            "One test range is one sample: confirm it on bars that nobody has looked at.",
        ),
    )


def is_worthy(run: Standing, confidence: float) -> bool:
    """Return whether a run beats buy-and-hold beyond chance and beyond what its number of trials explains."""
    return is_beyond_chance(
        run.hold, deflated_sharpe=run.deflated_sharpe, confidence=confidence, metrics=run.record.metrics
    )


def _refusal(found: Standings) -> str:
    num = len(found.runs)
    runs = "the one run does not beat" if num == 1 else f"none of the {num:,} runs beats"
    tries = "one trial" if found.num_trials == 1 else f"{found.num_trials:,} trials"
    return f"No model is recommended: {runs} {readable(BUY_AND_HOLD)} by more than chance explains in {tries}."


def _details(found: Standings) -> tuple[str, ...]:
    """Return how near the nearest run came."""
    compared = [run for run in found.runs if run.hold is not None and not math.isnan(run.hold.sharpe.value)]
    if not compared:
        return ("No run has a Sharpe ratio to compare.",)
    nearest = max(compared, key=lambda run: run.hold.sharpe.value if run.hold else -math.inf)
    assert nearest.hold is not None
    return (
        f"The largest advantage is that of {nearest.label}: Sharpe ratio {nearest.hold.sharpe.value:+.2f}, corrected "
        f"p-value {show_p(nearest.hold.adjusted_p_value)} ({1.0 - found.confidence:.2f} needed), deflated Sharpe ratio "
        f"{show_share(nearest.deflated_sharpe)} ({found.confidence:.0%} needed).",
    )


def _choose(worthy: Sequence[Standing], sort: str) -> tuple[Standing, str]:
    """Return the best run beyond chance and how it was chosen."""
    if len(worthy) == 1:
        return worthy[0], f"the only run that beats {readable(BUY_AND_HOLD)} beyond chance"
    name = sort.rpartition("/")[2]
    direction = describe(name).better or 1
    beaten = f"{len(worthy):,} runs that beat {readable(BUY_AND_HOLD)} beyond chance"
    if any(math.isnan(run.validation) for run in worthy):
        return worthy[0], f"the best by {sort} (there is no validation figure) of {beaten}"
    best = max(worthy, key=lambda run: direction * run.validation)
    return best, f"the best by validation/{name} of {beaten}"


def _seeds(chosen: Standing, found: Standings) -> tuple[str, ...]:
    """Return how the other seeds of the same configuration did."""
    alike = [run for run in found.runs if chosen.record.trial and run.record.trial == chosen.record.trial]
    num_equal = sum(kept == chosen.label for _, kept in found.repeated)
    if len(alike) < 2 and num_equal:
        return (f"Repeating it {num_equal:,} more times gave equal returns, which proves no more than one run.",)
    if len(alike) < 2:
        return ("It was run with one seed; repeat it with others before believing it.",)
    good = sum(is_worthy(run, found.confidence) for run in alike)
    return (f"{good} of its {len(alike)} seeds beat {readable(BUY_AND_HOLD)} beyond chance.",)
