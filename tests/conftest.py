"""Shared fixtures and the one-thread rule of the test suite."""

import os
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from tradewright.data.panel import Panel
from tradewright.market.instrument import Instrument


def make_panel(
    num_bars: int = 600, num_symbols: int = 1, seed: int = 0, *, missing: float = 0.0, signal: float = 0.0
) -> Panel:
    """Return a random-walk panel with plausible bars.

    Args:
        num_bars: T.
        num_symbols: N.
        seed: Seed of the path.
        missing: Share of bars that do not exist.
        signal: Autocorrelation of daily returns; > 0 makes the next return predictable from the last.
    """
    rng = np.random.default_rng(seed)
    shape = (num_bars, num_symbols)
    noise = rng.normal(0.0, 0.01, shape)
    returns = noise.copy()
    for t in range(1, num_bars):
        returns[t] += signal * returns[t - 1]
    close = 100.0 * np.exp(np.cumsum(returns, axis=0))
    open_ = np.vstack([np.full((1, num_symbols), 100.0), close[:-1]]) * np.exp(rng.normal(0.0, 0.001, shape))
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0.0, 0.002, shape)))
    low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0.0, 0.002, shape)))
    volume = rng.lognormal(10.0, 0.3, shape)
    tradable = rng.random(shape) >= missing
    tradable[0] = True
    prices = [np.where(tradable, x, np.nan) for x in (open_, high, low, close)]
    ts = np.datetime64("2000-01-03", "us") + np.arange(num_bars) * np.timedelta64(86_400, "s")
    return Panel(
        dataset="random-walk",
        instruments=tuple(Instrument(symbol=f"S{n}") for n in range(num_symbols)),
        timeframe_s=86_400,
        ts_T=ts,
        known_at_T=ts + np.timedelta64(86_400, "s"),
        open_TN=prices[0],
        high_TN=prices[1],
        low_TN=prices[2],
        close_TN=prices[3],
        volume_TN=np.where(tradable, volume, 0.0),
        tradable_TN=tradable,
        fingerprint=f"random-walk-{num_bars}-{num_symbols}-{seed}-{missing}-{signal}",
        is_synthetic=True,
    )


@pytest.fixture(scope="session")
def panel_of() -> Callable[..., Panel]:
    """``make_panel``, for tests that need panels of their own."""
    return make_panel
