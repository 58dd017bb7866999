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
from tradewright.examples.swap_prompt import LINES, SwapPrompts, completion, render, spell
from tradewright.features.swap_windows import onchain_table
from tradewright.target.labels import ACTIONS
from tradewright.target.rules import RuleTarget

FACTS = {
    "price": 2_034.56789,
    "price_change": -0.00123,
    "return_10": 0.0046,
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
Last swap: down one tenth
Ten swaps: up five tenths
Trend: down one
Mean: below nine tenths
Volatility: six hundredths
Volume: ten
Usual volume: five thousandths
Volume ratio: two
Share of reserve: three hundredths
Flow: sold twenty
Seconds between swaps: twenty
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
    assert system["content"] == (
        "You trade one pool. Moves, volatility and shares are in percent. Decide: BUY, SELL or HOLD."
    )
    assert user["content"] == SNAPSHOT


@pytest.mark.row("R24")
def test_answers_state_the_word_first_and_figures_of_the_prompt() -> None:
    text = completion("BUY", "mean_reversion", FACTS, ("deviation_50", "volume_ratio_50"))
    assert text == "BUY: oversold, and volume confirms; mean below nine tenths, volume ratio two."


@pytest.mark.parametrize("power", range(-3, 7))
def test_words_are_one_significant_digit_of_the_number(power: int) -> None:
    rng = np.random.default_rng(power + 3)
    for value in (10.0**power * rng.uniform(1.0, 9.4, 200)).tolist():
        assert spelled_number(spell(value)) == pytest.approx(float(f"{value:.0e}"))
        assert spelled_number(spell(value)) == pytest.approx(value, rel=0.5)


def test_words_go_on_below_the_smallest_and_above_the_largest() -> None:
    assert [spell(value) for value in (0.0, 0.00049, 0.0005, 0.00096)] == [
        "none",
        "none",
        "one thousandth",
        "one thousandth",
    ]
    assert [spell(value) for value in (0.0951, 0.96, 9.7, 96.0, 2e7)] == [
        "one tenth",
        "one",
        "ten",
        "one hundred",
        "2e+07",
    ]


DIGITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TENS = ("ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def spelled_number(text: str) -> float:
    """Read a spelled number, independently of how it is written."""
    units = dict(zip(DIGITS + TENS, (*range(1, 10), *range(10, 100, 10)), strict=True))
    scales = {"hundred": 100, "thousand": 1000, "million": 10**6, "tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001}
    first, *others = text.split()
    return units[first] * float(np.prod([scales[word.removesuffix("s")] for word in others]))


def test_the_prompt_does_not_know_the_rule(panel) -> None:
    """Other thresholds give other labels and the same prompts: words are rounded figures, no verdict."""
    one, other = (
        SwapDecisions(target=RuleTarget(**{**RULES, "deviation": deviation}), max_samples=300).read(
            Market(panel, ranges_of(panel))
        )
        for deviation in (0.001, 0.01)
    )
    assert [example.prompt for example in one.train] == [example.prompt for example in other.train]
    assert [example.label for example in one.train] != [example.label for example in other.train]


@pytest.mark.row("R24")
def test_every_example_can_be_checked_against_its_facts(panel, sets) -> None:
    table = onchain_table(panel)
    for one in (*sets.train, *sets.validation, *sets.test):
        row = one.facts["bar"]
        assert one.completion.startswith(f"{one.label}: ")
        assert one.label in ACTIONS
        assert one.known_at == panel.known_at_T[row]
        for line in LINES:
            assert one.facts[line.name] == table[line.name][row, 0]
            assert line.told(one.facts[line.name]) in one.prompt[-1]["content"].splitlines()
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
