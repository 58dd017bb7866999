"""How far a Sharpe ratio could be luck: probabilistic and deflated Sharpe ratio, noise ceiling, track record length.

All Sharpe ratios that go in and come out are annualised; formulas are per period, ``s = S / sqrt(A)``.
Legend: n simple returns, A periods per year.

Source: Bailey and López de Prado (2012), The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2); (2014), The
Deflated Sharpe Ratio, Journal of Portfolio Management 40(5).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tradewright.metrics.history import Float
from tradewright.metrics.ratios import sharpe
from tradewright.metrics.tails import excess_kurtosis, skewness

NORMAL = NormalDist()

MIN_RECORDED = 10
"""Recorded trials from which their own dispersion is used: fewer cannot tell it."""


@dataclass(frozen=True)
class TrackRecord:
    """What the sampling error of a Sharpe ratio depends on.

    Args:
        sharpe: Annualised Sharpe ratio S; NaN if undefined.
        num_returns: n.
        periods_per_year: A.
        skew: Skewness of the returns (population moments).
        excess_kurtosis: Excess kurtosis of the returns (population moments), 0 for a normal distribution.
    """

    sharpe: float
    num_returns: int
    periods_per_year: float
    skew: float = 0.0
    excess_kurtosis: float = 0.0

    @classmethod
    def of(cls, returns_n: Float, periods_per_year: float, risk_free: float = 0.0) -> "TrackRecord":
        """Return the track record of simple returns; ``risk_free`` is an annual fraction."""
        ratio = sharpe(returns_n, periods_per_year, risk_free)
        return cls(ratio, len(returns_n), periods_per_year, skewness(returns_n), excess_kurtosis(returns_n))

    @property
    def standard_error(self) -> float:
        """``sqrt((1 - g3 s + (g4 - 1) / 4 s**2) / (n - 1)) * sqrt(A)``, with kurtosis ``g4 = 3`` for normal returns.

        NaN with fewer than two returns, an undefined moment, or a variance that is not above zero.
        """
        if self.num_returns < 2:
            return math.nan
        per_period = self.sharpe / math.sqrt(self.periods_per_year)
        variance = 1.0 - self.skew * per_period + (self.excess_kurtosis + 2.0) / 4.0 * per_period**2
        if not variance > 0:
            return math.nan
        return math.sqrt(variance / (self.num_returns - 1) * self.periods_per_year)


def probabilistic_sharpe(record: TrackRecord, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio exceeds ``benchmark``: ``Phi((S - S0) / error(S))``.

    Args:
        record: The track record.
        benchmark: S0, annualised.

    Returns:
        Probability; NaN where the standard error or the benchmark is undefined.
    """
    score = (record.sharpe - benchmark) / record.standard_error
    return NORMAL.cdf(score) if not math.isnan(score) else math.nan


def min_track_record(record: TrackRecord, confidence: float = 0.95, benchmark: float = 0.0) -> float:
    """Return the number of returns from which the probabilistic Sharpe ratio would reach ``confidence``.

    ``1 + (1 - g3 s + (g4 - 1) / 4 s**2) * (Phi^-1(confidence) / (s - s0))**2``

    Args:
        record: The track record.
        confidence: In (0.5, 1).
        benchmark: S0, annualised.

    Returns:
        Periods; NaN if the Sharpe ratio does not exceed the benchmark (no length would do) or is undefined.

    Raises:
        ValueError: ``confidence`` is not in (0.5, 1).
    """
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence must be in (0.5, 1), was {confidence}")
    if not record.sharpe > benchmark:
        return math.nan
    error = record.standard_error * math.sqrt(record.num_returns - 1)
    return 1.0 + (error * NORMAL.inv_cdf(confidence) / (record.sharpe - benchmark)) ** 2


def noise_ceiling(num_trials: int, deviation: float) -> float:
    """Return the expected best Sharpe ratio of N independent trials without skill.

    ``deviation * ((1 - g) Phi^-1(1 - 1 / N) + g Phi^-1(1 - 1 / (N e)))`` with Euler's constant g; 0 for one trial.
    The published approximation: 8 % low for two trials, within 3 % from five.

    Args:
        num_trials: N, >= 1.
        deviation: Standard deviation of the annualised Sharpe ratios across the trials.

    Returns:
        Annualised Sharpe ratio; NaN if the deviation is.

    Raises:
        ValueError: ``num_trials`` is below 1.
    """
    if num_trials < 1:
        raise ValueError(f"num_trials must be >= 1, was {num_trials}")
    if num_trials == 1:
        return 0.0 * deviation
    gamma = float(np.euler_gamma)
    best = (1.0 - gamma) * NORMAL.inv_cdf(1.0 - 1.0 / num_trials)
    return deviation * (best + gamma * NORMAL.inv_cdf(1.0 - 1.0 / (num_trials * math.e)))


def trial_deviation(recorded: Sequence[float], num_returns: int, periods_per_year: float) -> tuple[float, str]:
    """Return the standard deviation of the annualised Sharpe ratios across trials, and where it comes from.

    Args:
        recorded: Annualised Sharpe ratios of the trials that recorded one; undefined ones are not counted.
        num_returns: n of one trial.
        periods_per_year: A.

    Returns:
        The deviation (ddof 1) and ``trials`` where at least 10 are recorded and it is the larger one; else
        ``sqrt(A / (n - 1))``, the sampling deviation without skill, and ``sampling``; NaN with fewer than two returns.
        Without that floor, repeating a trial with keys that change nothing would lower the ceiling.
    """
    known = np.array([ratio for ratio in recorded if math.isfinite(ratio)])
    sampling = math.sqrt(periods_per_year / (num_returns - 1)) if num_returns > 1 else math.nan
    across = float(np.std(known, ddof=1)) if len(known) >= MIN_RECORDED else 0.0
    return (across, "trials") if across > sampling else (sampling, "sampling")


def deflated_sharpe(record: TrackRecord, num_trials: int, deviation: float) -> float:
    """Return the probability that the true Sharpe ratio exceeds the noise ceiling of ``num_trials`` trials.

    Args:
        record: The track record of the chosen trial.
        num_trials: All trials made, the chosen one included, >= 1.
        deviation: Of the annualised Sharpe ratios across the trials.

    Returns:
        Probability; for one trial the probabilistic Sharpe ratio above 0; NaN where undefined.
    """
    return probabilistic_sharpe(record, noise_ceiling(num_trials, deviation))
