"""How often the intervals hold the truth, measured where the truth is known."""

from collections.abc import Callable

import numpy as np
import pytest
from metric_worlds import DAILY, autocorrelated, clustered, independent

from tradewright.metrics.history import Float
from tradewright.metrics.resampled import HEADLINES, Sample, headline_intervals

A = 252.0
SHARPE = 0.7
MARKETS = (independent, clustered, autocorrelated)
Market = Callable[[np.random.Generator, int, int], Float]


def truth_of(market: Market, num: int, num_worlds: int, seed: int) -> dict[str, float]:
    """Return the median figure of many worlds; volatility and Sharpe ratio are those of the process."""
    values = Sample(drifting(market, num, num_worlds, seed), A).values()
    medians = {key: float(np.nanmedian(value_S)) for key, value_S in values.items()}
    return medians | {"sharpe": SHARPE, "volatility": DAILY * np.sqrt(A)}


def drifting(market: Market, num: int, num_worlds: int, seed: int) -> Float:
    return market(np.random.default_rng(seed), num_worlds, num) + SHARPE * DAILY / np.sqrt(A)


def coverage(market: Market, num: int, num_worlds: int, *, num_resamples: int, seed: int) -> dict[str, float]:
    """Return the share of worlds whose 95 % interval holds the truth, by figure."""
    truth = truth_of(market, num, 4000, seed + 1)
    hits = dict.fromkeys(HEADLINES, 0)
    for world, one in enumerate(drifting(market, num, num_worlds, seed)):
        bounds, _ = headline_intervals(Sample(one[None, :], A), num_resamples=num_resamples, seed=world)
        for key, bound in bounds.items():
            hits[key] += bool(bound.low_S[0] <= truth[key] <= bound.high_S[0])
    return {key: count / num_worlds for key, count in hits.items()}


def test_interval_of_the_sharpe_ratio_holds_the_truth_about_as_often_as_it_says() -> None:
    seed, num_worlds = 30, 200
    shares = coverage(independent, 250, num_worlds, num_resamples=200, seed=seed)
    print(f"seed {seed}: {shares}")
    for key in ("sharpe", "sortino", "total_return", "cagr", "calmar"):
        assert 0.89 <= shares[key] <= 0.99, key
    assert shares["max_drawdown"] >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("num", [252, 756])
@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.__name__)
def test_coverage_of_every_headline_figure(market: Market, num: int) -> None:
    seed = 31
    shares = coverage(market, num, 2000, num_resamples=1000, seed=seed)
    print(f"seed {seed}: {market.__name__}, {num} bars: " + ", ".join(f"{k} {v:.1%}" for k, v in shares.items()))
    for key in ("sharpe", "sortino", "total_return", "cagr", "calmar", "max_drawdown"):
        assert shares[key] >= 0.91, key
    assert shares["volatility"] >= (0.4 if market is clustered else 0.87)
