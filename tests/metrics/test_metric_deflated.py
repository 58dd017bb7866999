"""Probabilistic and deflated Sharpe ratio: published examples, simulation, closed forms and edge cases."""

import math

import numpy as np
import pytest

from tradewright.metrics.deflated import (
    TrackRecord,
    deflated_sharpe,
    min_track_record,
    noise_ceiling,
    probabilistic_sharpe,
    trial_deviation,
)


def test_published_example_of_the_deflated_sharpe_ratio() -> None:
    """Bailey and López de Prado (2014), numerical example: daily data of 5 years, 250 days a year."""
    record = TrackRecord(sharpe=2.5, num_returns=1250, periods_per_year=250.0, skew=-3.0, excess_kurtosis=7.0)
    deviation = math.sqrt(0.5)
    assert noise_ceiling(100, deviation) / math.sqrt(250) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(record, 100, deviation) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(record, 46, deviation) == pytest.approx(0.9505, abs=5e-4)
    normal = TrackRecord(sharpe=2.5, num_returns=1250, periods_per_year=250.0)
    assert deflated_sharpe(normal, 88, deviation) == pytest.approx(0.9505, abs=5e-4)


def test_published_example_of_the_probabilistic_sharpe_ratio() -> None:
    """Bailey and López de Prado (2012): a monthly ratio of 0.458 over 24 months."""
    normal = TrackRecord(sharpe=0.458 * math.sqrt(12), num_returns=24, periods_per_year=12.0)
    skewed = TrackRecord(
        sharpe=normal.sharpe, num_returns=24, periods_per_year=12.0, skew=-2.448, excess_kurtosis=10.164 - 3
    )
    assert probabilistic_sharpe(normal) == pytest.approx(0.982, abs=1e-3)
    assert probabilistic_sharpe(skewed) == pytest.approx(0.913, abs=1e-3)


def test_published_example_of_the_track_record_length() -> None:
    """The same paper: 2.73 years of daily normal returns tell a ratio of 2 from one of 1 at 95 %."""
    record = TrackRecord(sharpe=2.0, num_returns=500, periods_per_year=250.0)
    assert min_track_record(record, 0.95, benchmark=1.0) / 250 == pytest.approx(2.73, abs=0.01)


@pytest.mark.parametrize("benchmark", [0.0, 0.5])
def test_track_record_of_the_minimum_length_just_reaches_the_confidence(benchmark: float) -> None:
    record = TrackRecord(sharpe=1.2, num_returns=300, periods_per_year=252.0, skew=-0.5, excess_kurtosis=4.0)
    needed = min_track_record(record, 0.95, benchmark)
    reached = TrackRecord(1.2, needed, 252.0, -0.5, 4.0)  # type: ignore[arg-type]  # a fraction of a return, to be exact
    assert probabilistic_sharpe(reached, benchmark) == pytest.approx(0.95, abs=1e-12)


@pytest.mark.parametrize("num_trials", [2, 5, 10, 100, 1000])
def test_noise_ceiling_is_the_mean_best_of_many_without_skill(num_trials: int) -> None:
    best = np.random.default_rng(num_trials).normal(size=(4000, num_trials)).max(axis=1)
    tolerance = 0.12 if num_trials == 2 else 0.04  # the published approximation is 8 % low for two trials
    assert noise_ceiling(num_trials, 0.7) == pytest.approx(0.7 * float(best.mean()), rel=tolerance)


def test_noise_ceiling_grows_with_trials_and_is_zero_for_one() -> None:
    ceilings = [noise_ceiling(num, 1.0) for num in (1, 2, 3, 10, 1000)]
    assert ceilings[0] == 0.0
    assert ceilings == sorted(ceilings)
    assert math.isnan(noise_ceiling(5, math.nan))
    with pytest.raises(ValueError, match=r"^num_trials must be >= 1, was 0$"):
        noise_ceiling(0, 1.0)


@pytest.mark.row("X8")
def test_best_of_100_trials_of_a_year_reaches_a_sharpe_ratio_of_two_and_a_half_by_chance() -> None:
    deviation, source = trial_deviation((), 252, 252.0)
    assert source == "sampling"
    assert noise_ceiling(100, deviation) == pytest.approx(2.5, abs=0.05)
    returns = np.random.default_rng(0).normal(0, 0.01, (150, 100, 252))
    ratios = returns.mean(axis=2) / returns.std(axis=2, ddof=1) * math.sqrt(252)
    assert float(ratios.max(axis=1).mean()) == pytest.approx(2.5, abs=0.1)


def test_one_trial_is_not_deflated_and_more_trials_are() -> None:
    record = TrackRecord.of(np.random.default_rng(3).normal(1e-3, 0.01, 500), 252.0)
    assert deflated_sharpe(record, 1, 0.8) == probabilistic_sharpe(record)
    assert deflated_sharpe(record, 50, 0.8) < deflated_sharpe(record, 5, 0.8) < probabilistic_sharpe(record)


def test_standard_error_equals_the_spread_over_many_samples_of_skewed_returns() -> None:
    rng = np.random.default_rng(4)
    returns = 0.05 - 0.1 * (rng.gamma(2.0, 1.0, (4_000, 400)) - 2.0)
    ratios = returns.mean(axis=1) / returns.std(axis=1, ddof=1) * math.sqrt(252)
    whole = TrackRecord.of(returns.ravel(), 252.0)
    one = TrackRecord(whole.sharpe, 400, 252.0, whole.skew, whole.excess_kurtosis)
    assert one.standard_error == pytest.approx(float(ratios.std()), rel=0.04)
    assert TrackRecord(whole.sharpe, 400, 252.0).standard_error < 0.85 * one.standard_error


def test_ten_recorded_trials_tell_their_own_spread_and_nine_do_not() -> None:
    recorded = [0.4 * k for k in range(10)]
    spread, source = trial_deviation(recorded, 500, 252.0)
    assert (spread, source) == (pytest.approx(np.std(recorded, ddof=1)), "trials")
    assert trial_deviation(recorded[:9], 500, 252.0) == (pytest.approx(math.sqrt(252 / 499)), "sampling")
    assert trial_deviation([*recorded[:9], math.nan, math.inf], 500, 252.0)[1] == "sampling"


def test_repeated_trials_do_not_lower_the_ceiling() -> None:
    """Ten near-copies of one trial spread less than luck does; without a floor they would deflate nothing."""
    copies = [0.8 + 0.001 * k for k in range(40)]
    assert trial_deviation(copies, 500, 252.0) == (pytest.approx(math.sqrt(252 / 499)), "sampling")


@pytest.mark.parametrize("returns", [np.zeros(0), np.array([0.01]), np.zeros(50), np.append(np.ones(50), np.nan)])
def test_undefined_returns_leave_everything_undefined(returns: np.ndarray) -> None:
    record = TrackRecord.of(returns, 252.0)
    assert math.isnan(record.standard_error)
    assert math.isnan(probabilistic_sharpe(record))
    assert math.isnan(min_track_record(record))
    assert math.isnan(deflated_sharpe(record, 5, 1.0))


def test_two_returns_have_no_skewness_and_therefore_no_probability() -> None:
    assert math.isnan(probabilistic_sharpe(TrackRecord.of(np.array([0.01, 0.02]), 252.0)))


def test_losing_strategy_has_no_track_record_that_would_do() -> None:
    record = TrackRecord.of(np.random.default_rng(5).normal(-1e-3, 0.01, 500), 252.0)
    assert math.isnan(min_track_record(record))
    assert probabilistic_sharpe(record) < 0.5


def test_variance_below_zero_is_undefined_and_not_clamped() -> None:
    assert math.isnan(TrackRecord(sharpe=3.0, num_returns=50, periods_per_year=1.0, skew=2.0).standard_error)


@pytest.mark.parametrize("confidence", [0.5, 1.0, -1.0])
def test_confidence_out_of_range_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"^confidence must be in \(0\.5, 1\), was"):
        min_track_record(TrackRecord(1.0, 100, 252.0), confidence)
