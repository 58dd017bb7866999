"""Judging a universe: accuracy beside the base rate, and instruments backtested alone."""

from dataclasses import replace

import numpy as np
import pytest

from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.evaluate.universe import UniverseTest, alone, hit_rates, is_counted, next_returns

NAN = np.nan


def test_hit_rates_by_hand() -> None:
    side = np.array([1.0, 1.0, -1.0, 0.0, 1.0, -1.0, 1.0])
    returns = np.array([0.1, -0.2, -0.1, 0.3, 0.0, NAN, 0.2])
    accuracy, base_rate = hit_rates(side, returns)  # counted: bars 0, 1, 2 and 6; hits: 0, 2 and 6; two of four rise
    assert is_counted(side, returns).tolist() == [place in (0, 1, 2, 6) for place in range(len(side))]
    assert (accuracy, base_rate) == (0.75, 0.5)
    assert np.isnan(hit_rates(np.zeros(3), np.ones(3))).all()


def test_base_rate_is_that_of_the_more_frequent_direction() -> None:
    assert hit_rates(np.ones(4), np.array([-0.1, -0.1, -0.1, 0.1])) == (0.25, 0.75)


def test_next_returns_end_with_nan(bench_of) -> None:
    panel = bench_of(50, 2).panel
    found = next_returns(panel)
    np.testing.assert_allclose(found[:-1], panel.close_TN[1:] / panel.close_TN[:-1] - 1, rtol=0, atol=0)
    assert np.isnan(found[-1]).all()


def test_instrument_alone_keeps_its_own_bars(bench_of) -> None:
    bench = bench_of(80, 3)
    only = alone(bench, 2).panel
    assert only.symbols == (bench.panel.symbols[2],)
    np.testing.assert_array_equal(only.close_TN[:, 0], bench.panel.close_TN[:, 2])
    np.testing.assert_array_equal(only.tradable_TN[:, 0], bench.panel.tradable_TN[:, 2])
    assert only.fingerprint != bench.panel.fingerprint


def test_instrument_alone_keeps_its_own_finer_bars(bench_of) -> None:
    bench = bench_of(80, 3)
    panel = replace(bench.panel, finer=bench.panel)
    only = alone(replace(bench, panel=panel), 1).panel
    assert only.finer is not None
    assert only.finer.symbols == only.symbols
    np.testing.assert_array_equal(only.finer.close_TN[:, 0], panel.close_TN[:, 1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_accuracy": 0}, "num_accuracy must be >= 1, was 0"),
        ({"num_accuracy": 5, "num_backtest": 6}, r"num_backtest must be in \[0, num_accuracy = 5\], was 6"),
    ],
)
def test_counts_out_of_range_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        UniverseTest(**values)


def test_too_few_instruments_are_refused(bench_of) -> None:
    class Tested:
        rows = Range(10, 80)

    with pytest.raises(DataError, match="num_accuracy=50 but 'random-walk' has 3 instruments"):
        UniverseTest().judge(None, bench_of(80, 3), Tested())  # type: ignore[arg-type]
