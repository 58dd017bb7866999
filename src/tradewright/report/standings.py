"""``Standings``: what can be said about comparable runs once chance, and the number of tries, are accounted for.

Against buy-and-hold and against each other by the paired block bootstrap, each family corrected for its number of
comparisons; deflated Sharpe ratios with the trials of the ledgers; PBO and SPA/StepM over all runs. Runs with equal
returns are one strategy: all but the first are left out of the tests, though their trials count.
Legend: S runs, n returns, P pairs of runs.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewright.evaluate.evidence import Comparison
from tradewright.evaluate.significance import compare_strategies
from tradewright.ledger import Ledger
from tradewright.metrics.deflated import TrackRecord, noise_ceiling, probabilistic_sharpe, trial_deviation
from tradewright.metrics.history import Float
from tradewright.metrics.multiple import Correction
from tradewright.metrics.overfitting import UNDEFINED, Overfitting, backtest_overfitting
from tradewright.report.candidates import Candidates, validation_figure
from tradewright.report.content import BUY_AND_HOLD
from tradewright.report.runs import RunRecord

MAX_PAIRED = 10
"""Runs, best first, that are compared with each other: 45 pairs."""

MIN_OVERFITTING = 4
"""Runs from which the probability of backtest overfitting is given."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One run.

    Args:
        label: Its name.
        record: The run as read.
        sharpe: Annualised Sharpe ratio of its daily returns on the test range.
        validation: The sort figure on the validation range; NaN if there is none.
        hold: Its comparison with buy-and-hold, None without one.
        deflated_sharpe: Probability that the true Sharpe ratio is above the noise ceiling.
        is_superior: Whether StepM finds its mean return above that of buy-and-hold.
    """

    label: str
    record: RunRecord
    sharpe: float
    validation: float
    hold: Comparison | None
    deflated_sharpe: float
    is_superior: bool = False


@dataclass(frozen=True, kw_only=True)
class Standings:
    """All comparable runs.

    Args:
        runs: In the order of the comparison.
        pairs: First label and comparison with the second, among the first runs.
        span: First and last bar of the test range.
        num_returns: n.
        excluded: Label and reason of every finished run that cannot be compared.
        repeated: Label of every run that is left out because its returns equal those of another, and that one's label.
        confidence: Level of the intervals and of every claim.
        num_resamples: Of every bootstrap.
        num_trials: Distinct trials of the ledgers and runs.
        noise_ceiling: Expected best annualised Sharpe ratio of as many trials without skill.
        deviation_source: ``trials`` or ``sampling``, see ``metrics.deflated.trial_deviation``.
        overfitting: PBO of choosing among the runs; undefined with fewer than four.
        superiority_p_value: Hansen's SPA over all runs against buy-and-hold; NaN if not made.
    """

    runs: tuple[Standing, ...]
    pairs: tuple[tuple[str, Comparison], ...]
    span: tuple[np.datetime64, np.datetime64]
    num_returns: int
    excluded: tuple[tuple[str, str], ...]
    repeated: tuple[tuple[str, str], ...]
    confidence: float
    num_resamples: int
    num_trials: int
    noise_ceiling: float
    deviation_source: str
    overfitting: Overfitting
    superiority_p_value: float


def rank_runs(
    found: Candidates,
    *,
    sort: str,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    correction: Correction = "romano_wolf",
) -> Standings:
    """Judge comparable runs.

    Args:
        found: The runs, best first.
        sort: Figure whose validation value may choose a run.
        num_resamples: Of every bootstrap.
        confidence: Level, in (0.5, 1).
        correction: How p-values are corrected for the number of comparisons.

    Raises:
        RunError: A ledger is damaged.
    """
    periods, num = found.periods_per_year, found.returns_Sn.shape[1]
    options = {"num_resamples": num_resamples, "confidence": confidence, "correction": correction}
    by_trial = _sharpes(found, [TrackRecord.of(one, periods, found.risk_free) for one in found.returns_Sn])
    found, repeated = _distinct(found)
    tracks = [TrackRecord.of(one, periods, found.risk_free) for one in found.returns_Sn]
    deviation, source = trial_deviation(list(by_trial.values()), num, periods)
    ceiling = noise_ceiling(len(by_trial), deviation)
    superior, p_value = _superiority(found, num_resamples, confidence)
    holds = _against_hold(found, options)
    return Standings(
        runs=tuple(
            _stand(found, place, track, sort=sort, hold=holds[place], ceiling=ceiling, superior=superior)
            for place, track in enumerate(tracks)
        ),
        pairs=_among(found, options),
        span=found.span,
        num_returns=num,
        excluded=found.excluded,
        repeated=repeated,
        confidence=confidence,
        num_resamples=num_resamples,
        num_trials=len(by_trial),
        noise_ceiling=ceiling,
        deviation_source=source,
        overfitting=backtest_overfitting(found.returns_Sn) if len(tracks) >= MIN_OVERFITTING else UNDEFINED,
        superiority_p_value=p_value,
    )


def _distinct(found: Candidates) -> tuple[Candidates, tuple[tuple[str, str], ...]]:
    """Return the runs without those that repeat an earlier one's returns, and the labels of both of each such pair."""
    first: dict[bytes, int] = {}
    repeated = []
    for place, returns_n in enumerate(found.returns_Sn):
        kept = first.setdefault((returns_n + 0.0).tobytes(), place)  # -0.0 becomes 0.0
        if kept != place:
            repeated.append((found.labels[place], found.labels[kept]))
    places = list(first.values())
    distinct = replace(
        found,
        records=tuple(found.records[place] for place in places),
        labels=tuple(found.labels[place] for place in places),
        returns_Sn=found.returns_Sn[places],
    )
    return distinct, tuple(repeated)


def _stand(
    found: Candidates,
    place: int,
    track: TrackRecord,
    *,
    sort: str,
    hold: Comparison | None,
    ceiling: float,
    superior: frozenset[int],
) -> Standing:
    record = found.records[place]
    return Standing(
        label=found.labels[place],
        record=record,
        sharpe=track.sharpe,
        validation=validation_figure(record.metrics, sort),
        hold=hold,
        deflated_sharpe=probabilistic_sharpe(track, ceiling),
        is_superior=place in superior,
    )


def _sharpes(found: Candidates, tracks: Sequence[TrackRecord]) -> dict[str, float]:
    """Return the Sharpe ratio of every trial by its identity, NaN where none is known.

    The trials are those of the ledgers beside the runs (one or two folders above them) and of the runs themselves.
    """
    sharpes = {
        record.trial or str(record.path): track.sharpe for record, track in zip(found.records, tracks, strict=True)
    }
    folders = {folder for record in found.records for folder in list(record.path.absolute().parents)[:2]}
    for folder in sorted(folders):
        for trial, sharpe in Ledger(folder).sharpes(found.records[0].fingerprint).items():
            if math.isnan(sharpes.get(trial, math.nan)):
                sharpes[trial] = math.nan if sharpe is None else sharpe
    return sharpes


def _compare(
    found: Candidates, first: Sequence[int], second_Kn: Float, names: Sequence[str], options: Mapping[str, Any]
) -> tuple[Comparison, ...]:
    return compare_strategies(
        found.returns_Sn[list(first)],
        second_Kn,
        names,
        periods_per_year=found.periods_per_year,
        risk_free=found.risk_free,
        **options,
    )


def _against_hold(found: Candidates, options: Mapping[str, Any]) -> tuple[Comparison | None, ...]:
    if found.hold_n is None:
        return (None,) * len(found.records)
    hold_Sn = np.broadcast_to(found.hold_n, found.returns_Sn.shape)
    places = range(len(found.records))
    return _compare(found, places, hold_Sn, [BUY_AND_HOLD for _ in places], options)


def _among(found: Candidates, options: Mapping[str, Any]) -> tuple[tuple[str, Comparison], ...]:
    """Return the first label and the comparison of every pair of the first runs."""
    pairs = list(itertools.combinations(range(min(MAX_PAIRED, len(found.records))), 2))
    first, second = [place for place, _ in pairs], [place for _, place in pairs]
    names = [found.labels[place] for place in second]
    compared = _compare(found, first, found.returns_Sn[second], names, options)
    return tuple((found.labels[place], one) for place, one in zip(first, compared, strict=True))


def _superiority(found: Candidates, num_resamples: int, confidence: float) -> tuple[frozenset[int], float]:
    """Return the places that StepM finds superior to buy-and-hold, and the p-value of SPA."""
    if found.hold_n is None:
        return frozenset(), math.nan
    from tradewright.metrics.superiority import find_superior

    answer = find_superior(found.hold_n, found.returns_Sn, num_resamples=num_resamples, confidence=confidence)
    return frozenset(answer.superior), answer.p_value
