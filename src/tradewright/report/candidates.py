"""``Candidates``: the finished runs that were judged on the same bars and at the same costs, with their daily returns.

Only those can be compared. Of several groups the largest is taken, and the runs outside it are listed with the reason.
Legend: T marks of equity, S runs, n returns.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import duckdb
import numpy as np

from tradewright.metrics.calendar import annualised_marks
from tradewright.metrics.history import Float, Time
from tradewright.metrics.returns import simple_returns
from tradewright.report.content import BUY_AND_HOLD
from tradewright.report.curves import Equity, read_all_curves, strategy_curve
from tradewright.report.differences import ABSENT, show_value
from tradewright.report.runs import RunRecord

TERMS = (
    "backtest._target_",
    "backtest.costs",
    "backtest.initial_cash",
    "backtest.sizing",
    "backtest.cash_buffer",
    "backtest.delay_bars",
    "backtest.min_notional",
    "backtest.max_participation",
    "backtest.impact_bars",
    "backtest.finer_timeframe",
    "evaluate.risk_free",
)
"""Keys, and everything below them, that make up the terms a run was judged on; stops, leverage and the permission to
sell short are the strategy's own."""

SAME = 1e-9
"""Relative difference up to which two equity curves of buy-and-hold are the same."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Comparable runs.

    Args:
        records: S runs, in the order they were given.
        labels: Their names.
        returns_Sn: Their daily returns on the test range, fractions.
        hold_n: Those of buy-and-hold, or None if no run has it.
        span: First and last bar.
        periods_per_year: A.
        risk_free: Annual fraction.
        excluded: Label and reason of every finished run that cannot be compared with these.
    """

    records: tuple[RunRecord, ...]
    labels: tuple[str, ...]
    returns_Sn: Float
    hold_n: Float | None
    span: tuple[np.datetime64, np.datetime64]
    periods_per_year: float
    risk_free: float
    excluded: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Judged:
    """One finished run with its curves."""

    label: str
    record: RunRecord
    own: Equity
    hold: Equity | None

    @cached_property
    def terms(self) -> dict[str, str]:
        return {key: show_value(key, value) for key, value in self.record.config.items() if _is_term(key)}

    @cached_property
    def signature(self) -> tuple[object, ...]:
        """What must be equal for two runs to be comparable."""
        ts_T = self.own[0]
        return self.record.fingerprint, self.record.calendar, ts_T.tobytes(), tuple(sorted(self.terms.items()))


@cache
def _is_term(key: str) -> bool:
    return any(key == term or key.startswith(f"{term}.") for term in TERMS)


def find_candidates(records: Sequence[RunRecord], labels: Sequence[str]) -> Candidates | None:
    """Return the largest group of comparable runs, or None if no finished run left its equity.

    Args:
        records: Runs, best first; of groups of equal size the one of the best run is taken.
        labels: A name for each.
    """
    judged, excluded = _read(records, labels)
    if not judged:
        return None
    common = Counter(one.signature for one in judged).most_common(1)[0][0]
    reference = next(one for one in judged if one.signature == common)
    holder = next((one for one in judged if one.signature == common and one.hold is not None), None)
    hold = holder.hold if holder else None
    kept: list[_Judged] = []
    for one in judged:
        reason = _reason(one, reference) or _other_hold(one.hold, hold)
        if reason:
            excluded.append((one.label, reason))
        else:
            kept.append(one)
    ts_T = reference.own[0]
    timeframe_s, days = reference.record.calendar or (0, 0.0)
    marks, periods = annualised_marks(ts_T, timeframe_s, days)
    return Candidates(
        records=tuple(one.record for one in kept),
        labels=tuple(one.label for one in kept),
        returns_Sn=np.array([simple_returns(one.own[1][marks]) for one in kept]),
        hold_n=None if hold is None else simple_returns(hold[1][marks]),
        span=(ts_T[0], ts_T[-1]),
        periods_per_year=periods,
        risk_free=float(reference.record.config.get("evaluate.risk_free") or 0.0),
        excluded=tuple(excluded),
    )


def _read(records: Sequence[RunRecord], labels: Sequence[str]) -> tuple[list[_Judged], list[tuple[str, str]]]:
    """Return the finished runs with their curves, and those whose curves cannot be used with the reason."""
    judged: list[_Judged] = []
    excluded: list[tuple[str, str]] = []
    done = [(record, label) for record, label in zip(records, labels, strict=True) if record.state == "done"]
    for _, label in (one for one in done if one[0].calendar is None):
        excluded.append((label, "its provenance.json does not name the calendar of its data; run it again"))
    known = [(record, label) for record, label in done if record.calendar is not None]
    with duckdb.connect(config={"threads": 1}) as connection:
        found = read_all_curves([record for record, _ in known], connection)
        for (record, label), curves in zip(known, found, strict=True):
            try:
                if isinstance(curves, duckdb.Error):
                    raise curves
                own = strategy_curve(record, curves)
            except (duckdb.Error, LookupError) as error:
                excluded.append((label, f"its equity cannot be read ({str(error).splitlines()[0]})"))
                continue
            judged.append(_Judged(label, record, own, curves.get(BUY_AND_HOLD)))
    return judged, excluded


def _reason(one: _Judged, reference: _Judged) -> str:
    """Return why ``one`` cannot be compared with ``reference``; empty if it can."""
    if (one.record.fingerprint, one.record.calendar) != (reference.record.fingerprint, reference.record.calendar):
        return "other data"
    if not np.array_equal(one.own[0], reference.own[0]):
        return f"other bars: {_show_span(one.own[0])} instead of {_show_span(reference.own[0])}"
    mine, theirs = one.terms, reference.terms
    differing = [
        f"{key} {mine.get(key, ABSENT)} instead of {theirs.get(key, ABSENT)}"
        for key in dict.fromkeys((*mine, *theirs))
        if mine.get(key, ABSENT) != theirs.get(key, ABSENT)
    ]
    return f"other terms: {', '.join(differing)}" if differing else ""


def _other_hold(hold: Equity | None, reference: Equity | None) -> str:
    """Return a reason if the same bars at the same costs gave another buy-and-hold: something unseen differs."""
    if hold is None or reference is None or np.allclose(hold[1], reference[1], rtol=SAME, atol=0.0, equal_nan=True):
        return ""
    return "its buy-and-hold ended elsewhere on the same bars and costs: the code or the market settings differ"


def _show_span(ts_T: Time) -> str:
    first, last = (str(ts.astype("datetime64[D]")) for ts in (ts_T[0], ts_T[-1]))
    return f"{first} to {last} ({len(ts_T):,} bars)"


def validation_figure(metrics: Mapping[str, float], sort: str) -> float:
    """Return the figure that may choose a run: the sort figure on the validation range; NaN if there is none."""
    return metrics.get(f"validation/{sort.rpartition('/')[2]}", float("nan"))
