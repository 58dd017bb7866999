"""Benches without files."""

from collections.abc import Callable

import pytest

from tradewright.backtest.vectorized import Vectorized
from tradewright.data.ranges import Range, Ranges
from tradewright.evaluate.bench import Bench
from tradewright.market.rules import Costs


@pytest.fixture(scope="session")
def bench_of(panel_of) -> Callable[..., Bench]:
    """Return a function that makes a bench of generated bars without features."""

    def make(num_bars: int = 600, num: int = 1, seed: int = 7, **parts: float) -> Bench:
        panel = panel_of(num_bars, num, seed, **parts)
        cuts = [int(num_bars * share) for share in (0.6, 0.8)]
        ranges = Ranges(train=Range(0, cuts[0]), validation=Range(cuts[0], cuts[1]), test=Range(cuts[1], num_bars))
        return Bench(panel, None, ranges, Vectorized(costs=Costs(fee_bps=1.0, slippage_bps=1.0)))

    return make
