"""How far the figures of the test range could be chance: intervals, comparisons with the baselines, deflated Sharpe.

Returns are daily, as in every annualised figure. Intervals are those of the stationary bootstrap, comparisons those of
the paired block bootstrap, corrected for their number. SciPy, pandas and arch are imported only for ``superiority``.
Legend: S results (the strategy first), K others, n returns.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from tradewright.backtest.result import BacktestResult
from tradewright.evaluate.evidence import Comparison, Interval, Significance, Trials
from tradewright.evaluate.intervals import require_resampling
from tradewright.metrics.calendar import annualised_marks
from tradewright.metrics.deflated import (
    TrackRecord,
    deflated_sharpe,
    min_track_record,
    noise_ceiling,
    probabilistic_sharpe,
    trial_deviation,
)
from tradewright.metrics.history import Float
from tradewright.metrics.multiple import CORRECTIONS, Correction, correct
from tradewright.metrics.paired import Difference, compare_pairs
from tradewright.metrics.resampled import Bounds, Sample, headline_intervals
from tradewright.metrics.returns import simple_returns

SHOWN = ("sharpe", "total_return", "max_drawdown")
"""Figures whose interval goes into ``metrics.json``; the evidence has all of them."""


class SignificanceTest:
    """Judges how sure one can be of a strategy's figures.

    Args:
        num_resamples: Of both bootstraps, >= 100.
        confidence: Level of intervals and of the track record length, in (0.5, 1).
        seed: Of the resamples.
        correction: ``romano_wolf``, ``holm`` or ``none``: how p-values are corrected for the number of comparisons.
        superiority: Whether Hansen's SPA test is made too; it takes a second.

    Raises:
        ValueError: A value is out of range or unknown.
    """

    def __init__(
        self,
        *,
        num_resamples: int = 1000,
        confidence: float = 0.95,
        seed: int = 0,
        correction: Literal["romano_wolf", "holm", "none"] = "romano_wolf",
        superiority: bool = False,
    ) -> None:
        require_resampling(num_resamples, confidence, seed)
        if correction not in CORRECTIONS:
            raise ValueError(f"correction must be one of {', '.join(CORRECTIONS)}, was {correction!r}")
        self.num_resamples = num_resamples
        self.confidence = confidence
        self.seed = seed
        self.correction: Correction = correction
        self.superiority = superiority

    def assess(
        self, strategy: BacktestResult, others: Mapping[str, BacktestResult], trials: Trials, risk_free: float = 0.0
    ) -> Significance:
        """Return the evidence for ``strategy`` among ``others``.

        Args:
            strategy: Its backtest on the test range.
            others: Baselines by name, over the same bars; the strategy itself is left out.
            trials: How many trials were made to find it, from the ledger.
            risk_free: Annual fraction.

        Raises:
            ValueError: Another result does not cover the same bars.
        """
        rivals = {name: other for name, other in others.items() if name != strategy.name}
        returns_Sn, periods = _daily_returns(strategy, rivals)
        sample = Sample(returns_Sn, periods, risk_free)
        bounds, block_length = headline_intervals(
            sample, num_resamples=self.num_resamples, confidence=self.confidence, seed=self.seed
        )
        record = TrackRecord.of(returns_Sn[0], periods, risk_free)
        deviation, source = trial_deviation((*trials.sharpe_K, record.sharpe), record.num_returns, periods)
        return Significance(
            confidence=self.confidence,
            num_resamples=self.num_resamples,
            block_length=block_length,
            num_periods=record.num_returns,
            intervals={
                name: {key: _interval(bound, place) for key, bound in bounds.items()}
                for place, name in enumerate((strategy.name, *rivals))
            },
            comparisons=self._compare(sample, tuple(rivals)),
            probabilistic_sharpe=probabilistic_sharpe(record),
            deflated_sharpe=deflated_sharpe(record, trials.num, deviation),
            noise_ceiling=noise_ceiling(trials.num, deviation),
            num_trials=trials.num,
            trial_deviation=deviation,
            deviation_source=source,
            min_track_record=min_track_record(record, self.confidence),
            superiority_p_value=self._superiority(returns_Sn) if self.superiority and rivals else math.nan,
        )

    def _compare(self, sample: Sample, names: tuple[str, ...]) -> tuple[Comparison, ...]:
        """Compare the first series with each other one."""
        return compare_strategies(
            np.broadcast_to(sample.returns_Sn[0], sample.returns_Sn[1:].shape),
            sample.returns_Sn[1:],
            names,
            periods_per_year=sample.periods_per_year,
            risk_free=sample.risk_free,
            num_resamples=self.num_resamples,
            confidence=self.confidence,
            seed=self.seed,
            correction=self.correction,
        )

    def _superiority(self, returns_Sn: Float) -> float:
        """Return the p-value of "no baseline has a lower mean return than the strategy"."""
        from tradewright.metrics.superiority import find_superior

        # SPA asks whether any model beats the benchmark; of negated returns, that is whether the benchmark beats any.
        return find_superior(
            -returns_Sn[0],
            -returns_Sn[1:],
            num_resamples=self.num_resamples,
            confidence=self.confidence,
            seed=self.seed,
        ).p_value

    @staticmethod
    def metrics(significance: Significance) -> dict[str, float]:
        """Return the figures of ``significance`` for ``metrics.json``, keys without prefix; undefined is NaN."""
        intervals = next(iter(significance.intervals.values()))
        out = {}
        for key in SHOWN:
            out[f"{key}_low"], out[f"{key}_high"] = intervals[key].low, intervals[key].high
        return out | {
            "probabilistic_sharpe": significance.probabilistic_sharpe,
            "deflated_sharpe": significance.deflated_sharpe,
            "noise_ceiling": significance.noise_ceiling,
            "num_trials": float(significance.num_trials),
        }


def compare_strategies(
    first_Kn: Float,
    second_Kn: Float,
    names: Sequence[str],
    *,
    periods_per_year: float,
    risk_free: float,
    num_resamples: int,
    confidence: float,
    seed: int = 0,
    correction: Correction,
) -> tuple[Comparison, ...]:
    """Return one family of K comparisons, first minus second, corrected for K.

    Args:
        first_Kn: Simple returns, fractions.
        second_Kn: Simple returns over the same periods.
        names: Of the second ones.
        periods_per_year: A.
        risk_free: Annual fraction.
        num_resamples: Of the paired block bootstrap.
        confidence: Of the intervals.
        seed: Of the resamples.
        correction: How the p-values are corrected.
    """
    if len(names) == 0:
        return ()
    paired = compare_pairs(
        first_Kn,
        second_Kn,
        periods_per_year=periods_per_year,
        risk_free=risk_free,
        num_resamples=num_resamples,
        seed=seed,
    )
    sharpe, mean = (_difference_intervals(side, confidence) for side in (paired.sharpe, paired.mean))
    p_values, adjusted = paired.sharpe.p_values(), correct(paired.sharpe, correction)
    return tuple(
        Comparison(
            name=name,
            sharpe=sharpe[place],
            mean=mean[place],
            p_value=float(p_values[place]),
            adjusted_p_value=float(adjusted[place]),
        )
        for place, name in enumerate(names)
    )


def _difference_intervals(difference: Difference, confidence: float) -> list[Interval]:
    lows, highs = difference.bounds(confidence)
    return [
        Interval(value=float(value), low=float(low), high=float(high))
        for value, low, high in zip(difference.value_K, lows, highs, strict=True)
    ]


def _daily_returns(strategy: BacktestResult, others: Mapping[str, BacktestResult]) -> tuple[Float, float]:
    """Return the returns that are annualised, one row per result, and the number of periods per year."""
    for name, other in others.items():
        if not np.array_equal(strategy.ts_T, other.ts_T):
            raise ValueError(f"{name} must cover the same {len(strategy.ts_T)} bars as {strategy.name}")
    marks, periods = annualised_marks(strategy.ts_T, strategy.timeframe_s, strategy.periods_per_year)
    rows = [simple_returns(result.equity_T[marks]) for result in (strategy, *others.values())]
    return np.array(rows), periods


def _interval(bounds: Bounds, place: int) -> Interval:
    return Interval(
        value=float(bounds.value_S[place]), low=float(bounds.low_S[place]), high=float(bounds.high_S[place])
    )
