"""The 58 indicators equal plain loops, look only back, and are defined exactly from their warm-up on."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from technical_oracle import expected, recursion

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.evaluate.leak_drift import warmup_drift
from tradewright.evaluate.leaks import check_features
from tradewright.features.filled_bars import FilledBars
from tradewright.features.pipeline import build_features
from tradewright.features.technical58 import INDICATORS, Technical58, indicators
from tradewright.features.windows import ema, wilder

NAMES = [name for family in INDICATORS.values() for name in family]
SHORT = Technical58(memory_bars=32)


def intraday(panel: Panel, minutes: int = 37) -> Panel:
    """Return the panel with bars that open at odd times of the day."""
    ts_T = np.datetime64("2000-01-03T09:31", "us") + np.arange(panel.num_bars) * np.timedelta64(minutes, "m")
    return replace(panel, ts_T=ts_T, known_at_T=ts_T + np.timedelta64(minutes, "m"), timeframe_s=60 * minutes)


def series_of(panel: Panel, row: int, column: int) -> tuple[list[float], ...]:
    """Return open, high, low, close and volume up to a row, holes read as the last close without volume."""
    bars: list[list[float]] = [[], [], [], [], []]
    for t in range(row + 1):
        exists = bool(panel.tradable_TN[t, column])
        last = bars[3][-1] if bars[3] else float("nan")
        for place, name in enumerate(("open", "high", "low", "close")):
            bars[place].append(float(getattr(panel, f"{name}_TN")[t, column]) if exists else last)
        bars[4].append(float(panel.volume_TN[t, column]))
    return tuple(bars)


def when(panel: Panel, row: int) -> datetime:
    return panel.ts_T[row].astype("datetime64[s]").item()


@pytest.mark.row("B13")
def test_there_are_58_of_six_families_and_they_are_computed_in_the_order_listed(panel_of) -> None:
    assert len(NAMES) == len(set(NAMES)) == 58
    assert {family: len(names) for family, names in INDICATORS.items()} == {
        "momentum": 14, "trend": 15, "volatility": 12, "volume": 7, "pattern": 6, "calendar": 4,
    }  # fmt: skip
    assert list(SHORT.compute(panel_of(80))) == NAMES
    assert list(indicators(FilledBars.of(panel_of(80), 32))) == NAMES


def rounded(panel: Panel, tick: float) -> Panel:
    """Return the panel with prices on a coarse grid, so that equal prices and dojis are common."""
    prices = {f"{k}_TN": np.round(getattr(panel, f"{k}_TN") / tick) * tick for k in ("open", "high", "low", "close")}
    return replace(panel, **prices)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("memory", "tick"), [(32, 1e-9), (45, 1e-9), (32, 0.5)])
def test_every_indicator_equals_a_plain_loop(panel_of, seed: int, memory: int, tick: float) -> None:
    print(f"seed {seed}")
    panel = rounded(intraday(panel_of(150, 2, seed, missing=0.1)), tick)
    table = Technical58(memory_bars=memory).compute(panel)
    for row, column in ((120, 0), (137, 1), (149, 0)):
        oracle = expected(when(panel, row), series_of(panel, row, column), memory)
        assert sorted(oracle) == sorted(NAMES)
        for name in NAMES:
            assert table[name][row, column] == pytest.approx(oracle[name], rel=1e-9, abs=1e-12), (name, row, column)


def test_both_engulfing_patterns_and_both_extremes_of_aroon_occur(panel_of) -> None:
    table = SHORT.compute(panel_of(3_000, 1, 5))
    assert {-1.0, 0.0, 1.0} <= set(table["engulfing"][100:, 0])
    assert table["aroon_25"][100:].max() > 0.9
    assert table["aroon_25"][100:].min() < -0.9


@pytest.mark.parametrize(
    ("average", "alpha"), [(lambda x: ema(x, 26, 128), 2 / 27), (lambda x: wilder(x, 14, 128), 1 / 14)]
)
def test_finite_averages_are_near_the_textbook_recursion(average, alpha: float) -> None:
    """What the recursion gives to bars beyond the memory is below 1e-4 of all weights."""
    x = np.random.default_rng(11).normal(size=3_000)
    assert average(x[:, None])[-1, 0] == pytest.approx(recursion(x.tolist(), alpha), abs=3e-4 * x.std())


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(2, 299), seed=st.integers(0, 99), missing=st.sampled_from([0.0, 0.2]))
def test_truncating_the_future_or_the_distant_past_changes_nothing(
    panel_of, cut: int, seed: int, missing: float
) -> None:
    panel = panel_of(300, 2, seed, missing=missing)
    whole, past = SHORT.compute(panel), SHORT.compute(panel.slice(0, cut))
    later = SHORT.compute(panel.slice(cut, 300))
    first_row = cut + SHORT.warmup_bars + 20  # a hole at the new start is filled by nothing
    for name in NAMES:
        np.testing.assert_array_equal(whole[name][:cut], past[name], err_msg=name)
        np.testing.assert_array_equal(whole[name][first_row:], later[name][first_row - cut :], err_msg=name)


def test_leak_detector_and_warmup_report_find_nothing(panel_of) -> None:
    panel = panel_of(900, 1, 3)
    for check in check_features(Technical58(), panel, seed=1):
        assert not check.leaks
        assert not check.faults
    drift = warmup_drift(Technical58(), panel, (256, 400))
    assert {value for by_bars in drift.values() for value in by_bars.values()} == {0.0}
    assert any(np.isnan(by_bars[255]) for by_bars in warmup_drift(Technical58(), panel, (255,)).values())


@pytest.mark.parametrize("memory", [2, 20, 32, 128])
def test_warmup_is_the_exact_first_row_at_which_all_are_defined(panel_of, memory: int) -> None:
    features = Technical58(memory_bars=memory)
    table = np.stack(list(features.compute(panel_of(400)).values()), -1)
    assert np.isfinite(table[features.warmup_bars :]).all()
    assert np.isnan(table[features.warmup_bars - 1]).any()
    assert features.warmup_bars == max(60, 2 * memory - 1)


def test_blocks_equal_one_pass_to_the_bit(panel_of, monkeypatch) -> None:
    panel = panel_of(1_500, 2, 2, missing=0.1)
    monkeypatch.setattr("tradewright.features.technical58.BLOCK_VALUES", 600)
    blocks, whole = SHORT.compute(panel), indicators(FilledBars.of(panel, SHORT.memory_bars))
    for name in NAMES:
        np.testing.assert_array_equal(blocks[name], whole[name], err_msg=name)


@pytest.mark.row("B50")
def test_flat_prices_without_volume_give_the_documented_neutral_values(panel_of, tmp_path: Path) -> None:
    flat = np.full((200, 1), 50.1)
    prices = dict.fromkeys(("open_TN", "high_TN", "low_TN", "close_TN"), flat)
    panel = replace(panel_of(200), **prices, volume_TN=np.zeros((200, 1)), fingerprint="flat")
    table = SHORT.compute(panel)
    halves = {
        "rsi_7", "rsi_14", "stochastic_rsi_14", "stochastic_k_14", "stochastic_d_14", "ultimate_7_14_28",
        "bollinger_place_20", "donchian_20", "money_flow_14",
    }  # fmt: skip
    for name in NAMES:
        if not name.startswith(("time_of_day", "weekday")):
            np.testing.assert_allclose(table[name][-50:], 0.5 if name in halves else 0.0, atol=1e-14, err_msg=name)
    features, _ = build_features(SHORT, panel, Range(0, 120), tmp_path)
    prices_only = [f for f, name in enumerate(NAMES) if not name.startswith("weekday")]
    np.testing.assert_allclose(features.x_TNF[SHORT.warmup_bars :][..., prices_only], 0.0, atol=1e-2)


def test_prices_in_another_currency_and_volumes_in_lots_change_nothing(panel_of) -> None:
    panel = panel_of(200, 1, 4)
    scaled = {f"{key}_TN": getattr(panel, f"{key}_TN") * 128.0 for key in ("open", "high", "low", "close")}
    table, other = SHORT.compute(panel), SHORT.compute(replace(panel, **scaled, volume_TN=panel.volume_TN * 4.0))
    for name in NAMES:
        tolerance = 1e-3 if name.startswith("volume_") else 1e-9  # ln(1 + V) is scale-free for large V
        np.testing.assert_allclose(other[name], table[name], atol=tolerance, err_msg=name)


@pytest.mark.row("N20")
def test_zscore_is_fitted_on_the_training_range_only(panel_of, tmp_path: Path) -> None:
    panel = panel_of(400, 1, 9)
    features, scaler = build_features(SHORT, panel, Range(0, 250), tmp_path)
    raw_TF = np.stack([x_TN[:, 0] for x_TN in SHORT.compute(panel).values()], -1)
    train_TF = raw_TF[SHORT.warmup_bars : 250]
    np.testing.assert_allclose(scaler.mean_F, train_TF.mean(0), rtol=1e-9, atol=1e-15)
    moving = train_TF.std(0) > 1e-9
    by_hand = (raw_TF - train_TF.mean(0))[:, moving] / train_TF.std(0)[moving]
    np.testing.assert_allclose(features.x_TNF[300:, 0][:, moving], by_hand[300:], rtol=1e-4, atol=1e-5)
    later = replace(
        panel, close_TN=panel.close_TN * np.where(np.arange(400) < 250, 1.0, 1.001)[:, None], fingerprint="x"
    )
    _, other = build_features(SHORT, later, Range(0, 250), tmp_path)
    np.testing.assert_array_equal(scaler.mean_F, other.mean_F)
    np.testing.assert_array_equal(scaler.deviation_F, other.deviation_F)


@pytest.mark.row("B51")
def test_infinite_price_is_named_by_feature_row_and_symbol(panel_of, tmp_path: Path) -> None:
    panel = panel_of(200)
    high_TN = panel.high_TN.copy()
    high_TN[150, 0] = np.inf
    with pytest.raises(DataError, match=r"features\.\w+: (nan|inf) at row 150 \(.*\) of S0"):
        build_features(SHORT, replace(panel, high_TN=high_TN, fingerprint="bad"), Range(0, 120), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"memory_bars": 1}, "memory_bars must be >= 2, was 1"),
        ({"normalise": "minmax"}, "normalise must be 'zscore' or 'none', was 'minmax'"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Technical58(**arguments)
