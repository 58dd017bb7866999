"""Paired bootstrap and its corrections, against a slow version in plain NumPy, closed forms and hand-made tables."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_worlds import clustered, random_positions

from tradewright.metrics import paired as paired_module
from tradewright.metrics.history import Float
from tradewright.metrics.multiple import CORRECTIONS, correct, holm, romano_wolf
from tradewright.metrics.paired import Difference, PairedBootstrap, compare_pairs

A = 252.0


def pair(num: int = 250, seed: int = 0) -> tuple[Float, Float]:
    """Return the returns of two random strategies on one market."""
    rng = np.random.default_rng(seed)
    market_1n = clustered(rng, 1, num)
    first, second = ((random_positions(rng, 1, num) + 0.3) * market_1n for _ in range(2))
    return first[0] + 4e-4, second[0]


def compared(first_n: Float, second_n: Float, **options: object) -> PairedBootstrap:
    return compare_pairs(first_n[None], second_n[None], periods_per_year=A, **options)  # type: ignore[arg-type]


def slow_draws(first_n: Float, second_n: Float, length: int, num_resamples: int, seed: int) -> tuple[Float, Float]:
    """Return ``|change| / error`` of both differences by explicit resampling and numerical derivatives."""
    num, num_blocks = len(first_n), math.ceil(len(first_n) / length)
    moments = np.array([first_n, second_n, first_n**2, second_n**2])

    def sharpe(mean: Float) -> float:
        deviations = np.sqrt(mean[2:] - mean[:2] ** 2)
        return float(mean[0] / deviations[0] - mean[1] / deviations[1])

    def mean_return(mean: Float) -> float:
        return float(mean[0] - mean[1])

    starts = np.random.default_rng(seed).integers(0, num, (num_resamples, num_blocks))
    out: list[list[float]] = [[], []]
    for row in starts:
        blocks = np.array([moments[:, (start + np.arange(length)) % num].mean(axis=1) for start in row])
        mean = blocks.mean(axis=0)
        spread = np.cov(blocks.T, ddof=0)
        for place, figure in enumerate((sharpe, mean_return)):
            steps = np.diag(np.maximum(np.abs(mean), 1e-6) * 1e-5)
            slope = np.array([(figure(mean + s) - figure(mean - s)) / (2 * s.sum()) for s in steps])
            error = math.sqrt(slope @ spread @ slope / num_blocks)
            out[place].append(abs(figure(mean) - figure(moments.mean(axis=1))) / error)
    return np.array(out[0]), np.array(out[1])


@pytest.mark.parametrize("length", [1, 4, 7])
def test_draws_equal_explicit_resampling(length: int) -> None:
    first, second = pair(120)
    found = compared(first, second, num_resamples=40, seed=5, block_length=length)
    sharpe, mean = slow_draws(first, second, length, 40, 5)
    np.testing.assert_allclose(found.sharpe.draws_RK[:, 0], sharpe, rtol=1e-5)
    np.testing.assert_allclose(found.mean.draws_RK[:, 0], mean, rtol=1e-5)


@pytest.mark.parametrize("length", [1, 4, 7])
def test_error_of_the_sample_is_that_of_all_its_overlapping_blocks(length: int) -> None:
    first, second = pair(120)
    gaps = first - second
    means = np.array([gaps[np.arange(start, start + length) % 120].mean() for start in range(120)])
    error = math.sqrt(np.var(means) * length / 120) * A
    found = compared(first, second, num_resamples=1, block_length=length)
    assert found.mean.error_K[0] == pytest.approx(error, rel=1e-9)
    assert found.mean.statistic_K[0] == pytest.approx(abs(gaps.mean() * A) / error, rel=1e-9)


def test_differences_are_annualised_first_minus_second() -> None:
    first, second = pair()
    found = compared(first, second, risk_free=0.02)
    excess = [one - 0.02 / A for one in (first, second)]
    ratios = [one.mean() / one.std() * math.sqrt(A) for one in excess]
    assert found.sharpe.value_K[0] == pytest.approx(ratios[0] - ratios[1], rel=1e-12)
    assert found.mean.value_K[0] == pytest.approx((first.mean() - second.mean()) * A, rel=1e-12)
    assert compared(first + 0.01, second).sharpe.value_K[0] > 0


def test_error_without_dependence_equals_the_closed_form() -> None:
    """Memmel (2003): for normal returns ``n var = 2 - 2 rho + (s1**2 + s2**2 - 2 s1 s2 rho**2) / 2``."""
    num, rho = 200_000, 0.6
    noise = np.random.default_rng(1).normal(size=(2, num))
    first, second = noise[0] + 0.5, rho * noise[0] + math.sqrt(1 - rho**2) * noise[1] + 0.2
    expected = (2 - 2 * rho + 0.5 * (0.5**2 + 0.2**2 - 2 * 0.5 * 0.2 * rho**2)) / num
    found = compared(first, second, num_resamples=1, block_length=1)
    assert found.sharpe.error_K[0] == pytest.approx(math.sqrt(expected * A), rel=0.02)
    assert found.mean.error_K[0] == pytest.approx(math.sqrt((2 - 2 * rho) / num) * A, rel=0.02)


def test_swapped_strategies_give_the_opposite_difference_and_the_same_p_value() -> None:
    first, second = pair()
    one, other = compared(first, second), compared(second, first)
    assert one.sharpe.value_K[0] == pytest.approx(-other.sharpe.value_K[0])
    assert one.sharpe.p_values()[0] == other.sharpe.p_values()[0]


def test_strong_edge_is_found_and_weak_one_is_not() -> None:
    first, second = pair(750)
    assert compared(second + 3e-3, second + 1e-9 * first).sharpe.p_values()[0] == pytest.approx(1 / 1001)
    assert compared(first, second).sharpe.p_values()[0] > 0.1


@given(seed=st.integers(0, 10_000), confidence=st.sampled_from([0.8, 0.9, 0.95, 0.99]))
@settings(max_examples=40, deadline=None)
def test_interval_excludes_zero_exactly_when_the_p_value_rejects(seed: int, confidence: float) -> None:
    first, second = pair(100, seed)
    found = compared(first + seed % 7 * 2e-4, second, num_resamples=199, seed=seed)
    for side in (found.sharpe, found.mean):
        low, high = side.bounds(confidence)
        assert (low[0] > 0 or high[0] < 0) == (side.p_values()[0] <= 1 - confidence + 1e-12)
        assert low[0] <= side.value_K[0] <= high[0]


def test_too_few_resamples_for_the_confidence_leave_the_interval_undefined() -> None:
    low, high = compared(*pair(), num_resamples=18).sharpe.bounds(0.95)
    assert math.isnan(low[0])
    assert math.isnan(high[0])
    assert not math.isnan(compared(*pair(), num_resamples=19).sharpe.bounds(0.95)[0][0])


def test_same_strategy_and_its_leveraged_copy_do_not_differ() -> None:
    first, _ = pair()
    same = compared(first, first)
    assert same.sharpe.p_values()[0] == same.mean.p_values()[0] == 1.0
    assert (same.sharpe.bounds(0.95)[0][0], same.sharpe.bounds(0.95)[1][0]) == (0.0, 0.0)
    double = compared(2 * first, first)
    assert double.sharpe.p_values()[0] == 1.0
    assert double.mean.value_K[0] == pytest.approx(first.mean() * A)
    assert double.mean.error_K[0] > 0


@pytest.mark.parametrize("copy", [1.0, 2.0], ids=["the same", "leveraged"])
def test_copy_in_the_family_does_not_make_the_other_comparisons_harder(copy: float) -> None:
    first, second = pair()
    alone = compare_pairs(first[None], second[None], periods_per_year=A, block_length=3)
    both = compare_pairs(np.array([first, first]), np.array([second, copy * first]), periods_per_year=A, block_length=3)
    adjusted = correct(both.sharpe, "romano_wolf")
    assert adjusted.tolist() == [correct(alone.sharpe, "romano_wolf")[0], 1.0]


@pytest.mark.parametrize("second", [np.zeros(250), np.full(250, 1e-4)], ids=["never trades", "constant"])
def test_strategy_without_dispersion_has_a_mean_but_no_ratio(second: Float) -> None:
    found = compared(pair()[0], second)
    assert math.isnan(found.sharpe.value_K[0])
    assert math.isnan(found.sharpe.p_values()[0])
    assert math.isnan(found.sharpe.bounds(0.95)[0][0])
    assert 0 < found.mean.p_values()[0] <= 1


@pytest.mark.parametrize("num", [0, 1, 19])
def test_too_few_returns_are_undefined(num: int) -> None:
    found = compared(np.ones(num), np.zeros(num))
    assert math.isnan(found.sharpe.p_values()[0])
    assert math.isnan(found.mean.value_K[0])


def test_undefined_pair_does_not_disturb_the_others() -> None:
    first, second = pair()
    bad = np.append(first[:-1], np.nan)
    alone = compared(first, second)
    both = compare_pairs(np.array([first, bad]), np.array([second, second]), periods_per_year=A)
    assert both.sharpe.p_values()[0] == alone.sharpe.p_values()[0]
    assert math.isnan(both.sharpe.p_values()[1])
    assert math.isnan(both.mean.p_values()[1])


def test_rare_trades_count_resamples_without_trade_against_significance() -> None:
    rare = np.zeros(100)
    rare[[3, 50]] = 0.02, 0.01
    found = compared(rare, pair(100)[1], block_length=1)
    share = float(np.mean(np.isinf(found.sharpe.draws_RK)))
    assert share > 0.1
    assert found.sharpe.p_values()[0] > share


def test_chunks_of_pairs_and_resamples_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [pair(100, seed) for seed in range(5)]
    first, second = (np.array([one[side] for one in pairs]) for side in (0, 1))
    whole = compare_pairs(first, second, periods_per_year=A, num_resamples=50)
    monkeypatch.setattr(paired_module, "CHUNK", 14 * 100 * 2)
    parts = compare_pairs(first, second, periods_per_year=A, num_resamples=50)
    np.testing.assert_allclose(parts.sharpe.draws_RK, whole.sharpe.draws_RK, rtol=1e-9)
    np.testing.assert_allclose(parts.mean.error_K, whole.mean.error_K, rtol=1e-12)


def test_pairs_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must hold the same K >= 1 rows, were \(1, 20\) and \(1, 21\)$"):
        compared(np.zeros(20), np.zeros(21))
    with pytest.raises(ValueError, match=r"K >= 1 rows"):
        compare_pairs(np.zeros((0, 20)), np.zeros((0, 20)), periods_per_year=A)


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.01], [0.01]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.6, 0.02], [1.0, 1.0, 0.06]),
        ([0.01, math.nan, 0.02], [0.02, math.nan, 0.02]),
        ([math.nan], [math.nan]),
        ([], []),
    ],
)
def test_holm_equals_the_table(p_values: list[float], adjusted: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(p_values)), adjusted, rtol=1e-12)


def test_romano_wolf_equals_the_table() -> None:
    statistic = np.array([1.0, 3.0, 2.0])
    draws = np.array([[0.5, 2.5, 0.1], [1.5, 0.2, 2.2], [0.9, 3.5, 0.3]])
    # 3.0: largest of all three 2.5, 2.2, 3.5 -> 1 of 3; 2.0: of columns 2, 0: 0.5, 2.2, 0.9 -> 1; 1.0: column 0 -> 1.
    assert romano_wolf(statistic, draws).tolist() == [0.5, 0.5, 0.5]
    draws[0, 0] = 1.0
    assert romano_wolf(statistic, draws).tolist() == [0.75, 0.5, 0.5]
    found = romano_wolf(np.array([1.0, math.nan, 2.0]), draws)
    assert found[[0, 2]].tolist() == [0.75, 0.5]
    assert math.isnan(found[1])
    assert np.isnan(romano_wolf(np.array([math.nan]), draws[:, :1])).all()


@given(seed=st.integers(0, 10_000), num=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_corrected_p_values_are_ordered_and_never_below_the_uncorrected(seed: int, num: int) -> None:
    rng = np.random.default_rng(seed)
    side = Difference(
        value_K=np.zeros(num),
        error_K=np.ones(num),
        statistic_K=np.abs(rng.normal(1.5, 1.0, num)),
        draws_RK=np.abs(rng.normal(size=(199, num)) + rng.normal(size=(199, 1))),
    )
    raw = side.p_values()
    for name in CORRECTIONS:
        adjusted = correct(side, name)  # type: ignore[arg-type]
        assert np.all(adjusted >= raw - 1e-12)
        assert np.all(adjusted <= 1)
        if name == "holm":
            assert np.all(np.diff(adjusted[np.argsort(raw, kind="stable")]) >= 0)
    assert np.all(correct(side, "romano_wolf")[np.argmax(side.statistic_K)] <= correct(side, "romano_wolf") + 1e-12)


def test_unknown_correction_is_refused_by_name() -> None:
    side = compared(*pair()).sharpe
    with pytest.raises(ValueError, match=r"^correction must be one of romano_wolf, holm, none, was 'bonferroni'$"):
        correct(side, "bonferroni")  # type: ignore[arg-type]
