"""The bars and tasks on which two engines are timed; NumPy alone, so that either engine's interpreter can import it.

Legend: T bars, N instruments.
"""

from itertools import combinations, islice

import numpy as np

CASH = 100_000.0
FEE_BPS = 10.0
DAYS_PER_YEAR = 252.0

NUM_PAIRS, SWEEP_BARS = 10_000, 5_000
NUM_INSTRUMENTS, PANEL_BARS = 1_677, 2_500
INVESTED = 0.99
"""Below 1 less fees, where both engines fill every order: at 1 one starves the last purchase, the other scales all."""


def sweep_bars() -> tuple[np.ndarray, np.ndarray]:
    """Opens and closes ``[T]`` of one instrument, 5,000 days."""
    rng = np.random.default_rng(1)
    close = 100.0 * np.exp(np.cumsum(0.0003 + 0.01 * rng.standard_normal(SWEEP_BARS)))
    return np.append(100.0, close[:-1]) * np.exp(0.002 * rng.standard_normal(SWEEP_BARS)), close


def sweep_pairs() -> list[tuple[int, int]]:
    """The first 10,000 pairs of windows 2, 3, ... 143, the fast one below the slow one."""
    return list(islice(combinations(range(2, 144), 2), NUM_PAIRS))


def panel_bars() -> tuple[np.ndarray, np.ndarray]:
    """Opens and closes ``[T, N]``, 2,500 days of 1,677 instruments."""
    rng = np.random.default_rng(0)
    shape = (PANEL_BARS, NUM_INSTRUMENTS)
    close = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(shape), axis=0))
    return close * np.exp(0.003 * rng.standard_normal(shape)), close


def panel_weights() -> np.ndarray:
    """Long-only weights ``[T, N]`` decided at each close, new ones every day."""
    rng = np.random.default_rng(2)
    return INVESTED * rng.dirichlet(np.ones(NUM_INSTRUMENTS), PANEL_BARS)
