"""Worlds without edge: market returns with fat tails and clustered volatility, and strategies that trade at random.

Legend: W worlds, n daily returns.
"""

import numpy as np

from tradewright.metrics.history import Float

DAILY = 0.01
"""Standard deviation of the daily returns."""


def independent(rng: np.random.Generator, num_worlds: int, num: int, *, freedom: float = 5.0) -> Float:
    """Return independent Student returns of deviation 1 %, shape (W, n)."""
    return DAILY * rng.standard_t(freedom, (num_worlds, num)) * np.sqrt((freedom - 2) / freedom)


def clustered(rng: np.random.Generator, num_worlds: int, num: int, *, freedom: float = 6.0) -> Float:
    """Return GARCH(1,1) returns (persistence 0.98, Student shocks) of unconditional deviation 1 %, shape (W, n)."""
    burn_in, shape = 300, np.sqrt((freedom - 2) / freedom)
    variance_W, out_nW = np.ones(num_worlds), np.empty((num, num_worlds))
    for t in range(burn_in + num):
        shock_W = rng.standard_t(freedom, num_worlds) * shape * np.sqrt(variance_W)
        if t >= burn_in:
            out_nW[t - burn_in] = shock_W
        variance_W = 0.02 + 0.08 * shock_W**2 + 0.90 * variance_W
    return DAILY * out_nW.T


def autocorrelated(rng: np.random.Generator, num_worlds: int, num: int, *, memory: float = 0.15) -> Float:
    """Return AR(1) normal returns of deviation 1 %, shape (W, n)."""
    burn_in = 100
    shocks = rng.normal(size=(burn_in + num, num_worlds)) * np.sqrt(1 - memory**2)
    for t in range(1, len(shocks)):
        shocks[t] += memory * shocks[t - 1]
    return DAILY * shocks[burn_in:].T


def random_positions(rng: np.random.Generator, num_worlds: int, num: int, *, hold: int = 10) -> Float:
    """Return long, flat and short positions that change at random, every ``hold`` bars on average, shape (W, n)."""
    position_W, out_Wn = rng.integers(-1, 2, num_worlds), np.empty((num_worlds, num))
    for t in range(num):
        changes_W = rng.random(num_worlds) < 1 / hold
        position_W = np.where(changes_W, rng.integers(-1, 2, num_worlds), position_W)
        out_Wn[:, t] = position_W
    return out_Wn
