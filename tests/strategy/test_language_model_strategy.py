"""``strategy=language_model`` and ``strategy=swap_rule``: what is decided becomes orders, counted and deterministic."""

import copy
import re

import numpy as np
import pytest

from swap_cases import panel_of_tape, random_swap_panel, random_tape
from tradewright.backtest.vectorized import Vectorized
from tradewright.config.inert import Unused
from tradewright.data.ranges import Range
from tradewright.errors import ConfigError, DataError
from tradewright.evaluate.leaks import check_strategy
from tradewright.examples.swap_prompt import SwapPrompts
from tradewright.market.rules import Costs
from tradewright.metrics.calibration import calibrate, confident_outcomes
from tradewright.metrics.decisions import bar_actions, by_action
from tradewright.metrics.temperature import fit_temperature, tempered
from tradewright.risk.filter import RiskFilter
from tradewright.strategy.language_model import LanguageModelStrategy
from tradewright.strategy.strategy import fit_rule
from tradewright.strategy.swap_rule import SwapRule
from tradewright.target.forward import ForwardReturn
from tradewright.target.rules import RuleTarget

OPEN = RiskFilter(max_slippage_bps=None, confidence_threshold=0.6, max_position_size=1.0)


class Reader:
    """A scorer that decides by a figure that it reads in the prompt; it remembers what it was asked."""

    def __init__(self, sureness: float = 0.8, broken: bool = False) -> None:
        self.sureness, self.broken = sureness, broken
        self.prompts = []

    def __call__(self, prompts):
        self.prompts += list(prompts)
        rows = []
        for _, user in prompts:
            side, digit = re.search(r"^Mean: (below|above) (.+)$", user["content"], re.MULTILINE).groups()
            best = 2 if digit == "none" or re.search("(hundred|thousand)th", digit) else ("below", "above").index(side)
            rest = (1 - self.sureness) / 2
            rows.append([self.sureness if place == best else rest for place in range(3)])
        if self.broken and rows:
            rows[0] = [np.nan] * 3
        return np.array(rows).reshape(-1, 3)


@pytest.fixture(scope="module")
def panel():
    return random_swap_panel(700, seed=21)


def decide(panel, scorer, rows: Range | None = None, **keys):
    strategy = LanguageModelStrategy(scorer=scorer, risk=keys.pop("risk", OPEN), **keys)
    positions = strategy.decide(panel, None, rows or Range(0, panel.num_bars))
    return strategy, positions


@pytest.mark.row("R25")
def test_every_answer_is_a_decision_with_its_confidence(panel) -> None:
    strategy, positions = decide(panel, Reader(), every_bars=1, size=0.02)
    asked_T = SwapPrompts.of(panel).is_defined(slice(None))
    np.testing.assert_array_equal(strategy.answers.row_B, np.flatnonzero(asked_T))
    np.testing.assert_array_equal(strategy.answers.probabilities_BL.max(axis=1), 0.8)
    assert set(positions.confidence_TN[~np.isnan(positions.confidence_TN)]) == {0.8}
    assert strategy.num_asked == asked_T.sum()
    assert strategy.num_undefined == (~asked_T).sum() > 0
    ordered = positions.weights_TN[~np.isnan(positions.weights_TN)]
    assert len(ordered) > 10
    assert set(np.round(np.unique(np.abs(np.diff(np.append(0.0, ordered)))), 6)) == {0.02}


@pytest.mark.row("R33")
@pytest.mark.row("R34")
@pytest.mark.row("R36")
def test_its_backtest_has_actions_that_add_up_and_a_calibration(panel) -> None:
    _, positions = decide(panel, Reader(), every_bars=1)
    rows = Range(0, panel.num_bars)
    result = Vectorized(costs=Costs(fee_bps=5.0), allow_short=False).run(panel, positions, rows, name="model")
    actions_n = bar_actions(result)
    tallies = by_action(actions_n, result.equity_T)
    assert {tally.name for tally in tallies} >= {"buy", "sell", "hold"}
    assert sum(tally.pnl for tally in tallies) == pytest.approx(result.equity_T[-1] - result.equity_T[0])
    found = calibrate(*confident_outcomes(result))
    assert found.num_decisions > 10
    assert found.num_K.sum() == found.num_K[8]  # all between 80 and 90 %
    entries = int((~np.isnan(positions.confidence_TN)).sum())
    assert found.num_decisions <= entries
    assert 0 <= found.error <= 1


def test_it_is_asked_every_few_bars_whatever_the_range(panel) -> None:
    whole, parts = Reader(), Reader()
    decide(panel, whole, every_bars=5)
    decide(panel, parts, Range(0, 203), every_bars=5)
    decide(panel, parts, Range(203, panel.num_bars), every_bars=5)
    assert whole.prompts == parts.prompts
    assert len(whole.prompts) < panel.num_bars / 5


@pytest.mark.row("R38")
@pytest.mark.row("X11")
def test_below_the_threshold_nothing_is_ordered(panel) -> None:
    strategy, positions = decide(panel, Reader(0.55), every_bars=3)
    assert np.isnan(positions.weights_TN).all()
    assert {one.reason for one in strategy.blocked} == {"confidence"}
    assert np.isnan(positions.confidence_TN).all()
    assert strategy.num_asked > len(strategy.blocked) > 0  # most said HOLD
    _, positions = decide(panel, Reader(0.55), every_bars=3, risk=RiskFilter(confidence_threshold=0.5))
    assert not np.isnan(positions.weights_TN).all()


def test_answers_without_probabilities_are_counted_and_are_no_hold(panel) -> None:
    strategy, positions = decide(panel, Reader(broken=True), every_bars=1, batch_size=64)
    assert strategy.num_unanswered == -(-strategy.num_asked // 64)
    first = int(np.flatnonzero(SwapPrompts.of(panel).is_defined(slice(None)))[0])
    assert np.isnan(positions.weights_TN[first, 0])
    assert np.isnan(positions.confidence_TN[first, 0])


def test_batches_change_nothing_and_decisions_are_repeated_exactly(panel) -> None:
    results = [decide(panel, Reader(), every_bars=2, batch_size=size)[1] for size in (1, 7, 64, 7)]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].weights_TN, other.weights_TN)
        np.testing.assert_array_equal(results[0].confidence_TN, other.confidence_TN)


def test_it_does_not_look_ahead(panel) -> None:
    strategy = LanguageModelStrategy(scorer=Reader(), risk=OPEN, every_bars=3)
    check = check_strategy(strategy, panel, Range(120, panel.num_bars))
    assert check.is_clean, check


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda prompts: np.ones((len(prompts), 2)), "returned shape"),
        (lambda prompts: np.ones((len(prompts), 3)), "expected probabilities that add up to 1"),
        (lambda prompts: np.tile([1.5, -0.5, 0.0], (len(prompts), 1)), "expected probabilities that add up to 1"),
    ],
)
def test_what_is_no_probability_is_refused(panel, answer, message) -> None:
    with pytest.raises(DataError, match=message):
        decide(panel, answer)


def test_calibration_changes_confidence_and_no_decision(panel) -> None:
    strategy, _ = decide(panel, Reader(0.8), every_bars=1)
    cooler = strategy.calibrated(3.0)
    cooler.decide(panel, None, Range(0, panel.num_bars))
    sure, unsure = strategy.answers.probabilities_BL, cooler.answers.probabilities_BL
    assert unsure.max() < sure.max()
    np.testing.assert_array_equal(np.argmax(unsure, axis=1), np.argmax(sure, axis=1))
    assert strategy.temperature == 1.0


def test_temperature_is_found_and_makes_confidence_mean_what_it_says() -> None:
    rng = np.random.default_rng(0)
    true_BL = rng.dirichlet([1.0, 1.0, 2.0], 20_000)
    label_B = (rng.random((20_000, 1)) > np.cumsum(true_BL, axis=1)).sum(axis=1)
    for temperature in (0.4, 1.0, 2.5):
        sharpened = tempered(true_BL, temperature)  # what a model too sure (< 1) or too shy (> 1) would say
        assert fit_temperature(sharpened, label_B) == pytest.approx(1 / temperature, rel=0.05)
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 1.0
    np.testing.assert_allclose(tempered(true_BL, 0.5).sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [({"every_bars": 0}, "every_bars must"), ({"size": 0.0}, "size must"), ({"temperature": 0.0}, "temperature must")],
)
def test_impossible_arguments_are_refused_by_name(keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        LanguageModelStrategy(scorer=Reader(), risk=OPEN, **keys)


def test_the_rule_trades_its_labels_with_their_sizes(panel) -> None:
    target = RuleTarget(deviation=0.002, momentum=0.006, volatility=0.0, reversion_volume=0.8, breakout_volume=0.8)
    rule = SwapRule(target=target, risk=RiskFilter(max_position_size=0.1, max_slippage_bps=None))
    rows = Range(150, panel.num_bars)
    weights_R = rule.decide(panel, None, rows).weights_TN[:, 0]
    labels = target.label(panel)
    held = 0.0
    for r, t in enumerate(range(rows.start, rows.stop)):
        side, size = labels.side_TN[t, 0], labels.size_TN[t, 0]
        wanted = min(max(held + side * size, 0.0), 0.1)
        if side and not np.isclose(wanted, held):
            held = wanted
            assert weights_R[r] == pytest.approx(held)
        else:
            assert np.isnan(weights_R[r])
    assert rule.blocked


def test_the_rule_takes_its_quantiles_from_training_and_does_not_look_ahead(panel) -> None:
    target = RuleTarget(unit="quantile", deviation=0.6, reversion_volume=0.4, momentum=0.7, volatility=0.4,
                        breakout_volume=0.4)  # fmt: skip
    rule = SwapRule(target=target, risk=RiskFilter(max_slippage_bps=None))
    fitted = fit_rule(rule, panel, (Range(0, 200),))
    assert fitted.target.thresholds is not None
    assert rule.target.thresholds is None
    check = check_strategy(copy.deepcopy(fitted), panel, Range(200, panel.num_bars))
    assert check.is_clean, check
    with pytest.raises(ConfigError, match=r"^strategy\.target looks 10 bars ahead and cannot decide"):
        fit_rule(SwapRule(target=ForwardReturn(), risk=RiskFilter()), panel, (Range(0, 200),))


def test_none_is_no_target_and_no_filter() -> None:
    with pytest.raises(ValueError, match=r"^target must be one that labels"):
        SwapRule(target=Unused(), risk=OPEN)
    with pytest.raises(ValueError, match=r"^risk must be a filter such as risk=swaps"):
        SwapRule(target=RuleTarget(), risk=Unused())
    with pytest.raises(ValueError, match=r"^risk must be a filter such as risk=swaps"):
        LanguageModelStrategy(scorer=Reader(), risk=Unused())


def test_several_swaps_of_a_block_are_one_bar() -> None:
    panel = panel_of_tape(random_tape(300, seed=5))
    assert panel.num_bars < 300
    _, positions = decide(panel, Reader(), every_bars=1)
    assert positions.weights_TN.shape == (panel.num_bars, 1)
