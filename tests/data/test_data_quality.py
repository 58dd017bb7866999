"""Suspicious bars are found and counted; a clean series has none."""

import dataclasses

import numpy as np
import pytest

from tradewright.data.nasdaq import Nasdaq
from tradewright.data.quality import inspect_panel
from tradewright.market.instrument import Instrument


def changed(panel, **arrays):
    """Return the panel with whole arrays replaced."""
    return dataclasses.replace(panel, **arrays)


def crypto(panel):
    """Return the panel on a calendar without pauses."""
    return changed(panel, instruments=(Instrument(symbol="S0", calendar="crypto"),))


def test_a_clean_series_has_no_findings(panel_of):
    (found,) = inspect_panel(crypto(panel_of(200)))
    assert (found.num_bars, found.num_missing, found.gaps) == (200, 0, ())
    assert (found.num_zero_volume, found.num_flat, found.num_repeated, found.num_large_moves) == (0, 0, 0, 0)
    assert found.longest_stale_run == 0


def test_planted_oddities_are_counted(panel_of):
    panel = panel_of(200)
    arrays = {name: getattr(panel, name).copy() for name in ("open_TN", "high_TN", "low_TN", "close_TN", "volume_TN")}
    arrays["open_TN"][50:57] = arrays["close_TN"][49:56]  # seven opens in a row
    arrays["open_TN"][90] = arrays["close_TN"][89]
    arrays["volume_TN"][[10, 20, 30]] = 0
    arrays["high_TN"][120] = arrays["low_TN"][120]
    for array in arrays.values():
        array[151] = array[150]
    for name in ("open_TN", "high_TN", "low_TN", "close_TN"):
        arrays[name][180:] *= 0.5  # a split that was not adjusted
    (found,) = inspect_panel(crypto(changed(panel, **arrays)))
    assert (found.num_stale_opens, found.longest_stale_run) == (8, 7)
    assert (found.num_zero_volume, found.num_flat, found.num_repeated) == (3, 1, 1)
    assert found.num_large_moves == 1
    assert found.largest_move == pytest.approx(-0.5, abs=0.05)
    assert found.largest_move_at == panel.ts_T[180]


@pytest.mark.parametrize(
    ("calendar", "missing", "num_gaps"), [("crypto", [50], 1), ("equity", [50, 51], 0), ("equity", [50, 51, 52, 53], 1)]
)
def test_gaps_are_measured_against_the_calendar(panel_of, calendar, missing, num_gaps):
    panel = panel_of(200)
    tradable = panel.tradable_TN.copy()
    tradable[missing] = False
    instruments = (Instrument(symbol="S0", calendar=calendar),)
    (found,) = inspect_panel(changed(panel, tradable_TN=tradable, instruments=instruments))
    assert len(found.gaps) == num_gaps
    assert found.num_missing == len(missing)
    if num_gaps:
        assert (found.gaps[0].after, found.gaps[0].before) == (panel.ts_T[missing[0] - 1], panel.ts_T[missing[-1] + 1])
        assert found.gaps[0].days == len(missing) + 1


def test_a_missing_minute_within_a_day_is_a_gap(panel_of):
    panel = panel_of(100)
    ts = np.datetime64("2020-01-02T14:30", "us") + np.arange(100) * np.timedelta64(60, "s")
    tradable = panel.tradable_TN.copy()
    tradable[40] = False
    (found,) = inspect_panel(changed(panel, ts_T=ts, timeframe_s=60, tradable_TN=tradable))
    assert [(str(gap.after)[11:16], str(gap.before)[11:16]) for gap in found.gaps] == [("15:09", "15:11")]


def test_the_known_oddities_of_the_nasdaq_composite_are_found(tmp_path):
    (found,) = inspect_panel(Nasdaq(store=str(tmp_path)).panel())
    assert (found.num_stale_opens, found.num_zero_volume, found.num_large_moves) == (8, 2, 0)
    assert found.longest_stale_run == 1
    assert [str(gap.after)[:10] for gap in found.gaps] == ["2001-09-10", "2006-12-29", "2012-10-26"]
    assert found.largest_move == pytest.approx(0.1417, abs=1e-4)  # 2001-01-03, the largest rise of the index
