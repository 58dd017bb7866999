"""Stationary bootstrap: blocks and draws equal arch's, resampled figures equal those of the resampled returns."""

import math

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap
from arch.bootstrap import optimal_block_length as arch_block_length
from arch.bootstrap._samplers_python import stationary_bootstrap_sample_python
from metric_worlds import clustered

from tradewright.metrics import bootstrap, drawdown, ratios, returns
from tradewright.metrics.bootstrap import chain_blocks, draw_counts, optimal_block_length, stationary_indices
from tradewright.metrics.history import Float
from tradewright.metrics.resampled import HEADLINES, Sample, headline_intervals, percentile

A = 252.0


def series(num: int, memory: float, seed: int) -> Float:
    """Return an AR(1) series with Student shocks."""
    shocks = np.random.default_rng(seed).standard_t(4, num)
    for t in range(1, num):
        shocks[t] += memory * shocks[t - 1]
    return 0.01 * shocks


def figures_of(returns_n: Float, risk_free: float = 0.0) -> dict[str, float]:
    """Return the headline figures of one path by the functions that ``summarise`` uses."""
    equity_T = np.concatenate(([1.0], np.cumprod(1.0 + returns_n)))
    total, deepest = returns.total_return(equity_T), drawdown.max_drawdown(equity_T)
    growth = returns.cagr(total, len(returns_n), A)
    return {
        "total_return": total,
        "cagr": growth,
        "volatility": returns.volatility(returns_n, A),
        "sharpe": ratios.sharpe(returns_n, A, risk_free),
        "sortino": ratios.sortino(returns_n, A, risk_free),
        "max_drawdown": deepest,
        "calmar": ratios.calmar(growth, deepest),
    }


@pytest.mark.parametrize("memory", [-0.5, 0.0, 0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("num", [20, 50, 250, 750, 2000])
def test_block_length_equals_arch(num: int, memory: float) -> None:
    for seed in range(5):
        one = series(num, memory, seed)
        expected = max(1.0, float(arch_block_length(one).iloc[0, 0]))
        assert optimal_block_length(one) == pytest.approx(expected, rel=1e-9), (num, memory, seed)


@pytest.mark.parametrize(
    ("one", "length"),
    [(np.zeros(100), 1.0), (np.full(100, 0.01), 1.0), (np.zeros(0), 1.0), (np.arange(5.0), 1.0)],
)
def test_block_length_of_a_constant_or_short_series_is_one(one: Float, length: float) -> None:
    assert optimal_block_length(one) == length


def test_block_length_of_an_undefined_series_is_undefined() -> None:
    assert math.isnan(optimal_block_length(np.append(np.ones(50), np.nan)))


def test_chained_blocks_equal_arch_sampler_on_the_same_draws() -> None:
    rng = np.random.default_rng(1)
    starts, draws = rng.integers(0, 97, (50, 97)), rng.random((50, 97))
    found = chain_blocks(starts.copy(), draws <= 0.2)
    for row in range(50):
        np.testing.assert_array_equal(
            found[row], stationary_bootstrap_sample_python(starts[row].copy(), draws[row], 0.2)
        )


@pytest.mark.parametrize("length", [1.0, 2.5, 20.0])
def test_blocks_have_the_mean_length_and_every_place_is_equally_likely(length: float) -> None:
    num = 200
    index = np.concatenate(list(stationary_indices(num, 4000, length, np.random.default_rng(2))))
    assert index.shape == (4000, num)
    continues = np.mean((index[:, 1:] - index[:, :-1]) % num == 1)
    by_chance = 1.0 / length / num
    assert continues == pytest.approx(1.0 - 1.0 / length + by_chance, abs=4 * math.sqrt(0.25 / index.size))
    share = np.bincount(index.ravel(), minlength=num) / index.size
    assert np.max(np.abs(share - 1.0 / num)) < 6 * math.sqrt(length / num / index.size)


def test_draws_do_not_depend_on_how_they_are_cut_into_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(stationary_indices(50, 7, 1.0, np.random.default_rng(3)))
    monkeypatch.setattr(bootstrap, "CHUNK", 150)
    parts = list(stationary_indices(50, 7, 1.0, np.random.default_rng(3)))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert len(whole) == 1


def test_counts_hold_every_draw() -> None:
    counts = draw_counts(np.array([[0, 0, 2], [1, 2, 2]]), 4)
    assert counts.tolist() == [[2, 0, 1, 0], [0, 1, 2, 0]]


@pytest.mark.parametrize("risk_free", [0.0, 0.03])
def test_figures_of_a_resample_equal_those_of_the_resampled_returns(risk_free: float) -> None:
    returns_Sn = np.array([series(150, 0.2, 1) + 5e-4, series(150, 0.0, 2) - 2e-4])
    sample = Sample(returns_Sn, A, risk_free)
    index = np.concatenate(list(stationary_indices(150, 20, 4.0, np.random.default_rng(4))))
    found = sample.figures(index)
    assert set(found) == set(HEADLINES)
    for place in range(2):
        for draw in range(20):
            expected = figures_of(returns_Sn[place, index[draw]], risk_free)
            for key in HEADLINES:
                assert found[key][place, draw] == pytest.approx(expected[key], rel=1e-9), key
        own = figures_of(returns_Sn[place], risk_free)
        for key, value_S in sample.values().items():
            assert value_S[place] == pytest.approx(own[key], rel=1e-9), key


def test_account_that_lost_everything_has_no_resampled_growth() -> None:
    lost = series(60, 0.0, 1)
    lost[10] = -1.0
    values = Sample(np.array([lost]), A).values()
    assert all(math.isnan(values[key][0]) for key in ("total_return", "cagr", "max_drawdown", "calmar"))
    assert math.isfinite(values["sharpe"][0])


@pytest.mark.parametrize(
    ("one", "undefined"),
    [
        (np.zeros(60), {"sharpe", "sortino", "calmar"}),
        (np.full(60, 0.01), {"sharpe", "sortino", "calmar"}),
        (np.append(np.full(59, 0.01), np.nan), set(HEADLINES)),
        (np.full(60, 1e3), {"cagr", "sharpe", "sortino", "calmar"}),
        (np.full(60, 1e6), {"total_return", "cagr", "sharpe", "sortino", "calmar"}),
    ],
)
def test_undefined_figures_are_nan_and_never_infinite(one: Float, undefined: set[str]) -> None:
    values = Sample(np.array([one]), A).values()
    assert {key for key, value_S in values.items() if not math.isfinite(value_S[0])} == undefined
    assert not any(math.isinf(value_S[0]) for value_S in values.values())


def test_percentile_equals_numpy_and_needs_ninety_five_per_cent_of_the_draws() -> None:
    draws = np.random.default_rng(5).normal(size=(3, 200))
    draws[1, :10] = np.nan
    draws[2, :11] = np.nan
    for level in (0.025, 0.5, 0.975):
        found = percentile(draws, level)
        assert found[0] == pytest.approx(np.quantile(draws[0], level), rel=1e-12)
        assert found[1] == pytest.approx(np.quantile(draws[1, 10:], level), rel=1e-12)
        assert math.isnan(found[2])


def test_intervals_equal_those_of_arch_up_to_the_number_of_resamples() -> None:
    one = series(400, 0.2, 7) + 5e-4
    bounds, length = headline_intervals(Sample(np.array([one]), A), num_resamples=20_000, confidence=0.9, seed=1)
    assert length == pytest.approx(float(arch_block_length(one).iloc[0, 0]))
    theirs = StationaryBootstrap(length, one, seed=8)

    def two(sample: Float) -> Float:
        return np.array([ratios.sharpe(sample, A), returns.volatility(sample, A)])

    low, high = theirs.conf_int(two, reps=3000, method="percentile", size=0.9)[:, 0]
    ratio = bounds["sharpe"]
    assert ratio.low_S[0] == pytest.approx(low, abs=0.06)
    assert ratio.high_S[0] == pytest.approx(high, abs=0.06)
    assert high - low > 1.0


def test_volatility_has_longer_blocks_where_volatility_is_clustered() -> None:
    returns_Sn = clustered(np.random.default_rng(6), 1, 750)
    bounds, length = headline_intervals(Sample(returns_Sn, A), seed=1)
    index = np.concatenate(list(stationary_indices(750, 1000, length, np.random.default_rng(1))))
    naive = Sample(returns_Sn, A).volatility(index)
    width = bounds["volatility"].high_S[0] - bounds["volatility"].low_S[0]
    assert width > 1.3 * (percentile(naive, 0.975) - percentile(naive, 0.025))[0]


def test_intervals_are_the_same_for_the_same_seed_only() -> None:
    sample = Sample(np.array([series(100, 0.0, 1)]), A)
    lows = [headline_intervals(sample, seed=seed)[0]["sharpe"].low_S[0] for seed in (1, 1, 2)]
    assert lows[0] == lows[1] != lows[2]


def test_undefined_series_does_not_disturb_the_others() -> None:
    good = series(100, 0.0, 1)
    bad = np.append(good[:-1], np.nan)
    alone, _ = headline_intervals(Sample(np.array([good]), A))
    both, _ = headline_intervals(Sample(np.array([good, bad]), A))
    for key in HEADLINES:
        assert both[key].low_S[0] == pytest.approx(alone[key].low_S[0], rel=1e-9)
        assert math.isnan(both[key].low_S[1])


@pytest.mark.parametrize("num", [0, 1, 2, 19])
def test_too_few_returns_have_values_but_no_interval(num: int) -> None:
    bounds, length = headline_intervals(Sample(np.array([series(num, 0.0, 1)]), A))
    assert math.isnan(length)
    assert set(bounds) == set(HEADLINES)
    assert all(math.isnan(bound.low_S[0]) and math.isnan(bound.high_S[0]) for bound in bounds.values())
    assert math.isnan(bounds["total_return"].value_S[0]) == (num == 0)


def test_wins_without_loss_leave_the_ratios_undefined_but_the_growth_known() -> None:
    gains = np.abs(series(100, 0.0, 1))
    bounds, _ = headline_intervals(Sample(np.array([gains]), A))
    assert math.isnan(bounds["sortino"].low_S[0])
    assert math.isnan(bounds["calmar"].low_S[0])
    assert bounds["max_drawdown"].high_S[0] == 0.0
    assert bounds["total_return"].low_S[0] > 0
