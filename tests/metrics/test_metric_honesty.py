"""The paired test keeps its level: where nobody has an edge it rejects as often as it says, and not more."""

import math

import numpy as np
import pytest
from metric_worlds import autocorrelated, clustered, independent, random_positions

from tradewright.metrics.history import Float
from tradewright.metrics.multiple import correct
from tradewright.metrics.paired import compare_pairs

LEVEL = 0.05
MARKETS = (independent, clustered)
LENGTHS = (250, 500, 750)


def p_values(num_worlds: int, num: int, market: object, *, seed: int, num_resamples: int) -> Float:
    """Return the p-value of each world: two random strategies on one market, compared as the report does."""
    rng = np.random.default_rng(seed)
    returns_Wn = market(rng, num_worlds, num)  # type: ignore[operator]
    first_Wn, second_Wn = (random_positions(rng, num_worlds, num) * returns_Wn for _ in range(2))
    found = []
    for world in range(num_worlds):
        paired = compare_pairs(
            first_Wn[world : world + 1],
            second_Wn[world : world + 1],
            periods_per_year=252.0,
            num_resamples=num_resamples,
            seed=seed + world,
        )
        found.append(paired.sharpe.p_values()[0])
    return np.array(found)


@pytest.mark.row("B35")
def test_worlds_without_edge_reject_within_binomial_error_of_the_level() -> None:
    seed, num_worlds = 20, 200
    found = np.concatenate([p_values(num_worlds, 250, market, seed=seed, num_resamples=199) for market in MARKETS])
    share = float(np.mean(found <= LEVEL))
    error = math.sqrt(LEVEL * (1 - LEVEL) / len(found))
    print(f"seed {seed}: {share:.2%} of {len(found)} worlds rejected at 5 % (binomial error {error:.2%})")
    assert abs(share - LEVEL) < 3 * error


@pytest.mark.slow
@pytest.mark.row("B35")
def test_ten_thousand_worlds_without_edge_reject_five_per_cent_plus_minus_one() -> None:
    num_worlds = 10_000
    settings = [(market, num) for market in MARKETS for num in LENGTHS]
    counts = [len(part) for part in np.array_split(np.arange(num_worlds), len(settings))]
    found = []
    for place, ((market, num), count) in enumerate(zip(settings, counts, strict=True)):
        seed = 1_000_000 * (place + 1)
        part = p_values(count, num, market, seed=seed, num_resamples=1000)
        print(f"seed {seed}: {market.__name__}, {num} bars: {np.mean(part <= LEVEL):.2%} of {count} rejected")
        found.append(part)
    share = float(np.mean(np.concatenate(found) <= LEVEL))
    error = math.sqrt(share * (1 - share) / num_worlds)
    print(f"{share:.2%} of {num_worlds} worlds rejected at 5 % (binomial error {error:.2%})")
    assert abs(share - LEVEL) <= 0.01


@pytest.mark.slow
def test_autocorrelated_worlds_without_edge_reject_at_most_three_per_cent_too_often() -> None:
    for seed, memory in ((1, 0.15), (2, 0.4)):
        rng = np.random.default_rng(seed)
        returns_Wn = autocorrelated(rng, 1000, 750, memory=memory)
        pairs = [random_positions(rng, 1000, 750) * returns_Wn for _ in range(2)]
        found = [
            compare_pairs(pairs[0][w : w + 1], pairs[1][w : w + 1], periods_per_year=252.0, seed=w).sharpe.p_values()[0]
            for w in range(1000)
        ]
        share = float(np.mean(np.array(found) <= LEVEL))
        print(f"seed {seed}: autocorrelation {memory}: {share:.2%} rejected")
        assert share < 0.08


@pytest.mark.slow
@pytest.mark.parametrize("num_rivals", [5, 20])
def test_families_without_edge_make_a_false_discovery_at_most_at_the_level(num_rivals: int) -> None:
    seed, num_worlds, num = 3, 2000, 500
    rng = np.random.default_rng(seed)
    market_Wn = clustered(rng, num_worlds, num)
    hits = dict.fromkeys(("romano_wolf", "holm", "none"), 0)
    for world in range(num_worlds):
        own_1n = random_positions(rng, 1, num) * market_Wn[world]
        rivals_Kn = random_positions(rng, num_rivals, num) * market_Wn[world]
        paired = compare_pairs(
            np.repeat(own_1n, num_rivals, axis=0), rivals_Kn, periods_per_year=252.0, num_resamples=499, seed=world
        )
        for name in hits:
            hits[name] += bool(np.any(correct(paired.sharpe, name) <= LEVEL))  # type: ignore[arg-type]
    shares = {name: count / num_worlds for name, count in hits.items()}
    print(f"seed {seed}: families of {num_rivals} with any rejection: {shares}")
    assert shares["romano_wolf"] <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / num_worlds)
    assert shares["holm"] <= shares["romano_wolf"] < shares["none"]
