"""Speed of the accounting: the bar step on NumPy and torch, and the scalar loop. ``pytest -m benchmark -s``.

Figures are the best of several short windows, so that a busy machine disturbs them little; bounds are generous.
Legend: B accounts, T bars.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from market_cases import random_panel
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.ranges import Range
from tradewright.market.positions import Positions
from tradewright.market.rules import AccountRules, Costs
from tradewright.market.step import Bar, initial_state, step

pytestmark = pytest.mark.benchmark

COSTS = Costs(fee_bps=1, slippage_bps=1)
FORMS = {
    "long only": AccountRules(allow_short=False, costs=COSTS),
    "long and short": AccountRules(costs=COSTS),
    "stops, lots, carry": AccountRules(
        leverage=2.0, stop_loss=0.05, take_profit=0.1, trailing=0.08,
        costs=Costs(fee_bps=1, slippage_bps=1, fixed_fee=1, borrow_rate=0.01, cash_rate=0.02),
    ),
}  # fmt: skip
BATCHES = (1, 64, 1_024, 16_384)
WINDOW = 6


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def best(run: Callable[[], None], repeats: int) -> float:
    """Seconds of the fastest of some repeats."""
    fastest = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def seconds_per_step(xp: Any, rules: AccountRules, num_accounts: int, *, detail: bool = False) -> float:
    rng = np.random.default_rng(0)
    shape = (WINDOW, num_accounts, 1)
    give = torch.from_numpy if xp is torch else np.asarray
    close = give(100 * np.exp(np.cumsum(0.01 * rng.standard_normal(shape), axis=0)))
    weights = give(rng.uniform(-1.0 if rules.allow_short else 0.0, 1.0, shape))
    lot = give(np.ones(1)) if rules.has_stops else None

    def window() -> None:
        state = initial_state(xp, rules, num_accounts, 1)
        for t in range(WINDOW):
            bar = Bar(close[t] * 1.001, close[t] * 1.01, close[t] * 0.99, close[t], years_B=1 / 365)
            state, _ = step(xp, state, weights[t], bar, rules, lot_N=lot, detail=detail)

    with torch.no_grad():
        return best(window, 300 if num_accounts < 10_000 else 40) / WINDOW


def test_bar_step_speed() -> None:
    print(f"\n{'bar step, one instrument':32}" + "".join(f"{f'B = {number:,}':>16}" for number in BATCHES))
    figures = {}
    for name, rules in FORMS.items():
        for xp in (np, torch):
            times = [seconds_per_step(xp, rules, number) for number in BATCHES]
            figures[name, xp.__name__] = times
            print(f"{f'{name}, {xp.__name__}':32}" + "".join(f"{value * 1e6:>13.1f} us" for value in times))
            rates = [number / value / 1e6 for number, value in zip(BATCHES, times, strict=True)]
            print(f"{'':32}" + "".join(f"{rate:>11.3f} M/s " for rate in rates))
    for name in ("long only", "long and short"):
        times = figures[name, "torch"]
        assert times[1] < 300e-6, "64 accounts, microseconds"
        assert 16_384 / times[3] > 5e6, "16,384 accounts, account-steps per second"


def test_detail_speed() -> None:
    print(f"\n{'with fills and reasons':32}" + "".join(f"{f'B = {number:,}':>16}" for number in BATCHES))
    for xp in (np, torch):
        times = [seconds_per_step(xp, FORMS["long and short"], number, detail=True) for number in BATCHES]
        print(f"{f'long and short, {xp.__name__}':32}" + "".join(f"{value * 1e6:>13.1f} us" for value in times))


def test_scalar_loop_speed() -> None:
    """A million bars: idle between orders, and busy at every bar."""
    num_bars = 1_000_000
    panel = random_panel(0, num_bars, 1, volatility=0.0005)
    rng = np.random.default_rng(0)
    rows = Range(0, num_bars)
    busy_TN = rng.uniform(-1.0, 1.0, (num_bars, 1))
    sparse_TN = np.where(rng.random((num_bars, 1)) < 0.01, busy_TN, np.nan)
    print()
    for name, weights_TN in (("an order in a hundred bars", sparse_TN), ("an order at every bar", busy_TN)):
        for allow_short in (False, True):
            backtest = Vectorized(allow_short=allow_short, costs=COSTS)
            positions = Positions(weights_TN=weights_TN)
            seconds = best(lambda b=backtest, p=positions: b.run(panel, p, rows, name="speed"), 1)
            sides = "long and short" if allow_short else "long only"
            print(f"backtest of 1,000,000 bars, {name}, {sides}: {seconds:.2f} s, {seconds:.2f} us a bar")
            assert seconds < 60


def test_small_backtest_speed() -> None:
    panel = random_panel(0, 5_000, 1, volatility=0.01)
    weights_TN = np.where(np.random.default_rng(0).random((5_000, 1)) < 0.02, 0.5, np.nan)
    backtest = Vectorized(costs=COSTS)
    seconds = best(lambda: backtest.run(panel, Positions(weights_TN=weights_TN), Range(0, 5_000), name="speed"), 20)
    print(f"\nbacktest of 5,000 bars: {seconds * 1e3:.1f} ms")
    assert seconds < 0.2


@pytest.mark.parametrize(("num", "num_bars"), [(24, 500), (1_677, 100)])
def test_panel_backtest_speed(num: int, num_bars: int) -> None:
    panel = random_panel(0, num_bars, num)
    weights_TN = np.random.default_rng(0).dirichlet(np.ones(num), num_bars)
    backtest = Vectorized(allow_short=False, costs=COSTS)
    seconds = best(lambda: backtest.run_many(panel, weights_TN[None], Range(0, num_bars)), 3)
    journal = best(lambda: backtest.run(panel, Positions(weights_TN=weights_TN), Range(0, num_bars), name="speed"), 1)
    print(f"\n{num} instruments x {num_bars} bars: equity {seconds:.3f} s, with journal {journal:.3f} s")
