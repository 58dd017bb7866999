"""Features of longer bars equal an as-of join by hand, and are seen only once the longer bar has closed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.evaluate.leak_drift import warmup_drift
from tradewright.evaluate.leaks import check_features
from tradewright.features.multi_timeframe import MultiTimeframe
from tradewright.features.pipeline import build_features, compute_features
from tradewright.features.price_volume import PriceVolume
from tradewright.features.technical58 import INDICATORS, Technical58

MINUTE = np.timedelta64(60, "s")
SMALL = PriceVolume(short_window=2, long_window=4)
THREE = MultiTimeframe(base=SMALL, timeframes=["1m", "5m", "15m"])


def minutes_of(panel: Panel, *, start: str = "2020-01-02T09:33", skipped: float = 0.0, seed: int = 0) -> Panel:
    """Return the panel as one-minute bars, some minutes of the clock left out altogether."""
    steps_T = 1 + (np.random.default_rng(seed).random(panel.num_bars) < skipped)
    ts_T = np.datetime64(start, "us") + np.cumsum(steps_T) * MINUTE
    return replace(panel, ts_T=ts_T, known_at_T=ts_T + MINUTE, timeframe_s=60)


class LastClose:
    """A feature set that shows the close, volume and end of a bar as they are."""

    normalise = "none"
    warmup_bars = 0
    parameters: dict = {}  # noqa: RUF012 - nothing to set

    def compute(self, panel: Panel) -> dict[str, np.ndarray]:
        shape = panel.close_TN.shape
        end_T = (panel.known_at_T - np.datetime64("2020-01-01")) / MINUTE
        return {
            "close": panel.close_TN,
            "volume": panel.volume_TN,
            "end": np.broadcast_to(end_T[:, None], shape) + 0.0 * panel.close_TN,
        }


def joined_by_hand(panel: Panel, minutes: int, row: int, column: int) -> tuple[float, float, float]:
    """Return close, volume and end of the last bucket of the symbol that is over when the row is known."""
    origin = np.datetime64("2020-01-01", "us")
    opens = ((panel.ts_T - origin) / MINUTE).astype(int).tolist()
    known = opens[row] + 1
    first = next(t for t in range(panel.num_bars) if panel.tradable_TN[t, column])
    buckets: dict[int, tuple[float, float]] = {}
    for t in range(row + 1):
        start = opens[t] // minutes * minutes
        if not panel.tradable_TN[t, column] or start + minutes > known:
            continue
        if start == opens[first] // minutes * minutes != opens[first]:
            continue  # the symbol's bars began inside it
        volume = buckets.get(start, (0.0, 0.0))[1]
        buckets[start] = (float(panel.close_TN[t, column]), volume + float(panel.volume_TN[t, column]))
    if not buckets:
        return (float("nan"),) * 3
    last = max(buckets)
    return (*buckets[last], last + minutes)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 99),
    missing=st.sampled_from([0.0, 0.3]),
    skipped=st.sampled_from([0.0, 0.2]),
    offset=st.integers(0, 14),
)
@pytest.mark.row("N22")
def test_features_of_longer_bars_equal_an_as_of_join_by_hand(panel_of, seed, missing, skipped, offset) -> None:
    panel = panel_of(70, 1, seed, missing=missing)
    panel = minutes_of(panel, start=f"2020-01-02T09:{30 + offset}", skipped=skipped, seed=seed)
    table = MultiTimeframe(base=LastClose(), timeframes=["1m", "5m", "15m"]).compute(panel)
    np.testing.assert_array_equal(table["1m/close"], panel.close_TN)
    num_seen = 0
    for minutes in (5, 15):
        for row in range(panel.num_bars):
            close, volume, end = joined_by_hand(panel, minutes, row, 0)
            found = [table[f"{minutes}m/{name}"][row, 0] for name in ("close", "volume", "end")]
            np.testing.assert_allclose(found, [close, volume, end], rtol=1e-12, err_msg=f"{minutes}m at row {row}")
            num_seen += not np.isnan(close)
            known = (panel.known_at_T[row] - np.datetime64("2020-01-01")) / MINUTE
            assert not end > known
    assert num_seen > 60


@pytest.mark.row("N22")
def test_a_forming_bar_is_never_seen(panel_of) -> None:
    """Whatever the last minutes of a forming 15-minute bar do, nothing on longer bars moves before its close."""
    panel = minutes_of(panel_of(120, 2), start="2020-01-02T09:29")
    table = THREE.compute(panel)
    stamps = panel.known_at_T.astype("datetime64[m]").astype(int)
    for minutes in (5, 15):
        for name in ("return_1", "range", "volume_ratio"):
            x_TN = table[f"{minutes}m/{name}"]
            moves_T = (x_TN[1:] != x_TN[:-1]).any(1) & ~np.isnan(x_TN[:-1]).any(1)
            assert moves_T.any()
            assert set(stamps[1:][moves_T] % minutes) == {0}
    doubled = replace(panel, close_TN=panel.close_TN * np.where(np.arange(120) == 100, 1.5, 1.0)[:, None])
    doubled = replace(doubled, high_TN=np.maximum(panel.high_TN, doubled.close_TN))
    other = THREE.compute(doubled)
    close_minute = int(np.flatnonzero((stamps % 15 == 0) & (np.arange(120) >= 100))[0])
    assert 100 < close_minute < 119
    for name in table:
        if name.startswith("15m/"):
            np.testing.assert_array_equal(table[name][:close_minute], other[name][:close_minute], err_msg=name)
    assert (table["15m/range"][close_minute] != other["15m/range"][close_minute]).all()


@pytest.mark.row("N22")
def test_leak_detector_finds_nothing_and_catches_a_join_on_open_times(panel_of, monkeypatch) -> None:
    panel = minutes_of(panel_of(420, 2, 3, missing=0.1), skipped=0.1)
    for check in check_features(THREE, panel, seed=1):
        assert not check.leaks
        assert not check.faults
    assert {v for by in warmup_drift(THREE, panel, (100, 200)).values() for v in by.values() if not np.isnan(v)} == {
        0.0
    }

    def by_open(fine: Panel, coarse: Panel) -> np.ndarray:
        return np.searchsorted(coarse.ts_T, fine.ts_T, side="right") - 1

    monkeypatch.setattr("tradewright.features.multi_timeframe.align", by_open)
    assert any(leak.name.startswith("15m/") for check in check_features(THREE, panel, seed=1) for leak in check.leaks)


@settings(max_examples=10, deadline=None)
@given(cut=st.integers(1, 199), seed=st.integers(0, 99), missing=st.sampled_from([0.0, 0.4]))
def test_truncating_the_future_changes_no_row(panel_of, cut: int, seed: int, missing: float) -> None:
    panel = minutes_of(panel_of(200, 2, seed, missing=missing), skipped=0.2, seed=seed)
    whole, past = THREE.compute(panel), THREE.compute(panel.slice(0, cut))
    assert list(whole) == list(past)
    for name in whole:
        np.testing.assert_array_equal(whole[name][:cut], past[name], err_msg=name)


@pytest.mark.parametrize("offset", range(15))
def test_warmup_is_enough_wherever_the_data_begin_and_exact_at_the_worst_place(panel_of, offset: int) -> None:
    panel = minutes_of(panel_of(200), start=f"2020-01-02T09:{14 + offset}")
    table = np.stack(list(THREE.compute(panel).values()), -1)
    is_ready_T = np.isfinite(table).all((1, 2))
    assert is_ready_T[THREE.warmup_bars :].all()
    assert THREE.warmup_bars == 15 * (5 + 2) - 2
    first_minute = int(panel.ts_T[0].astype("datetime64[m]").astype(int)) % 15
    if first_minute == 1:
        assert int(np.argmax(is_ready_T)) == THREE.warmup_bars
    else:
        assert int(np.argmax(is_ready_T)) < THREE.warmup_bars


def test_holes_and_young_instruments_keep_the_promise_of_the_warmup(panel_of) -> None:
    panel = minutes_of(panel_of(400, 3, 8, missing=0.3), skipped=0.2)
    exists_TN = panel.tradable_TN.copy()
    exists_TN[:150, 1] = False
    exists_TN[:396, 2] = False  # never a whole 15-minute bar
    cut = {f"{k}_TN": np.where(exists_TN, getattr(panel, f"{k}_TN"), np.nan) for k in ("open", "high", "low", "close")}
    panel = replace(panel, **cut, tradable_TN=exists_TN, volume_TN=np.where(exists_TN, panel.volume_TN, 0.0))
    x_TNF, scaler = compute_features(THREE, panel, (Range(0, 300),), None)  # raises on a value that is not finite
    age_TN = np.cumsum(exists_TN, axis=0) - 1
    assert np.isfinite(x_TNF[THREE.warmup_bars :]).all()
    assert (x_TNF[THREE.warmup_bars :][age_TN[THREE.warmup_bars :] < THREE.warmup_bars] == 0).all()
    assert scaler.names_F[15] == "5m/return_1"


@pytest.mark.row("N21")
def test_the_shipped_option_has_between_100_and_200_features(tmp_path: Path, panel_of) -> None:
    from omegaconf import OmegaConf

    from tradewright import paths
    from tradewright.config.build import build
    from tradewright.config.compose import open_hydra

    assert paths.shipped("conf").is_dir()
    cfg = open_hydra().compose(["features=multi_timeframe", "features.base.memory_bars=16"])
    features = build(cfg.features, key="features")
    assert OmegaConf.to_container(cfg.features.timeframes) == ["1m", "5m", "15m"]
    panel = minutes_of(panel_of(1_400))
    built, _ = build_features(features, panel, Range(0, 1_200), tmp_path)
    names = [
        f"{timeframe}/{name}" for timeframe in ("1m", "5m", "15m") for family in INDICATORS.values() for name in family
    ]
    assert built.names_F == tuple(names)
    assert 100 <= len(names) == 3 * 58 <= 200
    assert np.isfinite(built.x_TNF[features.warmup_bars :]).all()


def test_another_feature_set_can_be_computed_on_every_bar_length(panel_of) -> None:
    from tradewright.config.build import build
    from tradewright.config.compose import open_hydra

    overrides = ["features=multi_timeframe", "features@features.base=price_volume", "features.base.long_window=30"]
    features = build(open_hydra().compose(overrides).features, key="features")
    assert features.warmup_bars == 15 * (30 + 2) - 2
    assert len(features.compute(minutes_of(panel_of(500)))) == 3 * 15


def test_days_begin_at_the_start_of_the_session(panel_of) -> None:
    hours = panel_of(24 * 6)
    ts_T = np.datetime64("2020-01-02T22:00", "us") + np.arange(24 * 6) * np.timedelta64(1, "h")
    hours = replace(hours, ts_T=ts_T, known_at_T=ts_T + np.timedelta64(1, "h"), timeframe_s=3_600)
    features = MultiTimeframe(base=LastClose(), timeframes=["1h", "1d"], session_start="22:00")
    close_T = features.compute(hours)["1d/close"][:, 0]
    assert np.isnan(close_T[:23]).all()
    np.testing.assert_array_equal(close_T[23:], hours.close_TN[(np.arange(23, 144) + 1) // 24 * 24 - 1, 0])


def test_one_timeframe_is_the_base_itself(panel_of) -> None:
    panel, base = panel_of(100), Technical58(memory_bars=16)
    one = MultiTimeframe(base=base, timeframes=["1d"])
    assert one.warmup_bars == base.warmup_bars
    for name, x_TN in base.compute(panel).items():
        np.testing.assert_array_equal(one.compute(panel)[f"1d/{name}"], x_TN)


def test_parameters_tell_bases_timeframes_and_sessions_apart() -> None:
    variants = [
        THREE,
        MultiTimeframe(base=SMALL, timeframes=["1m", "5m"]),
        MultiTimeframe(base=SMALL, timeframes=["1m", "5m", "15m"], session_start="22:00"),
        MultiTimeframe(base=PriceVolume(short_window=2, long_window=5)),
        MultiTimeframe(base=Technical58()),
    ]
    assert len({str(variant.parameters) for variant in variants}) == len(variants)


def test_data_of_another_bar_length_are_refused_with_the_key(panel_of) -> None:
    with pytest.raises(
        DataError, match=r"features\.timeframes: the first must be the bar length of the data, 1d, was 1m"
    ):
        THREE.compute(panel_of(50))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timeframes": ["1m", "7m"]}, r"timeframes must be bar lengths such as \[1m, 5m, 15m\]: .*'7m'"),
        ({"timeframes": ["5m", "1m"]}, "timeframes must rise and be multiples of the first"),
        ({"timeframes": ["2m", "5m"]}, "timeframes must rise and be multiples of the first"),
        ({"timeframes": []}, "timeframes must rise"),
        ({"session_start": "24:00"}, "session_start must be a time of day such as 22:00, was '24:00'"),
        ({"normalise": "minmax"}, "normalise must be 'zscore' or 'none', was 'minmax'"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiTimeframe(base=SMALL, **arguments)
