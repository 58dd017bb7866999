"""Group ``target``: the two rules as tables, thresholds from training alone, and labels that look ahead.

Legend: T bars.
"""

from dataclasses import replace

import numpy as np
import pytest

from swap_cases import make_tape, panel_of_tape, random_swap_panel
from tradewright.data.ranges import Range
from tradewright.data.synthetic_swaps import SyntheticSwaps
from tradewright.errors import ConfigError, DataError, RunError
from tradewright.evaluate.leak_search import find_leaks
from tradewright.evaluate.leak_split import check_split
from tradewright.target.breakout_rule import breakout_side
from tradewright.target.forward import Direction, ForwardReturn
from tradewright.target.labels import check_reach
from tradewright.target.mean_reversion_rule import mean_reversion_side
from tradewright.target.rules import RuleTarget

NAN = np.nan
DATA_DRIVEN = {
    "unit": "quantile", "deviation": 0.71, "reversion_volume": 0.35, "momentum": 0.85, "volatility": 0.4,
    "breakout_volume": 0.4,
}  # fmt: skip
RELAXED = {
    "unit": "quantile", "deviation": 0.6, "reversion_volume": 0.2, "momentum": 0.75, "volatility": 0.3,
    "breakout_volume": 0.3,
}  # fmt: skip


@pytest.mark.row("R18")
@pytest.mark.parametrize(
    ("deviation", "volume_ratio", "side"),
    [
        (-0.02, 2.0, 1.0),  # oversold, confirmed
        (0.02, 2.0, -1.0),  # overbought, confirmed
        (-0.02, 1.0, 0.0),  # oversold, no volume
        (0.02, 1.5, 0.0),  # the volume must be above its threshold
        (0.01, 2.0, 0.0),  # the deviation must be above its threshold
        (-0.01, 2.0, 0.0),
        (0.0, 9.0, 0.0),
        (NAN, 2.0, NAN),
        (0.02, NAN, NAN),
    ],
)
def test_mean_reversion_buys_oversold_and_sells_overbought_with_volume(deviation, volume_ratio, side) -> None:
    found = mean_reversion_side(np.array([deviation]), np.array([volume_ratio]), deviation=0.01, volume_ratio=1.5)
    np.testing.assert_array_equal(found, [side])


@pytest.mark.row("R19")
@pytest.mark.parametrize(
    ("momentum", "volatility", "volume_ratio", "side"),
    [
        (0.03, 0.02, 2.0, 1.0),  # follows up
        (-0.03, 0.02, 2.0, -1.0),  # follows down
        (0.03, 0.01, 2.0, 0.0),  # calm
        (0.03, 0.02, 1.5, 0.0),  # no volume
        (0.02, 0.02, 2.0, 0.0),  # no momentum
        (-0.02, 0.02, 2.0, 0.0),
        (NAN, 0.02, 2.0, NAN),
        (0.03, NAN, 2.0, NAN),
        (0.03, 0.02, NAN, NAN),
    ],
)
def test_breakout_follows_a_move_with_volatility_and_volume(momentum, volatility, volume_ratio, side) -> None:
    found = breakout_side(
        np.array([momentum]), np.array([volatility]), np.array([volume_ratio]),
        momentum=0.02, volatility=0.01, volume_ratio=1.5,
    )  # fmt: skip
    np.testing.assert_array_equal(found, [side])


@pytest.mark.row("R18")
@pytest.mark.row("R19")
def test_sizes_are_five_and_eight_percent_and_the_breakout_wins() -> None:
    panel = random_swap_panel(400, seed=1)
    keys = {"deviation": 0.001, "momentum": 0.004, "volatility": 0.0, "reversion_volume": 0.5, "breakout_volume": 0.5}
    both = RuleTarget(**keys).label(panel)
    reversion = RuleTarget(rules=["mean_reversion"], **keys).label(panel)
    breakout = RuleTarget(rules=["breakout"], **keys).label(panel)
    assert set(np.unique(reversion.size_TN)) == {0.0, 0.05}
    assert set(np.unique(breakout.size_TN)) == {0.0, 0.08}
    acts_T = np.abs(breakout.side_TN) == 1
    np.testing.assert_array_equal(both.side_TN[acts_T], breakout.side_TN[acts_T])
    np.testing.assert_array_equal(both.size_TN[acts_T], 0.08)
    only_T = ~acts_T & (np.abs(reversion.side_TN) == 1)
    assert only_T.any()
    np.testing.assert_array_equal(both.side_TN[only_T], reversion.side_TN[only_T])
    assert both.causes[int(both.cause_TN[only_T][0])] == "mean_reversion"
    clash_T = acts_T & (reversion.side_TN == -breakout.side_TN)
    assert clash_T.any()  # a strong rise is overbought, too


def test_labels_are_unknown_until_the_window_is_full() -> None:
    panel = panel_of_tape(make_tape(2_000 + np.arange(80.0)))
    side_T = RuleTarget(window=50).label(panel).side_TN[:, 0]
    assert np.isnan(side_T[:50]).all()
    assert not np.isnan(side_T[50:]).any()


@pytest.mark.row("R11")
@pytest.mark.parametrize("seed", range(6))
def test_relaxed_thresholds_never_make_fewer_trades(seed: int) -> None:
    panel = random_swap_panel(900, seed)
    training = (Range(0, panel.num_bars // 2),)
    counts = []
    for keys in (DATA_DRIVEN, RELAXED):
        labels = RuleTarget(**keys).fit(panel, training).label(panel)
        counts.append(int((np.abs(labels.side_TN) == 1).sum()))
    assert counts[1] >= counts[0] > 0


@pytest.mark.row("R11")
def test_presets_ship_with_these_quantiles() -> None:
    import yaml

    from tradewright.paths import shipped

    for name, keys in (("data_driven", DATA_DRIVEN), ("relaxed", RELAXED)):
        node = yaml.safe_load((shipped("conf") / "target" / f"{name}.yaml").read_text())
        assert {key: node[key] for key in keys} == keys
        assert (node["reversion_size"], node["breakout_size"]) == (0.05, 0.08)


@pytest.mark.row("R11")
def test_thresholds_are_quantiles_of_the_training_bars_alone() -> None:
    panel = random_swap_panel(700, seed=2)
    stop = panel.num_bars // 2
    target = RuleTarget(**DATA_DRIVEN)
    fitted = target.fit(panel, (Range(0, stop),))
    again = target.fit(panel.slice(0, stop), (Range(0, stop),))
    assert fitted.thresholds == again.thresholds
    assert target.thresholds is None
    from tradewright.features.swap_windows import onchain_table

    deviation_T = onchain_table(panel)["deviation_50"][:stop, 0]
    expected = np.quantile(np.abs(deviation_T[~np.isnan(deviation_T)]), 0.71)
    assert fitted.thresholds["deviation"] == pytest.approx(expected, rel=1e-12)


def test_fitting_and_labelling_know_no_later_bar() -> None:
    panel = random_swap_panel(600, seed=3)
    training = (Range(0, 200),)

    def labelled(panel) -> dict[str, np.ndarray]:
        fitted = RuleTarget(**DATA_DRIVEN).fit(panel, training)
        labels = fitted.label(panel)
        return {"side": labels.side_TN, "size": labels.size_TN, **fitted.thresholds}

    rows = Range(200, panel.num_bars - 2)
    check = find_leaks(labelled, panel, kind="target", rng=np.random.default_rng(0), rows=rows)
    assert check.is_clean, check


def test_unfitted_quantiles_and_empty_training_are_named() -> None:
    panel = random_swap_panel(300)
    with pytest.raises(RunError, match="fit it before it labels"):
        RuleTarget(**DATA_DRIVEN).label(panel)
    with pytest.raises(DataError, match=r"^target\.deviation: no training bar"):
        RuleTarget(**DATA_DRIVEN).fit(panel, (Range(0, 5),))


@pytest.mark.row("R26")
def test_synthetic_pool_has_the_action_distribution_of_the_source_within_three_points(tmp_path) -> None:
    """78.7 % HOLD, 11.5 % SELL, 9.8 % BUY; the majority class is always right that often."""
    source = SyntheticSwaps(store=str(tmp_path))
    panel = source.panel()
    labels = RuleTarget(**DATA_DRIVEN).fit(panel, source.ranges(panel).training).label(panel)
    found = labels.distribution(Range(0, panel.num_bars))
    assert found["HOLD"] == pytest.approx(0.787, abs=0.03)
    assert found["SELL"] == pytest.approx(0.115, abs=0.03)
    assert found["BUY"] == pytest.approx(0.098, abs=0.03)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rules": ["momentum"]}, "rules must be some of"),
        ({"rules": []}, "rules must be some of"),
        ({"unit": "percent"}, "unit must be"),
        ({"unit": "quantile", "deviation": 1.5}, r"deviation must be in \(0, 1\)"),
        ({"momentum": -0.1}, "momentum must be >= 0"),
        ({"breakout_size": 1.5}, "breakout_size must be"),
        ({"window": 1}, "window must be"),
    ],
)
def test_impossible_rules_are_refused_by_name(keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        RuleTarget(**keys)


def test_forward_return_is_that_of_an_order_filled_at_the_next_open(panel_of) -> None:
    panel = panel_of(40)
    labels = ForwardReturn(horizon_bars=3).label(panel)
    expected = panel.close_TN[13, 0] / panel.open_TN[11, 0] - 1
    assert labels.value_TN[10, 0] == pytest.approx(expected)
    assert labels.side_TN[10, 0] == np.sign(expected)
    assert np.isnan(labels.side_TN[-3:]).all()
    assert not np.isnan(labels.side_TN[:-3]).any()
    direction = Direction(horizon_bars=3).label(panel)
    np.testing.assert_array_equal(direction.value_TN, labels.side_TN)
    held = ForwardReturn(horizon_bars=3, threshold=1.0).label(panel)
    assert (held.side_TN[:-3] == 0).all()


def test_forward_labels_reach_as_far_as_they_say(panel_of) -> None:
    panel, target = panel_of(300), ForwardReturn(horizon_bars=4)

    def labelled(panel) -> dict[str, np.ndarray]:
        return {"value": target.label(panel).value_TN}

    honest = find_leaks(labelled, panel, kind="target", rng=np.random.default_rng(0), reach_bars=4)
    short = find_leaks(labelled, panel, kind="target", rng=np.random.default_rng(0), reach_bars=3)
    assert honest.is_clean
    assert short.leaks


def test_the_split_check_and_the_embargo_know_the_horizon() -> None:
    target = ForwardReturn(horizon_bars=10)
    check_reach(target, 10)
    with pytest.raises(ConfigError, match=r"^data\.split\.embargo_bars must be >= 10, the horizon"):
        check_reach(target, 9)
    times = np.datetime64("2020-01-01") + np.arange(100)
    ranges = {"train": Range(0, 50), "validation": Range(55, 70), "test": Range(85, 100)}
    assert check_split(ranges, times, reach_bars=target.horizon_bars).leaks
    check_reach(RuleTarget(), 0)


def test_a_missing_bar_has_no_forward_return(panel_of) -> None:
    panel = panel_of(30)
    close = panel.close_TN.copy()
    close[12] = np.nan
    labels = ForwardReturn(horizon_bars=2).label(replace(panel, close_TN=close))
    assert np.isnan(labels.side_TN[10, 0])
