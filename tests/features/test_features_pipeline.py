"""Features are causal, scaled on the training range only, and cached; bad numbers are named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.features.pipeline import build_features
from tradewright.features.price_volume import PriceVolume
from tradewright.features.scaler import Scaler

SMALL = PriceVolume(short_window=5, long_window=12)


def test_fifteen_named_features_are_finite_after_the_warmup(panel_of, tmp_path: Path) -> None:
    features, _ = build_features(SMALL, panel_of(200, 2), Range(0, 100), tmp_path)
    assert features.x_TNF.shape == (200, 2, 15)
    assert len(set(features.names_F)) == 15
    assert features.ready_from == 12
    assert np.isnan(features.x_TNF[:12]).all()
    assert np.isfinite(features.x_TNF[12:]).all()


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(20, 118), seed=st.integers(0, 99), missing=st.sampled_from([0.0, 0.2]))
@pytest.mark.row("N20")
def test_truncating_the_future_changes_no_row(panel_of, cut: int, seed: int, missing: float) -> None:
    panel = panel_of(120, 2, seed, missing=missing)
    whole, cut_off = SMALL.compute(panel), SMALL.compute(panel.slice(0, cut))
    for name in whole:
        np.testing.assert_array_equal(whole[name][:cut], cut_off[name], err_msg=name)


def test_values_equal_plain_formulas_on_one_row(panel_of) -> None:
    panel = panel_of(60)
    x = {name: values[40, 0] for name, values in SMALL.compute(panel).items()}
    close, high, low, volume = (getattr(panel, f"{key}_TN")[:41, 0] for key in ("close", "high", "low", "volume"))
    returns = np.diff(np.log(close))
    assert x["return_1"] == pytest.approx(np.log(close[40] / close[39]))
    assert x["return_long"] == pytest.approx(np.log(close[40] / close[28]))
    assert x["gap"] == pytest.approx(np.log(panel.open_TN[40, 0] / close[39]))
    assert x["volatility_short"] == pytest.approx(returns[-5:].std())
    assert x["distance_average_long"] == pytest.approx(np.log(close[40] / close[29:].mean()))
    assert x["drawdown_long"] == pytest.approx(np.log(close[40] / close[29:].max()))
    assert x["close_in_range"] == pytest.approx((close[40] - low[40]) / (high[40] - low[40]))
    assert x["volume_ratio"] == pytest.approx(np.log1p(volume[40]) - np.log1p(volume[36:].mean()))
    typical = (high + low + close)[36:] / 3
    assert x["distance_vwap"] == pytest.approx(np.log(close[40] / (np.dot(typical, volume[36:]) / volume[36:].sum())))


@pytest.mark.row("B49")
def test_scaler_is_fitted_on_the_training_range_only(panel_of, tmp_path: Path) -> None:
    panel = panel_of(300)
    changed = replace(panel, close_TN=np.where(np.arange(300)[:, None] >= 150, panel.close_TN * 3, panel.close_TN))
    changed = replace(changed, high_TN=np.maximum(changed.high_TN, changed.close_TN), fingerprint="changed")
    _, scaler = build_features(SMALL, panel, Range(0, 150), tmp_path)
    _, other = build_features(SMALL, changed, Range(0, 150), tmp_path)
    np.testing.assert_array_equal(scaler.mean_F, other.mean_F)
    raw = np.stack(list(SMALL.compute(panel).values()), -1)[12:150, 0]
    np.testing.assert_allclose(scaler.mean_F, raw.mean(0), rtol=1e-12)
    np.testing.assert_allclose(scaler.deviation_F, raw.std(0), rtol=1e-9)


@pytest.mark.row("B50")
def test_constant_series_become_zero_without_nan_or_warning(panel_of, tmp_path: Path) -> None:
    panel = panel_of(100)
    flat = np.full((100, 1), 50.0)
    panel = replace(
        panel, open_TN=flat, high_TN=flat, low_TN=flat, close_TN=flat, volume_TN=np.zeros((100, 1)), fingerprint="flat"
    )
    features, _ = build_features(SMALL, panel, Range(0, 60), tmp_path)
    np.testing.assert_array_equal(features.x_TNF[12:], 0.0)


@pytest.mark.row("B51")
def test_non_finite_input_names_feature_row_and_symbol(panel_of, tmp_path: Path) -> None:
    panel = panel_of(100)
    high = panel.high_TN.copy()
    high[70, 0] = np.inf
    with pytest.raises(DataError, match=r"features\.range: inf at row 70 \(2000-03-13.*\) of S0"):
        build_features(SMALL, replace(panel, high_TN=high, fingerprint="bad"), Range(0, 60), tmp_path)


def test_cache_is_read_and_depends_on_data_configuration_and_range(panel_of, tmp_path: Path) -> None:
    panel = panel_of(100)
    first, _ = build_features(SMALL, panel, Range(0, 60), tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 1
    again, _ = build_features(SMALL, panel, Range(0, 60), tmp_path)
    np.testing.assert_array_equal(first.x_TNF, again.x_TNF)
    assert len(list(tmp_path.glob("*.npy"))) == 1
    build_features(SMALL, panel, Range(0, 61), tmp_path)
    build_features(PriceVolume(short_window=5, long_window=13), panel, Range(0, 60), tmp_path)
    build_features(SMALL, replace(panel, fingerprint="other"), Range(0, 60), tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 4


def test_young_instrument_reads_the_training_mean_until_it_is_ready(panel_of, tmp_path: Path) -> None:
    panel = panel_of(100, 2)
    exists = panel.tradable_TN.copy()
    exists[:40, 1] = False
    prices = {
        f"{key}_TN": np.where(exists, getattr(panel, f"{key}_TN"), np.nan) for key in ("open", "high", "low", "close")
    }
    volume = np.where(exists, panel.volume_TN, 0.0)
    young = replace(panel, **prices, volume_TN=volume, tradable_TN=exists, fingerprint="young")
    features, _ = build_features(SMALL, young, Range(0, 60), tmp_path)
    np.testing.assert_array_equal(features.x_TNF[12:52, 1], 0.0)
    assert (features.x_TNF[52:, 1] != 0).any()


def test_warmup_counts_the_return_over_five_bars(panel_of) -> None:
    for long_window, expected in ((3, 5), (5, 5), (6, 6)):
        features = PriceVolume(short_window=2, long_window=long_window)
        table = np.stack(list(features.compute(panel_of(40)).values()), -1)
        assert features.warmup_bars == expected == int(np.isfinite(table).all((1, 2)).argmax())


def test_scaler_survives_its_file_bit_for_bit(tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(50, 1, 4))
    scaler = Scaler.fit(x, ("a", "b", "c", "d"))
    scaler.save(tmp_path / "scaler.json")
    loaded = Scaler.load(tmp_path / "scaler.json")
    assert loaded.names_F == scaler.names_F
    np.testing.assert_array_equal(loaded.mean_F, scaler.mean_F)
    np.testing.assert_array_equal(loaded.deviation_F, scaler.deviation_F)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"short_window": 1}, "short_window must be >= 2, was 1"),
        ({"short_window": 20, "long_window": 20}, r"long_window must be > short_window \(20\), was 20"),
        ({"normalise": "minmax"}, "normalise must be 'zscore' or 'none', was 'minmax'"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PriceVolume(**arguments)
