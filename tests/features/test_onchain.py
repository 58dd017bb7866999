"""``features=onchain``: fixtures by hand, a naive oracle, and that no value knows a later swap.

Legend: K swaps, T bars.
"""

import numpy as np
import pytest

from swap_cases import make_tape, panel_of_tape, random_swap_panel, random_tape
from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.evaluate.leak_search import find_leaks
from tradewright.evaluate.leaks import check_features
from tradewright.features.onchain import Onchain
from tradewright.features.pipeline import compute_features
from tradewright.features.swap_windows import (
    CONDITIONS,
    WINDOWS,
    condition_features,
    core_features,
    onchain_table,
    sampled,
)


@pytest.mark.row("R16")
def test_price_change_is_against_the_swap_before() -> None:
    core = core_features(make_tape([2_000.0, 2_010.0, 1_989.9]), 2)
    np.testing.assert_allclose(core["price_change"], [np.nan, 0.005, -0.01])


@pytest.mark.row("R13")
def test_volatility_is_the_deviation_of_the_last_price_changes() -> None:
    """Changes +10 %, -10 %, +20 %: the deviations of the last two are 0.1 and 0.15."""
    core = core_features(make_tape([100.0, 110.0, 99.0, 118.8]), 2)
    np.testing.assert_allclose(core["volatility"], [np.nan, np.nan, 0.1, 0.15])


@pytest.mark.row("R14")
def test_volume_is_in_base_tokens_with_its_moving_average() -> None:
    core = core_features(make_tape([100.0] * 4, [2.0, -4.0, 6.0, -1.0]), 3)
    np.testing.assert_array_equal(core["volume_eth"], [2.0, 4.0, 6.0, 1.0])
    np.testing.assert_allclose(core["volume_average"], [np.nan, np.nan, 4.0, 11 / 3])


@pytest.mark.row("R15")
def test_liquidity_impact_is_volume_over_what_the_pool_holds() -> None:
    """sqrt(x y) = 1000 and y / x = 100: the pool holds 100 base tokens."""
    core = core_features(make_tape([100.0, 100.0], [5.0, -20.0], liquidity=1_000.0), 2)
    np.testing.assert_allclose(core["liquidity_impact"], [0.05, 0.2])


@pytest.mark.row("R17")
def test_conditions_equal_a_naive_oracle_over_10_50_and_100_swaps() -> None:
    tape = random_tape(260, seed=1)
    found = condition_features(tape)
    assert set(found) == {f"{name}_{window}" for name in CONDITIONS for window in WINDOWS}
    seconds = (tape.ts_K - tape.ts_K[0]) / np.timedelta64(1, "s")
    change = np.append(np.nan, tape.price_K[1:] / tape.price_K[:-1] - 1)
    for window in WINDOWS:
        for k in (window - 2, window - 1, window, 150, 259):
            part = slice(max(k - window + 1, 0), k + 1)
            volume, amount = np.abs(tape.amount_K[part]), tape.amount_K[part]
            is_full, has_change = k >= window - 1, k >= window
            expected = {
                "return": tape.price_K[k] / tape.price_K[k - window] - 1 if has_change else np.nan,
                "deviation": tape.price_K[k] / tape.price_K[part].mean() - 1 if is_full else np.nan,
                "volatility": change[part].std() if has_change else np.nan,
                "volume_ratio": volume[-1] / volume.mean() if is_full else np.nan,
                "imbalance": amount.sum() / volume.sum() if is_full else np.nan,
                "interval_s": (seconds[k] - seconds[k - window]) / window if has_change else np.nan,
                "size_rank": (volume <= volume[-1]).mean() if is_full else np.nan,
            }
            for name, value in expected.items():
                got = found[f"{name}_{window}"][k]
                assert got == pytest.approx(value, rel=1e-9, abs=1e-15, nan_ok=True), (name, window, k)


@pytest.mark.row("R17")
def test_every_prefix_of_the_swaps_gives_the_same_values() -> None:
    tape = random_tape(240, seed=2)
    whole = core_features(tape) | condition_features(tape)
    for stop in (1, 9, 51, 102, 199):
        part = tape.slice(0, stop)
        for name, x_K in (core_features(part) | condition_features(part)).items():
            np.testing.assert_array_equal(x_K, whole[name][:stop], err_msg=f"{name} at {stop}")


def test_a_bar_shows_its_last_swap() -> None:
    panel = panel_of_tape(make_tape([100.0, 101.0, 102.0, 103.0], blocks=[0, 0, 1, 4]))
    np.testing.assert_array_equal(sampled(panel, {"price": panel.swaps.price_K})["price"][:, 0], [101.0, 102.0, 103.0])


@pytest.mark.row("R17")
def test_the_leak_detector_finds_nothing_in_the_features() -> None:
    for check in check_features(Onchain(), random_swap_panel(700, seed=3)):
        assert check.is_clean, check


@pytest.mark.parametrize("leak", ["next_swap", "mean_size", "count"])
def test_the_leak_detector_finds_what_knows_later_swaps(leak: str) -> None:
    """The tape is truncated and replaced with the bars, so a look ahead into it shows."""

    def compute(panel) -> dict[str, np.ndarray]:
        tape = panel.swaps
        last_T = tape.last_of_bars(panel.known_at_T)
        if leak == "next_swap":
            return {leak: tape.amount_K[np.minimum(last_T + 1, tape.num_swaps - 1)]}
        if leak == "mean_size":
            return {leak: tape.volume_K[last_T] / tape.volume_K.mean()}
        return {leak: last_T / tape.num_swaps}

    check = find_leaks(compute, random_swap_panel(500, seed=4), kind="feature", rng=np.random.default_rng(0))
    assert [found.name for found in check.leaks] == [leak]
    assert not check.faults


def test_replaced_futures_are_valid_pools() -> None:
    from tradewright.evaluate.leak_worlds import Worlds

    panel = random_swap_panel(400, seed=5)
    k = 150
    for other, _ in Worlds(panel, {}, np.random.default_rng(1)).perturbed(k):
        tape = other.swaps
        last_T = tape.last_of_bars(other.known_at_T)
        np.testing.assert_allclose(tape.price_K[last_T], other.close_TN[:, 0])
        assert (np.diff(last_T) >= 1).all()
        assert (np.diff(tape.ts_K) >= np.timedelta64(0)).all()
        first_T = np.append(0, last_T[:-1] + 1)
        np.testing.assert_allclose(np.add.reduceat(tape.volume_K, first_T), other.volume_TN[:, 0])
        same = int(last_T[k]) + 1
        np.testing.assert_array_equal(tape.price_K[:same], panel.swaps.price_K[:same])
        assert (tape.price_K[same : same + 5] != panel.swaps.price_K[same : same + 5]).all()
        with pytest.raises(ValueError, match="read-only"):
            tape.price_K[0] = 1.0


def test_model_inputs_are_finite_after_the_warm_up_and_scaled_on_training() -> None:
    panel, feature_set = random_swap_panel(500, seed=6), Onchain()
    x_TNF, scaler = compute_features(feature_set, panel, (Range(0, 200),), None)
    assert np.isfinite(x_TNF[feature_set.warmup_bars :]).all()
    assert x_TNF.shape == (panel.num_bars, 1, 26)
    assert "price" not in scaler.names_F
    np.testing.assert_allclose(x_TNF[100:200].mean(axis=(0, 1)), 0.0, atol=1e-4)


@pytest.mark.row("R43")
def test_bars_without_swaps_are_refused_before_anything_is_trained(panel_of) -> None:
    with pytest.raises(DataError, match=r"has bars without swaps, which this needs; use data=swaps"):
        compute_features(Onchain(), panel_of(200), (Range(0, 100),), None)
    with pytest.raises(DataError, match="bars without swaps"):
        onchain_table(panel_of(50))


@pytest.mark.parametrize(
    ("keys", "message"),
    [({"window": 1}, "window must"), ({"windows": [50, 10]}, "windows must"), ({"normalise": "log"}, "normalise must")],
)
def test_impossible_windows_are_refused_by_name(keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Onchain(**keys)
