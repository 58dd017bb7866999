"""Which marks are annualised, and returns by calendar month and year."""

import math

import numpy as np
import pytest

from tradewright.metrics import calendar


def minutes(*days: str, num: int = 3) -> np.ndarray:
    return np.concatenate(
        [np.datetime64(f"{day}T09:30", "us") + np.arange(num) * np.timedelta64(1, "m") for day in days]
    )


def test_daily_bars_keep_every_mark() -> None:
    ts = np.arange("2020-01-01", "2020-01-06", dtype="datetime64[D]").astype("datetime64[us]")
    marks, periods = calendar.annualised_marks(ts, 86_400, 252.0)
    assert marks.tolist() == [0, 1, 2, 3, 4]
    assert periods == 252.0
    assert calendar.daily_marks(ts).tolist() == [0, 1, 2, 3, 4]


def test_intraday_bars_keep_start_and_last_mark_of_each_day() -> None:
    ts = minutes("2020-01-01", "2020-01-02", "2020-01-03")
    marks, periods = calendar.annualised_marks(ts, 60, 252.0)
    assert marks.tolist() == [0, 2, 5, 8]
    assert periods == 252.0


def test_intraday_without_resampling_counts_bars_per_day() -> None:
    marks, periods = calendar.annualised_marks(minutes("2020-01-01", "2020-01-02"), 60, 252.0, resample=False)
    assert marks.tolist() == list(range(6))
    assert periods == 252.0 * 3


def test_weekly_bars_have_52_periods() -> None:
    ts = np.arange("2020-01-01", "2020-03-01", 7, dtype="datetime64[D]").astype("datetime64[us]")
    marks, periods = calendar.annualised_marks(ts, 7 * 86_400, 252.0)
    assert len(marks) == len(ts)
    assert periods == pytest.approx(52.18, abs=0.01)


@pytest.mark.parametrize("timeframe_s", [60, 86_400])
def test_no_bars_give_no_marks(timeframe_s: int) -> None:
    empty = np.zeros(0, dtype="datetime64[us]")
    assert len(calendar.annualised_marks(empty, timeframe_s, 252.0)[0]) == 0
    assert len(calendar.daily_marks(empty)) == 0
    assert len(calendar.monthly_returns(empty, np.zeros(0))[1]) == 0


def test_months_and_years_compound_to_the_total_return() -> None:
    rng = np.random.default_rng(4)
    ts = np.busday_offset("2019-11-14", np.arange(400), roll="forward").astype("datetime64[us]")
    equity = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 400)))
    months, by_month = calendar.monthly_returns(ts, equity)
    years, by_year = calendar.yearly_returns(ts, equity)
    assert np.prod(1 + by_month) == pytest.approx(equity[-1] / equity[0])
    assert np.prod(1 + by_year) == pytest.approx(equity[-1] / equity[0])
    assert str(months[0]) == "2019-11"
    assert [str(year) for year in years] == ["2019", "2020", "2021"]
    december = equity[ts < np.datetime64("2020-01-01")]
    november = equity[ts < np.datetime64("2019-12-01")]
    assert by_month[1] == pytest.approx(december[-1] / november[-1] - 1)


def test_months_after_bankruptcy_are_undefined() -> None:
    ts = np.array(["2020-01-31", "2020-02-28", "2020-03-31", "2020-04-30"], dtype="datetime64[us]")
    _, by_month = calendar.monthly_returns(ts, np.array([100.0, 50.0, -10.0, -10.0]))
    assert by_month[:3].tolist() == pytest.approx([0.0, -0.5, -1.2])
    assert math.isnan(by_month[3])
