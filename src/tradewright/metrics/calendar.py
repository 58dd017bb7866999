"""Time: which marks are annualised, how many periods a year has, and returns by month and year.

Days, months and years are those of the bars' *opens* in UTC, so that a session's last minute belongs to its own day.
Legend: T marks of equity, n returns.
"""

import numpy as np
import numpy.typing as npt

from tradewright.metrics.history import Float, Time

DAY_S = 86_400
YEAR_S = 365.25 * DAY_S


def daily_marks(ts_T: Time) -> npt.NDArray[np.int64]:
    """Return the indices of the first mark (the starting value) and of the last mark of every UTC day.

    For daily bars these are all marks; for intraday bars the first day's return counts too.

    Args:
        ts_T: Strictly increasing times.

    Returns:
        Increasing int64 indices; empty without a mark.
    """
    if len(ts_T) == 0:
        return np.zeros(0, dtype=np.int64)
    days_T = ts_T.astype("datetime64[D]")
    last = np.flatnonzero(np.append(days_T[1:] != days_T[:-1], True))
    return np.union1d([0], last).astype(np.int64)


def annualised_marks(
    ts_T: Time, timeframe_s: int, days_per_year: float, resample: bool = True
) -> tuple[npt.NDArray[np.int64], float]:
    """Return the marks whose returns are annualised, and the number of their periods per year.

    Intraday: the daily marks and ``days_per_year``; without ``resample`` every mark and ``days_per_year`` times the
    mean number of bars per day that has any. Daily: every mark and ``days_per_year``. Longer bars: every mark and the
    number of bars that fit into 365.25 days.

    Args:
        ts_T: Strictly increasing bar opens.
        timeframe_s: Bar length, seconds.
        days_per_year: Trading days per year of the calendar.
        resample: Whether intraday marks are reduced to daily ones (the default of every report).

    Returns:
        Indices into ``ts_T`` and A.
    """
    every = np.arange(len(ts_T), dtype=np.int64)
    if timeframe_s > DAY_S:
        return every, YEAR_S / timeframe_s
    if timeframe_s == DAY_S or len(ts_T) == 0:
        return every, days_per_year
    if resample:
        return daily_marks(ts_T), days_per_year
    num_days = len(np.unique(ts_T.astype("datetime64[D]")))
    return every, days_per_year * len(ts_T) / num_days


def monthly_returns(ts_T: Time, equity_T: Float) -> tuple[Time, Float]:
    """Return the return of every calendar month that has a mark.

    Args:
        ts_T: Strictly increasing times.
        equity_T: Equity, money; the first mark is the starting value.

    Returns:
        Months ``datetime64[M]`` and fractions: last mark of the month over the last mark before it (for the first month
        over the starting value); NaN after equity at or below zero. First and last month may be partial.
    """
    return _period_returns(ts_T, equity_T, "datetime64[M]")


def yearly_returns(ts_T: Time, equity_T: Float) -> tuple[Time, Float]:
    """Return the return of every calendar year that has a mark; see ``monthly_returns``."""
    return _period_returns(ts_T, equity_T, "datetime64[Y]")


def _period_returns(ts_T: Time, equity_T: Float, unit: str) -> tuple[Time, Float]:
    periods_T = ts_T.astype(unit)
    if len(ts_T) == 0:
        return periods_T, np.zeros(0)
    last = np.flatnonzero(np.append(periods_T[1:] != periods_T[:-1], True))
    ends = equity_T[last]
    starts = np.concatenate((equity_T[:1], ends[:-1]))
    out = np.full(len(ends), np.nan)
    np.divide(ends, starts, out=out, where=starts > 0)
    return periods_T[last], out - 1.0
