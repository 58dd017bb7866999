"""Probability of backtest overfitting against an explicit loop, and SPA/StepM on worlds with and without edge."""

import itertools
import math

import numpy as np
import pytest

from tradewright.metrics import overfitting
from tradewright.metrics.history import Float
from tradewright.metrics.overfitting import backtest_overfitting
from tradewright.metrics.superiority import find_superior


def noise(num_strategies: int, num: int, seed: int) -> Float:
    return 0.01 * np.random.default_rng(seed).standard_t(5, (num_strategies, num))


def slow_ranks(returns_Sn: Float, num_blocks: int) -> list[tuple[float, float]]:
    """Return rank and ratio out of sample of the best in sample, split by split."""
    num = returns_Sn.shape[1]
    edges = [block * num // num_blocks for block in range(num_blocks + 1)]
    blocks = [returns_Sn[:, first:last] for first, last in itertools.pairwise(edges)]
    found = []
    for half in itertools.combinations(range(num_blocks), num_blocks // 2):
        inside = np.concatenate([blocks[block] for block in half], axis=1)
        outside = np.concatenate([blocks[block] for block in range(num_blocks) if block not in half], axis=1)
        best = int(np.argmax(inside.mean(axis=1) / inside.std(axis=1, ddof=1)))
        ratios = outside.mean(axis=1) / outside.std(axis=1, ddof=1)
        rank = 1 + int(np.sum(ratios < ratios[best]))
        found.append((rank / (len(ratios) + 1), float(ratios[best])))
    return found


@pytest.mark.parametrize(("num_strategies", "num", "num_blocks"), [(4, 200, 6), (7, 203, 8), (2, 40, 2)])
def test_ranks_equal_an_explicit_loop(num_strategies: int, num: int, num_blocks: int) -> None:
    returns_Sn = noise(num_strategies, num, 1) + 1e-3
    found = backtest_overfitting(returns_Sn, num_blocks)
    expected = slow_ranks(returns_Sn, num_blocks)
    np.testing.assert_allclose(found.rank_P, [rank for rank, _ in expected], rtol=1e-12)
    assert found.probability == pytest.approx(np.mean([rank <= 0.5 for rank, _ in expected]))
    assert found.loss_probability == pytest.approx(np.mean([ratio < 0 for _, ratio in expected]))


def test_sixteen_blocks_make_12870_splits_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    returns_Sn = noise(5, 320, 2)
    whole = backtest_overfitting(returns_Sn)
    monkeypatch.setattr(overfitting, "CHUNK", 5 * 1000)
    parts = backtest_overfitting(returns_Sn)
    assert len(whole.rank_P) == math.comb(16, 8) == 12_870
    np.testing.assert_array_equal(parts.rank_P, whole.rank_P)


def test_real_edge_is_not_overfitted_and_noise_is() -> None:
    returns_Sn = noise(20, 750, 3)
    average = np.mean([backtest_overfitting(noise(20, 750, seed)).probability for seed in range(12)])
    assert 0.35 < average < 0.65
    returns_Sn[4] += 2e-3
    assert backtest_overfitting(returns_Sn).probability < 0.01


def test_strategies_that_shine_in_one_half_only_are_overfitted() -> None:
    returns_Sn = noise(16, 320, 4)
    for place in range(16):
        returns_Sn[place, place * 20 : place * 20 + 20] += 0.03
        returns_Sn[place] -= returns_Sn[place].mean()
    assert backtest_overfitting(returns_Sn).probability > 0.9


def test_equal_strategies_share_the_middle_rank() -> None:
    one = noise(1, 64, 5)
    found = backtest_overfitting(np.repeat(one, 3, axis=0), 4)
    assert set(found.rank_P) == {0.5}


def test_strategy_that_never_trades_ranks_as_zero() -> None:
    returns_Sn = np.vstack([np.zeros(64), noise(1, 64, 6) * 0.1 + 0.01])
    assert backtest_overfitting(returns_Sn, 4).probability == 0.0


@pytest.mark.parametrize(
    "returns_Sn",
    [np.zeros((1, 100)), np.ones((3, 31)), np.full((3, 100), np.nan), np.zeros((0, 100)), np.zeros((3, 0))],
)
def test_too_little_is_undefined(returns_Sn: Float) -> None:
    found = backtest_overfitting(returns_Sn)
    assert math.isnan(found.probability)
    assert math.isnan(found.loss_probability)


@pytest.mark.parametrize("num_blocks", [0, 3])
def test_odd_number_of_blocks_is_refused(num_blocks: int) -> None:
    with pytest.raises(ValueError, match=rf"^num_blocks must be even and >= 2, was {num_blocks}$"):
        backtest_overfitting(np.zeros((3, 100)), num_blocks)


def test_superior_strategies_are_found_by_position_and_only_they() -> None:
    market = noise(1, 500, 7)[0]
    strategies = market + noise(8, 500, 8)
    strategies[2] += 3e-3
    strategies[5] += 4e-3
    found = find_superior(market, strategies, num_resamples=500)
    assert found.p_value < 0.01
    assert found.superior == (2, 5)


def test_worse_strategies_are_not_superior() -> None:
    market = noise(1, 500, 7)[0]
    found = find_superior(market, market + noise(8, 500, 9) - 1e-3, num_resamples=300)
    assert found.p_value > 0.3
    assert found.superior == ()


def test_superiority_without_edge_is_claimed_at_most_at_the_level() -> None:
    seed, num_worlds = 10, 60
    hits = 0
    for world in range(num_worlds):
        strategies = noise(6, 250, seed + world)
        hits += find_superior(strategies[0], strategies[1:], num_resamples=100, seed=world).p_value <= 0.1
    print(f"seed {seed}: {hits} of {num_worlds} worlds rejected at 10 %")
    assert hits <= 14  # binomial: 99.9 % of honest tests


def test_copies_of_the_benchmark_and_undefined_strategies_take_no_part() -> None:
    market = noise(1, 300, 11)[0]
    better = market + noise(1, 300, 12)[0] + 4e-3
    undefined = np.append(better[:-1], np.nan)
    found = find_superior(market, np.array([market, undefined, better]), num_resamples=200)
    assert found.superior == (2,)
    nothing = find_superior(market, np.array([market, undefined]))
    assert math.isnan(nothing.p_value)
    assert math.isnan(find_superior(market[:10], better[None, :10]).p_value)
    assert math.isnan(find_superior(undefined, better[None]).p_value)
