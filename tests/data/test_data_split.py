"""Splits: exact sizes, time order, embargo, errors that name numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewright.data.split import Split
from tradewright.errors import DataError


@pytest.mark.row("T3")
def test_ninety_percent_of_ten_thousand_samples_are_nine_thousand(panel_of):
    ranges = Split(train=0.9, validation=0.05, embargo_bars=0).ranges(panel_of(10_000))
    assert [len(ranges.train), len(ranges.validation), len(ranges.test)] == [9_000, 500, 500]


@pytest.mark.row("T10")
@given(
    num_bars=st.integers(30, 400),
    train=st.floats(0.2, 0.6),
    validation=st.floats(0.1, 0.3),
    embargo_bars=st.integers(0, 12),
)
def test_ranges_are_in_time_order_and_apart(panel_of, num_bars, train, validation, embargo_bars):
    panel = panel_of(num_bars)
    try:
        ranges = Split(train=train, validation=validation, embargo_bars=embargo_bars).ranges(panel)
    except DataError:
        return
    assert ranges.train.start == 0
    assert ranges.test.stop == num_bars
    assert abs(len(ranges.train) - num_bars * train) <= 0.5
    for earlier, later in ((ranges.train, ranges.validation), (ranges.validation, ranges.test)):
        assert later.start - earlier.stop == embargo_bars
        assert panel.ts_T[earlier.stop - 1] < panel.ts_T[later.start]
        assert len(later) >= 2


@pytest.mark.row("B49")
def test_dates_include_their_whole_day(panel_of):
    panel = panel_of(600)  # daily from 2000-01-03
    ranges = Split(train="2000-12-31", validation="2001-03-31", embargo_bars=3).ranges(panel)
    assert panel.ts_T[ranges.train.stop - 1] == np.datetime64("2000-12-31")
    assert panel.ts_T[ranges.validation.start] == np.datetime64("2001-01-04")
    assert panel.ts_T[ranges.validation.stop - 1] == np.datetime64("2001-03-31")


def test_a_train_date_with_a_validation_fraction_counts_from_the_date(panel_of):
    ranges = Split(train="2000-12-31", validation=0.25, embargo_bars=0).ranges(panel_of(600))
    assert len(ranges.validation) == 150


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"train": 0.7, "validation": 0.15, "embargo_bars": 100}, "validation has 0 bars, needs at least 2"),
        ({"train": "2050-01-01", "validation": 0.1}, "has 100 bars"),
        ({"train": 0.98, "validation": 0.019, "embargo_bars": 0}, "test has 0 bars"),
        ({"train": "1990-01-01", "validation": 0.5}, "train has 0 bars"),
    ],
)
def test_an_empty_range_names_the_numbers(panel_of, arguments, expected):
    with pytest.raises(DataError) as error:
        Split(**arguments).ranges(panel_of(100))
    assert expected in str(error.value)
    assert str(error.value).startswith("data.split: ")


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"train": 1.2}, "train must be a fraction in (0, 1) or an ISO date, was 1.2"),
        ({"train": 0.9, "validation": 0.2}, "validation must leave bars for test"),
        ({"train": "soon"}, "train must be an ISO date"),
        ({"embargo_bars": -1}, "embargo_bars must be >= 0, was -1"),
    ],
)
def test_a_wrong_argument_is_named(arguments, start):
    with pytest.raises(ValueError, match="^" + start.replace("(", r"\(").replace(")", r"\)")):
        Split(**arguments)
