"""Statistics of windows equal plain NumPy on every slice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewright.features.windows import (
    bars_since_max,
    ema,
    forward_fill,
    lag,
    ratio,
    wilder,
    window_max,
    window_mean,
    window_min,
    window_moments,
    window_std,
    window_sum,
    window_trend,
)

FUNCTIONS = [
    (window_sum, np.sum),
    (window_mean, np.mean),
    (window_std, np.std),
    (window_max, np.max),
    (window_min, np.min),
    (lambda x, window: window_moments(x, window)[1], lambda x: np.sum((x - x.mean()) ** 2)),
    (lambda x, window: window_trend(x, window)[0], lambda x: np.polyfit(np.arange(len(x)), x, 1)[0]),
    (lambda x, window: window_trend(x, window)[1], lambda x: np.corrcoef(np.arange(len(x)), x)[0, 1] ** 2),
    (bars_since_max, lambda x: np.argmax(x[::-1])),
    (lambda x, window: ema(x, 7, window), lambda x: np.average(x, weights=0.75 ** np.arange(len(x))[::-1])),
    (lambda x, window: wilder(x, 5, window), lambda x: np.average(x, weights=0.8 ** np.arange(len(x))[::-1])),
]


@pytest.mark.parametrize("number", range(len(FUNCTIONS)))
@settings(max_examples=15, deadline=None)
@given(window=st.integers(3, 40), num_bars=st.integers(1, 60), seed=st.integers(0, 99))
def test_every_window_equals_numpy_on_its_slice(number: int, window: int, num_bars: int, seed: int) -> None:
    function, oracle = FUNCTIONS[number]
    x = 100.0 + np.random.default_rng(seed).normal(size=(num_bars, 2))
    found = function(x, window)
    assert found.shape == x.shape
    assert np.isnan(found[: window - 1]).all()
    for t in range(window - 1, num_bars):
        for n in range(2):
            expected = oracle(x[t - window + 1 : t + 1, n])
            assert found[t, n] == pytest.approx(expected, rel=1e-8, abs=1e-9), (t, n)


@pytest.mark.parametrize("number", range(len(FUNCTIONS)))
def test_a_hole_makes_only_the_windows_that_contain_it_undefined(number: int) -> None:
    x = np.random.default_rng(1).normal(size=(30, 1))
    x[12] = np.nan
    found = np.isnan(FUNCTIONS[number][0](x, 5)[:, 0])
    np.testing.assert_array_equal(np.flatnonzero(found), [0, 1, 2, 3, 12, 13, 14, 15, 16])


def test_equal_values_have_exactly_their_mean_and_no_deviation() -> None:
    for value in (0.1, 50.1, 1e9 / 3):
        x = np.full((90, 1), value)
        for window in (3, 7, 20, 61):
            assert set(window_mean(x, window)[window - 1 :, 0]) == {value}
            assert set(window_std(x, window)[window - 1 :, 0]) == {0.0}
            assert set(window_trend(x, window)[1][window - 1 :, 0]) == {0.0}


def test_small_moves_of_large_values_are_not_lost() -> None:
    x = 1e8 + np.random.default_rng(2).normal(size=(200, 1)) * 1e-3
    expected = (x[100:160] - 1e8).std()
    assert window_std(x, 60)[159, 0] == pytest.approx(expected, rel=1e-6)


def test_newest_of_equal_maxima_counts() -> None:
    x = np.array([[3.0], [1.0], [3.0], [2.0], [3.0], [0.0], [0.0]])
    np.testing.assert_array_equal(bars_since_max(x, 5)[4:, 0], [0, 1, 2])


def test_lag_fill_and_ratio() -> None:
    x = np.random.default_rng(1).normal(size=(20, 3))
    np.testing.assert_array_equal(lag(x, 3)[3:], x[:-3])
    assert np.isnan(lag(x, 3)[:3]).all()
    assert np.isnan(lag(x, 30)).all()
    holes = np.array([[np.nan, 1.0], [2.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(forward_fill(holes), [[np.nan, 1.0], [2.0, 1.0], [2.0, 1.0]])
    np.testing.assert_array_equal(
        ratio(np.array([1.0, 0.0, 3.0, np.nan]), np.array([2.0, 0.0, 0.0, 0.0]), 0.5), [0.5, 0.5, 0.5, 0.5]
    )
    np.testing.assert_array_equal(ratio(np.array([1.0, np.nan]), np.array([np.nan, 1.0]), 0.5), [np.nan, np.nan])
