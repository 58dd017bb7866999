"""What every run is judged beside, on one split and on folds."""

from dataclasses import replace

import numpy as np
import pytest
from rule_fit import RuleFit

from tradewright.backtest.vectorized import Vectorized
from tradewright.data.ranges import Range, Ranges
from tradewright.errors import ConfigError
from tradewright.evaluate.backtest import DELAYED, SHUFFLED, BacktestEvaluation
from tradewright.evaluate.combinatorial import Combinatorial
from tradewright.evaluate.evidence import Folds, RandomEntry, Significance, Trials, Universe
from tradewright.evaluate.purged_k_fold import PurgedKFold
from tradewright.evaluate.significance import SignificanceTest
from tradewright.evaluate.universe import UniverseTest
from tradewright.evaluate.walk_forward import WalkForward
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs
from tradewright.metrics.relative import correlation
from tradewright.metrics.returns import simple_returns
from tradewright.strategy.buy_and_hold import BuyAndHold
from tradewright.strategy.equal_weight import EqualWeight
from tradewright.strategy.momentum import Momentum
from tradewright.strategy.sma_cross import SmaCross


def evaluation_of(**parts) -> BacktestEvaluation:
    known = {
        "baselines": {"buy_and_hold": BuyAndHold(), "equal_weight": EqualWeight(), "momentum": Momentum(lookback=20)},
        "significance": SignificanceTest(num_resamples=100),
        "num_random": 20,
    }
    return BacktestEvaluation(**{**known, **parts})


@pytest.mark.row("B30")
def test_every_judgement_has_its_baselines_and_its_evidence(bench_of) -> None:
    bench = bench_of()
    judged = evaluation_of().judge(bench, RuleFit(SmaCross(fast=5, slow=20), bench), Trials(num=3))
    names = [name for span, name in judged.results if span == "test"]
    assert names == ["sma_cross", "buy_and_hold", "equal_weight", "momentum", DELAYED]
    assert [name for span, name in judged.results if span == "validation"] == ["sma_cross"]
    assert {"significance", "random_entry", "degenerate"} == set(judged.evidence)
    significance, drawn = judged.evidence["significance"], judged.evidence["random_entry"]
    assert isinstance(significance, Significance)
    assert isinstance(drawn, RandomEntry)
    assert significance.num_trials == judged.metrics["test/num_trials"] == 3
    assert [comparison.name for comparison in significance.comparisons] == names[1:]
    assert judged.metrics["test/random_entry_p_value"] == drawn.p_value
    assert judged.metrics["baseline/buy_and_hold/beta"] == pytest.approx(1.0)


def test_delayed_copy_holds_each_position_one_bar_later(bench_of) -> None:
    bench = bench_of()
    judged = evaluation_of().judge(bench, RuleFit(SmaCross(fast=5, slow=20), bench), Trials())
    own, late = judged.results["test", "sma_cross"], judged.results["test", DELAYED]
    np.testing.assert_array_equal(late.weights_TN[1:] != 0, own.weights_TN[:-1] != 0)
    assert len(own.fills) - len(late.fills) in (0, 1)


def test_strategy_that_bears_a_baselines_name_is_compared_with_it_unless_it_is_the_same(bench_of) -> None:
    bench = bench_of()
    other = evaluation_of().judge(bench, RuleFit(Momentum(lookback=40), bench), Trials())
    assert "baseline/momentum_baseline/sharpe" in other.metrics
    same = evaluation_of().judge(bench, RuleFit(Momentum(lookback=20), bench), Trials())
    assert not [key for key in same.metrics if key.startswith(("baseline/momentum/", "baseline/momentum_baseline/"))]
    holder = evaluation_of().judge(bench, RuleFit(BuyAndHold(), bench), Trials())
    assert next(name for span, name in holder.results if span == "test") == "buy_and_hold"
    assert "baseline/equal_weight/sharpe" in holder.metrics


def test_what_learns_is_judged_beside_a_control_trained_on_shuffled_features(bench_of) -> None:
    bench = bench_of()
    fit = RuleFit(SmaCross(fast=5, slow=20), bench, is_learned=True)
    judged = evaluation_of().judge(bench, fit, Trials())
    assert fit.asked == [(None, "", False), (bench.ranges, SHUFFLED, True)]
    assert ("test", SHUFFLED) in judged.results
    without = RuleFit(SmaCross(fast=5, slow=20), bench, is_learned=True)
    evaluation_of(shuffled_control=False).judge(bench, without, Trials())
    assert without.asked == [(None, "", False)]


@pytest.mark.parametrize("planner", [WalkForward(num_folds=4), PurgedKFold(num_folds=4)])
def test_folds_are_stitched_into_one_account_over_all_test_bars(bench_of, planner) -> None:
    bench = bench_of(900)
    fit = RuleFit(SmaCross(fast=5, slow=20), bench)
    judged = evaluation_of(folds=planner).judge(bench, fit, Trials())
    folds = judged.evidence["folds"]
    assert isinstance(folds, Folds)
    assert [name for _, name, _ in fit.asked] == ["fold_1", "fold_2", "fold_3", "fold_4"]
    result = judged.results["test", "sma_cross"]
    assert folds.folds[0].test[0][0] == result.ts_T[0]
    assert folds.folds[-1].test[-1][1] == result.ts_T[-1] == bench.panel.ts_T[-1]
    assert judged.metrics["validation/sharpe"] == pytest.approx(
        np.mean([fold.metrics["validation_sharpe"] for fold in folds.folds])
    )
    assert not [span for span, _ in judged.results if span == "validation"]
    assert judged.results["test", "buy_and_hold"].ts_T[0] == result.ts_T[0]


def test_stitched_history_equals_one_backtest_but_for_the_first_row_of_each_block(bench_of) -> None:
    """A rule that orders on every row knows no blocks, so folds change nothing."""

    class Daily:
        name = "daily"

        def decide(self, panel, features, rows: Range) -> Positions:
            close = panel.close_TN[rows.start : rows.stop]
            return Positions(weights_TN=np.where(close > panel.open_TN[rows.start : rows.stop], 1.0, 0.0))

    bench = bench_of(700)
    planner = WalkForward(num_folds=5)
    judged = evaluation_of(folds=planner).judge(bench, RuleFit(Daily(), bench), Trials())
    rows = planner.plan(Range(0, 700)).rows
    plain = bench.run(Daily(), rows)
    np.testing.assert_array_equal(judged.results["test", "daily"].equity_T, plain.equity_T)


def test_combinatorial_paths_differ_where_fits_differ(bench_of) -> None:
    """Fits that know their training bars give paths of their own; the median one is reported."""
    bench = bench_of(800)

    class Fit(RuleFit):
        def __call__(self, ranges: Ranges | None = None, *, name: str = "", is_shuffled: bool = False):
            assert ranges is not None
            self.strategy = SmaCross(fast=3 + ranges.training[0].stop % 7, slow=25)
            return super().__call__(ranges, name=name, is_shuffled=is_shuffled)

    judged = evaluation_of(folds=Combinatorial()).judge(bench, Fit(SmaCross(), bench), Trials())
    folds = judged.evidence["folds"]
    assert isinstance(folds, Folds)
    assert (len(folds.folds), len(folds.paths)) == (15, 5)
    ratios = [figures["sharpe"] for figures in folds.path_metrics]
    assert len(set(ratios)) > 1
    assert judged.metrics["test/sharpe"] == np.sort(ratios)[2] == ratios[folds.chosen]
    first, second = (simple_returns(path.equity_T) for path in folds.paths[:2])
    assert correlation(first, second) < 1


def test_folds_have_a_control_fitted_on_shuffled_features_per_fold(bench_of) -> None:
    bench = bench_of(700)
    fit = RuleFit(SmaCross(fast=5, slow=20), bench, is_learned=True)
    judged = evaluation_of(folds=WalkForward(num_folds=3)).judge(bench, fit, Trials())
    assert [(name, shuffled) for _, name, shuffled in fit.asked][3:] == [
        (f"fold_{i}_shuffled", True) for i in (1, 2, 3)
    ]
    own, control = judged.results["test", "sma_cross"], judged.results["test", SHUFFLED]
    np.testing.assert_array_equal(own.equity_T, control.equity_T)  # the same rule whatever the features


def test_folds_start_where_the_configured_features_are_known_also_for_rules(bench_of) -> None:
    bench = replace(bench_of(700), ready_from=60)
    judged = evaluation_of(folds=PurgedKFold(num_folds=4)).judge(bench, RuleFit(SmaCross(), bench), Trials())
    assert judged.results["test", "sma_cross"].ts_T[0] == bench.panel.ts_T[60]


def test_equal_weight_and_buy_and_hold_are_held_without_the_stops_of_the_strategy(bench_of) -> None:
    bench = replace(bench_of(), backtest=Vectorized(stop_loss=0.001, costs=Costs()))
    judged = evaluation_of().judge(bench, RuleFit(SmaCross(fast=5, slow=20), bench), Trials())
    for name in ("buy_and_hold", "equal_weight"):
        assert judged.metrics[f"baseline/{name}/exposure"] > 0.9
    assert judged.metrics["baseline/momentum/exposure"] < 0.5


def test_universe_of_an_agent_with_folds_is_refused(bench_of) -> None:
    bench = bench_of(300, 2)
    fit = RuleFit(SmaCross(), bench, is_learned=True)
    with pytest.raises(ConfigError, match="judge an agent on its training bars"):
        evaluation_of(folds=WalkForward(), universe=UniverseTest(num_accuracy=2, num_backtest=1)).judge(
            bench, fit, Trials()
        )
    assert fit.asked == []


def test_delay_beyond_the_judged_bars_is_refused(bench_of) -> None:
    bench = replace(bench_of(600), backtest=Vectorized(delay_bars=119, costs=Costs()))
    with pytest.raises(ConfigError, match=r"backtest\.delay_bars=119 leaves no bar to trade in the 120 bars"):
        evaluation_of().judge(bench, RuleFit(SmaCross(), bench), Trials())


@pytest.mark.row("B37")
def test_universe_has_accuracy_on_50_instruments_and_backtests_on_10(bench_of) -> None:
    bench = bench_of(400, 50)
    judged = evaluation_of(universe=UniverseTest()).judge(bench, RuleFit(SmaCross(fast=5, slow=20), bench), Trials())
    universe = judged.evidence["universe"]
    assert isinstance(universe, Universe)
    assert (len(universe.accuracy), len(universe.metrics)) == (50, 10)
    assert set(universe.metrics) <= set(universe.accuracy) == set(bench.panel.symbols)
    assert 0.4 < np.nanmean(list(universe.accuracy.values())) < 0.6  # a random walk
    assert all(0.5 <= rate <= 1 for rate in universe.base_rate.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"baselines": {"buy_and_hold": BuyAndHold()}}, "baselines must contain equal_weight, had buy_and_hold"),
        ({"num_random": -1}, "num_random must be >= 0, was -1"),
        ({"seed": -1}, "seed must be >= 0, was -1"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        evaluation_of(**values)
