"""How the data tasks write stamps and counts."""

import numpy as np

from tradewright.data.timeframe import DAY_S


def day_or_minute(stamp: np.datetime64, timeframe_s: int) -> str:
    """Return the date of a daily bar, date and minute of a shorter one."""
    day = stamp.astype("datetime64[D]")
    return str(day) if timeframe_s >= DAY_S and stamp == day else str(stamp.astype("datetime64[m]")).replace("T", " ")


def count_of(count: int, what: str) -> str:
    """Return ``1 symbol`` or ``1,677 symbols``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
