"""Speed of the 58 technical indicators, CPU seconds of one core."""

import time
from dataclasses import replace

import numpy as np
import pytest

from tradewright.features.technical58 import Technical58

COLUMNS = ("open", "high", "low", "close", "volume")


@pytest.mark.benchmark
@pytest.mark.parametrize(("num_bars", "limit_s"), [(5_000, 0.1), (1_000_000, 5.0)])
def test_indicators_of_many_bars_take_seconds(panel_of, num_bars: int, limit_s: float) -> None:
    panel = panel_of(5_000, 1, 1)
    columns = {f"{key}_TN": np.tile(getattr(panel, f"{key}_TN"), (num_bars // 5_000, 1)) for key in COLUMNS}
    ts_T = np.datetime64("2000-01-03", "us") + np.arange(num_bars) * np.timedelta64(60, "s")
    exists_TN = np.ones((num_bars, 1), dtype=bool)
    panel = replace(panel, **columns, ts_T=ts_T, known_at_T=ts_T, tradable_TN=exists_TN)
    start = time.process_time()
    table = Technical58().compute(panel)
    seconds = time.process_time() - start
    print(f"{num_bars:,} bars: {seconds:.3f} s")
    assert len(table) == 58
    assert seconds < limit_s
