"""``examples=swap_decisions``: the template, the answers, the shares of the actions, and sets that share no time."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from swap_cases import random_swap_panel
from tradewright.data.ranges import Range, Ranges
from tradewright.errors import DataError
from tradewright.examples.source import Market
from tradewright.examples.swap_decisions import SwapDecisions, shares
from tradewright.examples.swap_prompt import LINES, SwapPrompts, completion, render, write
from tradewright.features.swap_windows import onchain_table
from tradewright.target.labels import ACTIONS
from tradewright.target.rules import RuleTarget

FACTS = {
    "price": 2_034.56789,
    "price_change": -0.00123,
    "return_10": 0.0045,
    "return_50": -0.0123,
    "deviation_50": -0.00871,
    "volatility": 0.00061,
    "volume_eth": 12.345,
    "volume_average": 0.00456,
    "volume_ratio_50": 2.5,
    "liquidity_impact": 0.00031,
    "imbalance_50": -0.25,
    "interval_s_10": 17.6,
}
SNAPSHOT = """Pool ETH/USDC
Price: 2,034.57
Change since the last swap: -0.123%
Return over 10 swaps: +0.450%
Return over 50 swaps: -1.230%
Distance from the mean of 50 swaps: -0.871%
Volatility per swap: +0.061%
Volume: 12.35
Mean volume: 0.00456
Volume over its mean: 2.50
Share of the pool's reserve: +0.031%
Bought less sold over 50 swaps: -25.000%
Time between swaps: 18 s
Buy, sell or hold?"""
RULES = {"deviation": 0.001, "momentum": 0.003, "volatility": 0.0, "reversion_volume": 0.8, "breakout_volume": 0.8}


@pytest.fixture(scope="module")
def panel():
    return random_swap_panel(1_500, seed=11)


def ranges_of(panel, embargo: int = 20) -> Ranges:
    a, b = int(panel.num_bars * 0.6), int(panel.num_bars * 0.8)
    return Ranges(train=Range(0, a), validation=Range(a + embargo, b), test=Range(b + embargo, panel.num_bars))


@pytest.fixture(scope="module")
def sets(panel):
    return SwapDecisions(target=RuleTarget(**RULES), max_samples=300).read(Market(panel, ranges_of(panel)))


@pytest.mark.row("R24")
def test_template_snapshot() -> None:
    system, user = render("ETH/USDC", FACTS)
    assert (system["role"], user["role"]) == ("system", "user")
    assert system["content"] == "You trade one pool. Answer with BUY, SELL or HOLD first, then give one short reason."
    assert user["content"] == SNAPSHOT


@pytest.mark.row("R24")
def test_answers_state_the_word_first_and_figures_of_the_prompt() -> None:
    text = completion("BUY", "mean_reversion", FACTS, ("deviation_50", "volume_ratio_50"))
    assert text == (
        "BUY: oversold, and volume confirms; distance from the mean of 50 swaps -0.871%, volume over its mean 2.50."
    )


@pytest.mark.row("R24")
def test_every_example_can_be_checked_against_its_facts(panel, sets) -> None:
    table = onchain_table(panel)
    for one in (*sets.train, *sets.validation, *sets.test):
        row = one.facts["bar"]
        assert one.completion.startswith(f"{one.label}: ")
        assert one.label in ACTIONS
        assert one.known_at == panel.known_at_T[row]
        for name, _, kind in LINES:
            assert one.facts[name] == table[name][row, 0]
            assert write(one.facts[name], kind) in one.prompt[-1]["content"]
        assert (one.facts["size"] > 0) == (one.label != "HOLD")
    assert sets.is_synthetic
    assert sets.name == "decisions on test pool"


@pytest.mark.row("R5")
def test_at_most_as_many_samples_as_asked_for_shared_by_the_ranges(panel, sets) -> None:
    sizes = [len(part) for part in (sets.train, sets.validation, sets.test)]
    assert 290 <= sum(sizes) <= 300
    assert sizes[0] > sizes[1] + sizes[2]
    assert SwapDecisions(target=RuleTarget(**RULES)).max_samples == 1_000
    everything = SwapDecisions(target=RuleTarget(**RULES), max_samples=10**6).read(Market(panel, ranges_of(panel)))
    assert len(everything.train) == ranges_of(panel).train.stop - 100 + sum(
        SwapPrompts.of(panel).is_defined(slice(0, 100))
    )


@pytest.mark.row("R8")
def test_sets_are_disjoint_in_time_order_and_the_same_each_time(panel, sets) -> None:
    assert max(one.known_at for one in sets.train) < min(one.known_at for one in sets.validation)
    assert max(one.known_at for one in sets.validation) < min(one.known_at for one in sets.test)
    again = SwapDecisions(target=RuleTarget(**RULES), max_samples=300).read(Market(panel, ranges_of(panel)))
    other = SwapDecisions(target=RuleTarget(**RULES), max_samples=300, seed=1).read(Market(panel, ranges_of(panel)))
    assert again.fingerprint == sets.fingerprint != other.fingerprint


def test_equal_balance_takes_as_many_of_each_to_learn_from_and_judges_naturally(panel, sets) -> None:
    equal = SwapDecisions(target=RuleTarget(**RULES), max_samples=300, balance="equal").read(
        Market(panel, ranges_of(panel))
    )
    assert list(shares(equal.train).values()) == [pytest.approx(1 / 3)] * 3
    assert [one.id for one in equal.test] == [one.id for one in sets.test]


def test_later_bars_change_no_training_example(panel) -> None:
    target = RuleTarget(unit="quantile", **dict.fromkeys(RULES, 0.5))
    made = SwapDecisions(target=target, max_samples=10**6)
    whole = made.read(Market(panel, ranges_of(panel)))
    stop = ranges_of(panel).test.start + 40
    part = made.read(Market(panel.slice(0, stop), replace(ranges_of(panel), test=Range(stop - 40, stop))))
    assert [one.completion for one in part.train] == [one.completion for one in whole.train]
    assert [one.prompt for one in part.validation] == [one.prompt for one in whole.validation]


def test_an_action_that_hardly_occurs_is_told(panel, caplog) -> None:
    never = RuleTarget(rules=["breakout"], momentum=10.0)
    with caplog.at_level(logging.WARNING, logger="tradewright"):
        SwapDecisions(target=never, max_samples=50).read(Market(panel, ranges_of(panel)))
    assert "0.0 % of the training examples are BUY" in caplog.text


@pytest.mark.row("R43")
def test_a_table_of_another_shape_or_without_a_feature_is_named(panel) -> None:
    table = onchain_table(panel)
    with pytest.raises(DataError, match=r"needs the feature 'deviation_50', which the table lacks; did you mean"):
        SwapPrompts.from_table("P", {k: v for k, v in table.items() if k != "deviation_50"}, panel.num_bars)
    with pytest.raises(DataError, match=r"feature 'price' has shape .*, the data set has"):
        SwapPrompts.from_table("P", {name: x_T1[:-1] for name, x_T1 in table.items()}, panel.num_bars)


def test_a_range_without_a_known_bar_is_named(panel) -> None:
    ranges = Ranges(train=Range(0, 5), validation=Range(10, 20), test=Range(30, 40))
    with pytest.raises(DataError, match="no bar of the train range"):
        SwapDecisions(target=RuleTarget(**RULES)).read(Market(panel, ranges))


@pytest.mark.parametrize(
    ("keys", "message"),
    [({"max_samples": 2}, "max_samples must"), ({"balance": "odd"}, "balance must"), ({"seed": -1}, "seed must")],
)
def test_impossible_arguments_are_refused_by_name(keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        SwapDecisions(target=RuleTarget(), **keys)


def test_hold_is_the_majority_and_shares_add_up(sets) -> None:
    found = shares(sets.train)
    assert sum(found.values()) == pytest.approx(1.0)
    assert np.argmax(list(found.values())) == ACTIONS.index("HOLD")
