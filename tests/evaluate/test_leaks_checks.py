"""What a run is made of: feature sets, scalers, rules, policies, splits, warm-up drift, and the verdict over all."""

import math
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from leak_corpus_decisions import Rule, orders
from leak_markets import daily, ewm, shifted

from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range, Ranges
from tradewright.data.split import Split
from tradewright.env.continuous import Continuous
from tradewright.env.discrete9 import Discrete9
from tradewright.env.portfolio_state import PORTFOLIO
from tradewright.errors import RunError
from tradewright.evaluate.bench import Bench
from tradewright.evaluate.leak_drift import warmup_drift
from tradewright.evaluate.leak_rollout import check_environment, check_policy, scaled_features, trading_simulator
from tradewright.evaluate.leak_run import check_rule, check_training
from tradewright.evaluate.leak_split import check_split
from tradewright.evaluate.leaks import check_features, check_strategy, describe, require_clean, thin, verdict
from tradewright.features.features import Features
from tradewright.features.pipeline import compute_features
from tradewright.features.price_volume import PriceVolume
from tradewright.market.positions import Positions
from tradewright.market.rules import AccountRules, Costs
from tradewright.reward.log_return import LogReturn
from tradewright.strategy.momentum import Momentum
from tradewright.strategy.sma_cross import SmaCross

FEATURES = PriceVolume(short_window=5, long_window=12)


class Leaky(PriceVolume):
    """The shipped features and one that looks ahead; computable on any bars."""

    def compute(self, panel: Panel):
        ahead = np.nan_to_num(shifted(np.log(panel.close_TN), -1) - np.log(panel.close_TN))
        return {**super().compute(panel), "ahead": ahead}


class FittedAtFirstUse(PriceVolume):
    """Keeps the mean of the first bars it is given: in a run, of all of them."""

    mean: float | None = None

    def compute(self, panel: Panel):
        if self.mean is None:
            self.mean = float(np.nanmean(panel.close_TN))
        return {**super().compute(panel), "level": panel.close_TN - self.mean}


class FittedOnAll(PriceVolume):
    """Scales by all bars behind the back of the scaler."""

    def compute(self, panel: Panel):
        return {name: x / np.nanstd(x) for name, x in super().compute(panel).items()}


def bench_of(panel: Panel, feature_set=FEATURES) -> Bench:
    ranges = Split().ranges(panel)
    _, scaler = compute_features(feature_set, panel, ranges.training, None)
    return Bench(panel, None, ranges, Vectorized(costs=Costs()), scaler)


def agent() -> SimpleNamespace:
    return SimpleNamespace(
        env=Continuous(window=4),
        rules=AccountRules(),
        setting=SimpleNamespace(stage=SimpleNamespace(reward=LogReturn(scale=1.0))),
    )


# Features and scaler ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gaps", [False, True])
def test_shipped_features_and_their_scaler_are_clean(gaps: bool) -> None:
    raw, scaled = check_features(PriceVolume(), daily(0, 500, 3, gaps=gaps))
    assert raw.is_clean
    assert scaled.is_clean
    assert raw.num_values == 15
    assert scaled.num_values == 45


def test_leaking_feature_is_named_alone() -> None:
    raw, scaled = check_features(Leaky(short_window=5, long_window=12), daily(0))
    assert [leak.name for leak in raw.leaks] == ["ahead"]
    assert raw.leaks[0].reach_bars == 1
    assert {leak.name for leak in scaled.leaks} == {"ahead", "mean of ahead", "deviation of ahead"} & {
        leak.name for leak in scaled.leaks
    }
    assert scaled.leaks[0].kind == "scaler"


@pytest.mark.parametrize("kind", [FittedAtFirstUse, FittedOnAll])
def test_hidden_fit_on_all_bars_is_found(kind) -> None:
    raw, scaled = check_features(kind(short_window=5, long_window=12), daily(0))
    assert raw.leaks
    assert scaled.leaks


def test_scaler_fitted_beyond_the_training_range_is_found(monkeypatch) -> None:
    """The pipeline itself is under test: the scaler is fitted on twenty bars too many."""
    from tradewright.evaluate import leaks

    def compute(feature_set, panel, train, fitted):
        (part,) = train
        return compute_features(feature_set, panel, (Range(part.start, part.stop + 20),), fitted)

    monkeypatch.setattr(leaks, "compute_features", compute)
    raw, scaled = check_features(FEATURES, daily(0))
    assert raw.is_clean
    assert {"mean of return_1", "deviation of return_1", "return_1"} <= {leak.name for leak in scaled.leaks}


def test_large_panels_are_thinned_to_the_newest_bars_of_some_instruments() -> None:
    panel = daily(0, 400, 12, gaps=True)
    rng = np.random.default_rng(0)
    assert thin(panel, None, rng) is panel
    assert thin(panel, 400 * 12, rng) is panel
    part = thin(panel, 1200, rng)
    assert part.close_TN.shape == (400, 3)
    assert part.symbols[0] in panel.symbols
    columns = [panel.symbols.index(symbol) for symbol in part.symbols]
    assert columns == sorted(columns)
    assert np.array_equal(part.close_TN, panel.close_TN[:, columns], equal_nan=True)
    assert int(panel.tradable_TN.sum(axis=0).argmax()) in columns
    few = thin(panel, 100, rng)
    assert few.close_TN.shape == (100, 1)
    assert few.ts_T[-1] == panel.ts_T[-1]


# Strategies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0, 100, 300])
@pytest.mark.parametrize("rule", [SmaCross(fast=3, slow=9), Momentum(lookback=20)])
def test_shipped_rules_are_clean_on_any_rows(rule, start: int) -> None:
    assert check_strategy(rule, daily(0), Range(start, 420)).is_clean


def test_every_column_of_positions_is_checked() -> None:
    for column in ("stop_loss_TN", "take_profit_TN", "trailing_TN", "limit_TN", "stop_TN", "confidence_TN"):

        def decide(panel: Panel, column=column):
            ahead = np.abs(np.nan_to_num(shifted(panel.close_TN, -1)))
            return {"weights_TN": np.ones(panel.close_TN.shape), column: ahead}

        (leak,) = check_strategy(Rule(decide), daily(0), Range(100, 420)).leaks
        assert leak.name == column.removesuffix("_TN")


def test_bar_of_a_strategy_counts_from_the_start_of_the_panel() -> None:
    panel = daily(0)

    def decide(panel: Panel):
        return np.where(np.arange(panel.num_bars)[:, None] == 350, panel.close_TN[-1], 0.0)

    (leak,) = check_strategy(Rule(decide), panel, Range(300, 420)).leaks
    assert leak.ts == panel.ts_T[350]
    cut = int(np.flatnonzero(panel.ts_T == leak.cut_ts)[0])
    assert 350 <= cut < 420


def test_rule_that_fits_on_the_bars_before_its_rows_is_clean() -> None:
    class Threshold:
        name = "threshold"
        is_learned = False

        def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
            returns = np.diff(np.log(panel.close_TN), axis=0, prepend=np.nan)
            level = np.nanquantile(returns[: rows.start], 0.2)
            return Positions(weights_TN=orders(np.where(returns < level, 1.0, 0.0))[rows.start : rows.stop])

    assert check_strategy(Threshold(), daily(0), Range(250, 420)).is_clean


def test_rule_that_fits_at_its_first_use_is_found() -> None:
    """Every call works on a fresh copy, else the first one, on all bars, would decide for the others."""

    class Lazy:
        name = "lazy"
        is_learned = False
        level: float | None = None

        def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
            if self.level is None:
                self.level = float(np.median(panel.close_TN))
            return Positions(weights_TN=np.where(panel.close_TN < self.level, 1.0, 0.0)[rows.start : rows.stop])

    assert check_strategy(Lazy(), daily(0), Range(100, 420)).leaks


def test_strategy_reads_features_of_the_world_it_is_in() -> None:
    panel = daily(0)
    _, scaler = compute_features(Leaky(short_window=5, long_window=12), panel, (Range(0, 250),), None)

    @dataclass
    class Follow:
        column: int
        name: str = "follow"

        def decide(self, panel: Panel, features: Features | None, rows: Range) -> Positions:
            assert features is not None
            x_TN = features.x_TNF[rows.start : rows.stop, :, self.column].astype(float)
            return Positions(weights_TN=np.sign(x_TN))

    def features_of(panel: Panel) -> Features:
        return scaled_features(Leaky(short_window=5, long_window=12), panel, scaler)

    assert check_strategy(Follow(0), panel, Range(100, 420), features_of=features_of).is_clean
    assert check_strategy(Follow(15), panel, Range(100, 420), features_of=features_of).leaks


# Environments and policies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env", [Continuous(window=3), Discrete9(window=3), Continuous(window=3, observation="window")])
def test_shipped_environments_are_clean(env) -> None:
    panel = daily(1, 300, 2)
    _, scaler = compute_features(FEATURES, panel, (Range(0, 200),), None)
    make = trading_simulator(env, AccountRules(), LogReturn(scale=1.0))
    check = check_environment(make, FEATURES, scaler, panel, window=env.window)
    assert check.is_clean
    assert check.num_values == 15 + len(PORTFOLIO) + 1  # and the reward


def test_leaking_feature_shows_in_the_environment() -> None:
    panel, features = daily(1, 300), Leaky(short_window=5, long_window=12)
    _, scaler = compute_features(features, panel, (Range(0, 200),), None)
    check = check_environment(trading_simulator(Continuous(), AccountRules()), features, scaler, panel, window=20)
    assert [leak.name for leak in check.leaks] == ["window.ahead"]


def test_untrained_policy_is_clean_and_one_with_the_future_is_not() -> None:
    import torch

    from tradewright.strategy.policy import Acted, Policy

    class Linear:
        """Weighs the newest features; ``ahead`` reads the bar after the decision."""

        def __init__(self, ahead: int) -> None:
            self.env, self.rules, self.ahead = Continuous(window=4), AccountRules(), ahead
            self.device = torch.device("cpu")

        @contextmanager
        def deciding(self, market, rows):
            yield lambda observation, generator: self.act(observation, market, generator)

        def act(self, observation, market, generator):
            rows = torch.clamp(observation["index"] + self.ahead, max=len(market.features) - 1)
            seen = market.features[rows].sum(-1, keepdim=True) + observation["portfolio"].sum(-1, keepdim=True)
            return Acted(torch.tanh(seen), None)

    panel = daily(1, 300)
    _, scaler = compute_features(FEATURES, panel, (Range(0, 200),), None)
    for ahead, is_clean in ((0, True), (1, False)):
        policy = Policy(agent=Linear(ahead), name="linear")
        check = check_policy(policy, FEATURES, scaler, panel, window=4)
        assert check.is_clean is is_clean, check.faults
    assert check.leaks[0].name == "weights"


# Splits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("embargo", "reach", "is_clean"), [(0, 0, True), (5, 5, True), (6, 0, False), (0, 6, False)])
def test_gap_between_ranges_must_hold_embargo_and_reach(embargo: int, reach: int, is_clean: bool) -> None:
    ranges = Ranges(train=Range(0, 100), validation=Range(105, 150), test=Range(155, 200))
    check = check_split(ranges, daily(0).ts_T, embargo_bars=embargo, reach_bars=reach)
    assert check.is_clean is is_clean
    if not is_clean:
        first = check.leaks[0]
        assert (first.name, first.before, first.after) == (
            "train/validation",
            "5 unused bars lie between the ranges",
            "expected at least 6",
        )
        assert first.ts == daily(0).ts_T[105]
        assert len(check.leaks) == 2


def test_default_split_honours_its_embargo() -> None:
    panel = daily(0)
    assert check_split(Split(embargo_bars=7).ranges(panel), panel.ts_T, embargo_bars=7).is_clean
    assert not check_split(Split(embargo_bars=7).ranges(panel), panel.ts_T, embargo_bars=8).is_clean


# Drift ----------------------------------------------------------------------------------------------------------------


class Averages(PriceVolume):
    """An EMA (never forgets), a windowed mean (forgets), a level that keeps growing, and one that needs 80 bars."""

    def compute(self, panel: Panel):
        close = panel.close_TN
        late = np.where(np.arange(panel.num_bars)[:, None] >= 79, close, np.nan)
        return {
            "window": close - shifted(close, 5),
            "ema": ewm(close, 0.02),
            "count": np.cumsum(np.ones(close.shape), axis=0),
            "late": late,
        }


def test_drift_is_the_relative_change_of_the_last_value() -> None:
    panel = daily(0, 420)
    drift = warmup_drift(Averages(), panel)
    assert list(drift)[:2] == ["count", "ema"]  # the worst first
    assert drift["window"] == {50: 0.0, 100: 0.0, 200: 0.0, 400: 0.0}
    assert math.isnan(drift["late"][50])
    assert drift["late"][100] == 0.0
    for bars in (50, 100, 200, 400):
        assert drift["count"][bars] == pytest.approx(1 - bars / 420)
        last, short = (ewm(x, 0.02)[-1, 0] for x in (panel.close_TN, panel.close_TN[-bars:]))
        assert drift["ema"][bars] == pytest.approx(abs(short - last) / max(last, ewm(panel.close_TN, 0.02).std()))
    assert drift["ema"][50] > drift["ema"][400]


def test_drift_leaves_out_warm_ups_longer_than_the_data() -> None:
    assert list(warmup_drift(Averages(), daily(0, 150))["ema"]) == [50, 100]


def test_features_that_need_many_bars_are_computed_from_more() -> None:
    assert list(warmup_drift(Averages(long_window=230), daily(0, 700))["ema"]) == [150, 300, 600]


# Verdict --------------------------------------------------------------------------------------------------------------


def test_verdict_names_culprit_and_bar_in_one_line() -> None:
    panel = daily(0)
    raw, scaled = check_features(Leaky(short_window=5, long_window=12), panel)
    found = verdict((raw, scaled), 8)
    assert found.checked == ("features", "scaled features")
    with pytest.raises(RunError) as error:
        require_clean(found)
    bar, cut = (str(stamp.astype("datetime64[D]")) for stamp in (raw.leaks[0].ts, raw.leaks[0].cut_ts))
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"leak: feature 'ahead' of S0 at {bar} uses bars after {cut} (at least 1 bar ahead)")
    assert text.endswith("more: `tradewright check_leaks` lists them")
    require_clean(verdict(check_features(FEATURES, panel), 8))


def test_split_leak_reads_as_a_sentence() -> None:
    ranges = Ranges(train=Range(0, 100), validation=Range(90, 150), test=Range(155, 200))
    (leak, *_) = check_split(ranges, daily(0).ts_T).leaks
    assert describe(leak) == "split 'train/validation': 10 bars belong to both ranges, expected none (at 2001-05-07)"


def test_check_of_a_training_covers_everything_and_keeps_the_drift() -> None:
    found = check_training(bench_of(daily(0)), FEATURES, agent())
    assert found.checked == ("split", "features", "scaled features", "observations")
    assert found.leaks == found.faults == ()
    assert set(found.drift) == set(FEATURES.compute(daily(0)))


def test_training_on_a_leaking_feature_is_refused() -> None:
    features = Leaky(short_window=5, long_window=12)
    with pytest.raises(RunError, match="leak: feature 'ahead' of S0 at 2001-"):
        check_training(bench_of(daily(0), features), features, agent())


def test_rule_that_peeks_is_refused_before_it_is_judged() -> None:
    bench = bench_of(daily(0))
    assert check_rule(SmaCross(fast=3, slow=9), bench).checked == ("split", "sma_cross")

    def peeks(panel: Panel):
        return np.where(shifted(panel.close_TN, -1) > panel.close_TN, 1.0, 0.0)

    with pytest.raises(RunError, match=r"leak: strategy 'weights' of S0 at 2002-.* uses bars after"):
        check_rule(Rule(peeks), bench)


def test_ranges_that_break_their_embargo_are_refused() -> None:
    bench = bench_of(daily(0))
    with pytest.raises(
        RunError, match="leak: split 'train/validation': 5 unused bars lie between the ranges, expected at"
    ):
        check_rule(SmaCross(fast=3, slow=9), bench, embargo_bars=9)
    folds = replace(bench.ranges, train_parts=(Range(0, 100), Range(385, 420)), test=Range(362, 380))
    assert check_rule(SmaCross(fast=3, slow=9), replace(bench, ranges=folds)).leaks == ()


def test_checking_a_rule_imports_no_torch() -> None:
    code = "import sys; import tradewright.evaluate.leak_run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
