"""Aggregation against a plain loop, and joins on known-at time that never see a forming bar."""

import dataclasses

import duckdb
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tradewright.data.panel import Panel
from tradewright.data.resample import aggregate_query, align, resample
from tradewright.errors import DataError
from tradewright.market.instrument import Instrument

MINUTE = np.timedelta64(60, "s")


def minute_panel(minutes: list[int], num_symbols: int = 1, seed: int = 0, missing: float = 0.0) -> Panel:
    """Return one-minute bars at the given minutes after 2020-01-02 14:30 UTC."""
    rng = np.random.default_rng(seed)
    shape = (len(minutes), num_symbols)
    close = 100 + rng.normal(0, 1, shape).cumsum(axis=0) * 0.1
    open_ = close + rng.normal(0, 0.05, shape)
    high, low = np.maximum(open_, close) + 0.1, np.minimum(open_, close) - 0.1
    exists = rng.random(shape) >= missing
    exists[0] = exists[-1] = True
    prices = [np.where(exists, x, np.nan) for x in (open_, high, low, close)]
    ts = np.datetime64("2020-01-02T14:30", "us") + np.array(minutes) * MINUTE
    return Panel(
        dataset="minutes", instruments=tuple(Instrument(symbol=f"S{n}") for n in range(num_symbols)), timeframe_s=60,
        ts_T=ts, known_at_T=ts + MINUTE, open_TN=prices[0], high_TN=prices[1], low_TN=prices[2], close_TN=prices[3],
        volume_TN=np.where(exists, rng.integers(1, 9, shape), 0.0).astype(float), tradable_TN=exists,
    )  # fmt: skip


def loop_oracle(panel: Panel, column: int, length_s: int) -> dict[int, list[float]]:
    """Aggregate one column bar by bar: {bucket start (s): [open, high, low, close, volume, count]}."""
    buckets: dict[int, list[float]] = {}
    for t, ts in enumerate(panel.ts_T.astype("datetime64[s]").astype(int).tolist()):
        if not panel.tradable_TN[t, column]:
            continue
        o, h, low, c, v = (
            float(getattr(panel, f"{name}_TN")[t, column]) for name in ("open", "high", "low", "close", "volume")
        )
        bar = buckets.setdefault(ts // length_s * length_s, [o, h, low, c, 0.0, 0])
        bar[1], bar[2], bar[3] = max(bar[1], h), min(bar[2], low), c
        bar[4] += v
        bar[5] += 1
    return buckets


@settings(max_examples=30, deadline=None)
@given(
    minutes=st.lists(st.integers(0, 400), min_size=30, max_size=200, unique=True).map(sorted),
    timeframe=st.sampled_from(["5m", "15m", "1h"]),
    missing=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 99),
)
def test_aggregates_equal_a_plain_loop(minutes, timeframe, missing, seed):
    length_s = {"5m": 300, "15m": 900, "1h": 3600}[timeframe]
    panel = minute_panel(minutes, num_symbols=2, seed=seed, missing=missing)
    try:
        coarse = resample(panel, timeframe)
    except DataError:
        assume(False)  # no bucket is complete
    last_known = panel.known_at_T[-1].astype("datetime64[s]").astype(int)
    starts = coarse.ts_T.astype("datetime64[s]").astype(int).tolist()
    for column in range(2):
        oracle = loop_oracle(panel, column, length_s)
        first = min(oracle)
        first_ts = int(panel.ts_T[panel.tradable_TN[:, column]][0].astype("datetime64[s]").astype(int))
        kept = {s: bar for s, bar in oracle.items() if s + length_s <= last_known and (s > first or first_ts == s)}
        exists = [start for start, flag in zip(starts, coarse.tradable_TN[:, column], strict=True) if flag]
        assert exists == sorted(kept)
        for start, bar in kept.items():
            t = starts.index(start)
            found = [
                float(getattr(coarse, f"{name}_TN")[t, column]) for name in ("open", "high", "low", "close", "volume")
            ]
            assert found == bar[:5]


@settings(max_examples=30, deadline=None)
@given(
    minutes=st.lists(st.integers(0, 6_000), min_size=30, max_size=200, unique=True).map(sorted),
    timeframe=st.sampled_from([("5m", 300, 0), ("1h", 3_600, 0), ("1d", 86_400, 79_200), ("1d", 86_400, 0)]),
    partial=st.sampled_from(["edges", "drop"]),
    seed=st.integers(0, 99),
)
def test_panels_and_tables_are_aggregated_alike(minutes, timeframe, partial, seed):
    name, length_s, offset_s = timeframe
    panel = minute_panel(minutes, num_symbols=2, seed=seed, missing=0.3)
    coarse = resample(panel, name, session_start_s=offset_s, partial=partial, require_all=False)
    rows = np.argwhere(panel.tradable_TN)
    bars = {key: getattr(panel, f"{key}_TN")[tuple(rows.T)] for key in ("open", "high", "low", "close", "volume")}
    bars |= {"ts": panel.ts_T[rows[:, 0]], "symbol": rows[:, 1].astype(np.int32)}
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("bars", bars)
        query = aggregate_query("bars", stored_s=60, length_s=length_s, offset_s=offset_s, partial=partial)
        found = connection.sql(f"SELECT * FROM ({query}) ORDER BY ts, symbol").fetchall()
    places = np.argwhere(coarse.tradable_TN)
    keys = ("open", "high", "low", "close", "volume")
    mine = [(n, coarse.ts_T[t].item(), *(getattr(coarse, f"{key}_TN")[t, n] for key in keys)) for t, n in places]
    assert mine == found


def test_a_symbol_without_a_complete_bar_is_refused_or_stays_empty():
    panel = minute_panel(list(range(40)), num_symbols=2)
    exists = panel.tradable_TN & (np.arange(40)[:, None] >= [0, 37])
    prices = {f"{k}_TN": np.where(exists, getattr(panel, f"{k}_TN"), np.nan) for k in ("open", "high", "low", "close")}
    panel = dataclasses.replace(panel, **prices, tradable_TN=exists, volume_TN=np.where(exists, panel.volume_TN, 0.0))
    with pytest.raises(DataError, match="S1: its bars fill no complete 15m bar; load a longer span"):
        resample(panel, "15m")
    coarse = resample(panel, "15m", require_all=False)
    assert coarse.tradable_TN.tolist() == [[True, False]] * 2
    assert resample(panel.slice(0, 10), "15m", require_all=False).num_bars == 0


def test_dropping_partial_bars_keeps_full_ones_only():
    minutes = [m for m in range(60) if m not in (7, 31)]
    full = resample(minute_panel(minutes), "5m", partial="drop")
    assert [int((ts - np.datetime64("2020-01-02T14:30")) / MINUTE) for ts in full.ts_T] == [
        0,
        *range(10, 30, 5),
        *range(35, 60, 5),
    ]
    assert len(resample(minute_panel(minutes), "5m").ts_T) == 12


@settings(max_examples=30, deadline=None)
@given(
    minutes=st.lists(st.integers(0, 300), min_size=40, max_size=200, unique=True).map(sorted),
    timeframe=st.sampled_from(["5m", "15m"]),
    cut=st.floats(0.3, 1.0),
    seed=st.integers(0, 99),
)
@pytest.mark.row("T10")
def test_joins_on_known_at_time_never_leak(minutes, timeframe, cut, seed):
    """Cutting the future away, or perturbing it, changes nothing that a bar could see."""
    panel = minute_panel(minutes, seed=seed)
    stop = max(int(len(minutes) * cut), 20)
    past = panel.slice(0, stop)
    noise = np.where(np.arange(panel.num_bars)[:, None] >= stop, 7.0, 1.0)
    other = dataclasses.replace(
        panel, **{f"{k}_TN": getattr(panel, f"{k}_TN") * noise for k in ("open", "high", "low", "close")}
    )
    try:
        coarse_past = resample(past, timeframe)
    except DataError:
        return
    seen = seen_closes(past, coarse_past)
    np.testing.assert_array_equal(seen, seen_closes(panel, resample(panel, timeframe))[:stop])
    np.testing.assert_array_equal(seen, seen_closes(other, resample(other, timeframe))[:stop])
    coarse = resample(panel, timeframe)
    index_T = align(panel, coarse)
    for t, index in enumerate(index_T):
        if index >= 0:
            assert coarse.known_at_T[index] <= panel.known_at_T[t]
        if index + 1 < coarse.num_bars:
            assert coarse.known_at_T[index + 1] > panel.known_at_T[t]


def seen_closes(fine: Panel, coarse: Panel) -> np.ndarray:
    """Return for each fine bar the close of the coarse bar it sees; NaN where there is none."""
    index_T = align(fine, coarse)
    return np.where(index_T >= 0, coarse.close_TN[index_T, 0], np.nan)


def test_a_five_minute_bar_is_visible_with_its_last_minute():
    panel = minute_panel(list(range(20)))
    assert align(panel, resample(panel, "5m")).tolist() == [-1] * 4 + [0] * 5 + [1] * 5 + [2] * 5 + [3]


def test_days_of_sessions_keep_the_first_and_a_complete_last_day():
    minutes = [day * 1440 + m for day in range(4) for m in range(390)]
    assert resample(minute_panel(minutes), "1d").num_bars == 4
    assert resample(minute_panel(minutes[:-1]), "1d").num_bars == 3  # the last session is a minute short: still forming
    early = [m for m in minutes if m < 1440 + 210 or m >= 2880]
    assert resample(minute_panel(early), "1d").num_bars == 4  # an early close inside is a day like any other


def test_days_can_begin_in_the_evening():
    minutes = list(range(3 * 1440))  # round the clock from 14:30 UTC
    coarse = resample(minute_panel(minutes), "1d", session_start_s=22 * 3600)
    assert {str(ts)[11:16] for ts in coarse.ts_T} == {"22:00"}
    assert (coarse.known_at_T - coarse.ts_T == np.timedelta64(1, "D")).all()
    inner = coarse.volume_TN[1:-1, 0]
    panel = minute_panel(minutes)
    start = int(np.searchsorted(panel.ts_T, coarse.ts_T[1]))
    assert inner[0] == panel.volume_TN[start : start + 1440].sum()


def test_bars_that_straddle_a_boundary_are_refused():
    panel = minute_panel(list(range(20)))
    shifted = dataclasses.replace(panel, ts_T=panel.ts_T + np.timedelta64(30, "s"))
    with pytest.raises(DataError, match=r"S0 2020-01-02T14:34:30.*: this 1m bar reaches over the end of its 5m bar"):
        resample(shifted, "5m")


def test_a_length_that_is_no_multiple_is_refused(panel_of):
    with pytest.raises(DataError, match="timeframe 1h must be a multiple of the panel's 1d"):
        resample(panel_of(30), "1h")
