"""Growth, dispersion, ratios, tails and benchmark figures against NumPy and SciPy oracles and by their properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from tradewright.metrics import drawdown, ratios, relative, returns, tails

PERIODS = 252.0
STEPS = arrays(np.float64, st.integers(5, 120), elements=st.floats(-0.2, 0.2).map(lambda x: round(x, 4)))


def to_equity(steps: np.ndarray, start: float = 1000.0) -> np.ndarray:
    return start * np.concatenate(([1.0], np.cumprod(1 + steps)))


def oracle(r: np.ndarray, b: np.ndarray, rf: float) -> dict[str, float]:
    """Return the figures the plain way, from their textbook formulas."""
    excess, daily = r - rf / PERIODS, rf / PERIODS
    down = np.sqrt(np.mean(np.where(r < daily, r - daily, 0.0) ** 2)) * np.sqrt(PERIODS)
    covariance = np.cov(r, b, ddof=1)
    beta = covariance[0, 1] / covariance[1, 1]
    return {
        "volatility": r.std(ddof=1) * np.sqrt(PERIODS),
        "downside": down,
        "sharpe": excess.mean() / excess.std(ddof=1) * np.sqrt(PERIODS),
        "sortino": excess.mean() * PERIODS / down,
        "beta": beta,
        "alpha": (1 + (excess - beta * (b - daily)).mean()) ** PERIODS - 1,
        "correlation": np.corrcoef(r, b)[0, 1],
        "tracking": (r - b).std(ddof=1) * np.sqrt(PERIODS),
        "information": (r - b).mean() / (r - b).std(ddof=1) * np.sqrt(PERIODS),
        "var": np.percentile(r, 5),
        "cvar": np.mean([x for x in r if x <= np.percentile(r, 5)]),
        "skew": stats.skew(r),
        "kurtosis": stats.kurtosis(r),
    }


@pytest.mark.row("L36")
@pytest.mark.row("L38")
@pytest.mark.row("L40")
@pytest.mark.parametrize("rf", [0.0, 0.03])
@pytest.mark.parametrize("seed", range(4))
def test_figures_equal_independent_formulas(seed: int, rf: float) -> None:
    rng = np.random.default_rng(seed)
    b = rng.standard_t(4, 700) * 0.01
    r = 0.7 * b + rng.normal(2e-4, 0.008, 700)
    want = oracle(r, b, rf)
    got = {
        "volatility": returns.volatility(r, PERIODS),
        "downside": returns.downside_deviation(r, PERIODS, rf / PERIODS),
        "sharpe": ratios.sharpe(r, PERIODS, rf),
        "sortino": ratios.sortino(r, PERIODS, rf),
        "beta": relative.beta(r, b),
        "alpha": relative.alpha(r, b, PERIODS, rf),
        "correlation": relative.correlation(r, b),
        "tracking": relative.tracking_error(r, b, PERIODS),
        "information": relative.information_ratio(r, b, PERIODS),
        "var": tails.value_at_risk(r),
        "cvar": tails.conditional_value_at_risk(r),
        "skew": tails.skewness(r),
        "kurtosis": tails.excess_kurtosis(r),
    }
    assert got == pytest.approx(want, rel=1e-9)


def test_rolling_sharpe_equals_sharpe_of_each_window() -> None:
    r = np.random.default_rng(5).normal(0, 0.01, 90)
    rolled = ratios.rolling_sharpe(r, 20, PERIODS, 0.02)
    want = [math.nan] * 19 + [ratios.sharpe(r[end - 20 : end], PERIODS, 0.02) for end in range(20, 91)]
    np.testing.assert_allclose(rolled, want, rtol=1e-12)
    assert np.isnan(ratios.rolling_sharpe(r[:10], 20, PERIODS)).all()
    with pytest.raises(ValueError, match=r"^window must be >= 2, was 1$"):
        ratios.rolling_sharpe(r, 1, PERIODS)


def test_sharpe_standard_error_matches_simulation() -> None:
    rng = np.random.default_rng(11)
    samples = rng.normal(0.001, 0.01, (4000, 500))
    simulated = np.std(samples.mean(axis=1) / samples.std(axis=1, ddof=1) * math.sqrt(PERIODS))
    assert ratios.sharpe_standard_error(0.1 * math.sqrt(PERIODS), 500, PERIODS) == pytest.approx(simulated, rel=0.04)


@given(STEPS, st.floats(1e-3, 1e9))
@settings(max_examples=60, deadline=None)
def test_scaling_equity_changes_no_figure(steps: np.ndarray, scale: float) -> None:
    one, other = to_equity(steps), to_equity(steps) * scale
    r, s = returns.simple_returns(one), returns.simple_returns(other)
    np.testing.assert_allclose(s, r, atol=1e-13)
    assert returns.total_return(other) == pytest.approx(returns.total_return(one), abs=1e-12)
    assert drawdown.max_drawdown(other) == pytest.approx(drawdown.max_drawdown(one), abs=1e-12)
    a, b = ratios.sharpe(r, PERIODS), ratios.sharpe(s, PERIODS)
    assert (math.isnan(a) and math.isnan(b)) or b == pytest.approx(a, rel=1e-9, abs=1e-9)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_returns_compound_to_total_return_and_cagr(steps: np.ndarray) -> None:
    equity = to_equity(steps)
    r = returns.simple_returns(equity)
    total = returns.total_return(equity)
    assert np.prod(1 + r) - 1 == pytest.approx(total, abs=1e-12)
    growth = returns.cagr(total, len(r), PERIODS)
    assert (1 + growth) ** (len(r) / PERIODS) - 1 == pytest.approx(total, abs=1e-9)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_tail_figures_are_ordered(steps: np.ndarray) -> None:
    r = returns.simple_returns(to_equity(steps))
    assert returns.worst_return(r) <= tails.conditional_value_at_risk(r) <= tails.value_at_risk(r) + 1e-15
    assert tails.value_at_risk(r) <= returns.best_return(r)


def test_account_against_itself_has_beta_one_and_undefined_information_ratio() -> None:
    r = np.random.default_rng(2).normal(0, 0.01, 100)
    assert relative.beta(r, r) == pytest.approx(1.0, rel=1e-12)
    assert relative.alpha(r, r, PERIODS) == pytest.approx(0.0, abs=1e-12)
    assert relative.tracking_error(r, r, PERIODS) == 0.0
    assert math.isnan(relative.information_ratio(r, r, PERIODS))


@pytest.mark.parametrize(
    "value",
    [
        returns.total_return(np.array([])),
        returns.total_return(np.array([0.0, 1.0])),
        returns.cagr(math.nan, 5, PERIODS),
        returns.cagr(-1.2, 5, PERIODS),
        returns.cagr(0.1, 0, PERIODS),
        returns.cagr(1e6, 1, 1e5),
        returns.volatility(np.array([0.1]), PERIODS),
        returns.downside_deviation(np.array([]), PERIODS),
        returns.best_return(np.array([])),
        returns.worst_return(np.array([])),
        returns.positive_share(np.array([0.1, math.nan])),
        ratios.sharpe(np.array([0.1]), PERIODS),
        ratios.sharpe(np.zeros(10), PERIODS),
        ratios.sharpe(returns.simple_returns(1.01 ** np.arange(50)), PERIODS),
        ratios.sharpe(np.array([0.1, math.nan, 0.2]), PERIODS),
        ratios.sharpe_standard_error(1.0, 1, PERIODS),
        ratios.sharpe_standard_error(math.nan, 100, PERIODS),
        ratios.sortino(np.array([0.1, 0.2, 0.0]), PERIODS),
        ratios.sortino(np.array([0.1]), PERIODS),
        ratios.calmar(0.1, 0.0),
        ratios.calmar(0.1, math.nan),
        ratios.calmar(math.nan, 0.1),
        tails.value_at_risk(np.array([])),
        tails.value_at_risk(np.array([math.nan, 0.1])),
        tails.conditional_value_at_risk(np.array([])),
        tails.skewness(np.array([0.1, 0.2])),
        tails.skewness(np.full(9, 0.01)),
        tails.excess_kurtosis(np.full(9, 0.01)),
        relative.beta(np.array([0.1, 0.2]), np.array([0.01, 0.01])),
        relative.beta(np.array([0.1]), np.array([0.1])),
        relative.alpha(np.array([0.1, 0.2]), np.array([0.01, 0.01]), PERIODS),
        relative.correlation(np.zeros(5), np.arange(5.0)),
        relative.correlation(np.array([]), np.array([])),
        relative.tracking_error(np.array([0.1]), np.array([0.1]), PERIODS),
    ],
)
def test_undefined_figure_is_nan(value: float) -> None:
    assert math.isnan(value)


def test_total_loss_gives_cagr_of_minus_one() -> None:
    assert returns.cagr(-1.0, 10, PERIODS) == -1.0


def test_returns_after_zero_equity_are_undefined_without_warning() -> None:
    r = returns.simple_returns(np.array([100.0, 50.0, -10.0, -10.0]))
    assert r[:2].tolist() == [-0.5, -1.2]
    assert math.isnan(r[2])


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5])
def test_confidence_outside_zero_and_one_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=r"^level must be in"):
        tails.value_at_risk(np.array([0.1]), level)


def test_benchmark_of_other_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^benchmark_n must hold one return per period \(3\), held 2$"):
        relative.beta(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match=r"^benchmark_n must hold"):
        relative.tracking_error(np.zeros(3), np.zeros(2), PERIODS)
