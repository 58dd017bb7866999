"""``examples=swap_drafts``: what the checker keeps and refuses, rejection sampling, and what a student then learns."""

import numpy as np
import pytest
from test_swap_decisions import FACTS, RULES, ranges_of

from swap_cases import random_swap_panel
from tradewright.errors import DataError
from tradewright.examples.draft import CONDITIONS, REFUSALS, check_draft, rule_draft, split_draft
from tradewright.examples.source import Market
from tradewright.examples.swap_drafts import SwapDrafts
from tradewright.examples.swap_prompt import LINES
from tradewright.target.rules import RuleTarget

TRUE = "Mean: below nine tenths\nTrend: down one\nVolatility: six hundredths\nVolume ratio: two"


def drafts(**keys) -> SwapDrafts:
    return SwapDrafts(target=RuleTarget(**RULES), **{"max_samples": 200, **keys})


@pytest.fixture(scope="module")
def market() -> Market:
    panel = random_swap_panel(1_500, seed=11)
    return Market(panel, ranges_of(panel))


@pytest.fixture(scope="module")
def sets(market):
    return drafts().read(market)


@pytest.mark.row("R40")
def test_the_draft_of_the_rules_states_what_their_conditions_compare() -> None:
    assert rule_draft(FACTS, "BUY") == f"{TRUE}\n#### BUY"
    assert split_draft(rule_draft(FACTS, "BUY")) == (tuple(TRUE.splitlines()), "BUY")


@pytest.mark.row("R40")
@pytest.mark.parametrize(
    "text",
    [
        f"{TRUE}\n#### BUY",
        "price below its mean; flow selling; volume ratio 2\n#### BUY.",
        "- Momentum falling\n- Deviation under 0.87%\n#### **buy**",
        "Volume ratio above; last swap fell one tenth #### BUY",
        "Seconds between swaps: twenty\n#### BUY",
        "Mean: -0.87 %\nVolatility 0.06%\n#### BUY",
    ],
)
def test_what_is_true_and_right_is_kept(text: str) -> None:
    assert check_draft(text, FACTS, "BUY") == ""


@pytest.mark.row("R40")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{TRUE}\nBUY", "no_separator"),
        (f"{TRUE}\n#### BUY or SELL", "no_answer"),
        (f"{TRUE}\n####", "no_answer"),
        (f"{TRUE}\n#### SELL", "wrong_answer"),
        ("#### BUY", "no_step"),
        ("the price is far below its mean\n#### BUY", "long_step"),
        ("Mean: far below\n#### BUY", "unreadable"),
        ("Mean\n#### BUY", "unreadable"),
        ("Moon: below two\n#### BUY", "unreadable"),
        ("Mean: above nine tenths\n#### BUY", "untrue"),
        ("Mean: below nine hundredths\n#### BUY", "untrue"),
        ("Volume ratio: below\n#### BUY", "untrue"),
        ("Flow: bought twenty\n#### BUY", "untrue"),
        ("Mean: +0.87%\n#### BUY", "untrue"),
        ("Volatility: -0.06%\n#### BUY", "untrue"),
        ("Mean: not below\n#### BUY", "unreadable"),
        ("Mean: below above\n#### BUY", "untrue"),
        (f"{TRUE}\nTen swaps: down\n#### BUY", "untrue"),
    ],
)
def test_what_is_not_is_refused_with_its_reason(text: str, reason: str) -> None:
    assert check_draft(text, FACTS, "BUY") == reason
    assert reason in REFUSALS


def test_every_line_of_a_prompt_can_be_a_step_and_no_line_of_another_bar_that_differs(sets) -> None:
    for one, other in zip(sets.train[:40], sets.train[40:80], strict=True):
        for line in LINES:
            if line.name == "price":
                continue
            own, foreign = line.told(one.facts[line.name]), line.told(other.facts[line.name])
            assert check_draft(f"{own}\n#### HOLD", one.facts, "HOLD") == ""
            if foreign != own:
                assert check_draft(f"{foreign}\n#### HOLD", one.facts, "HOLD") == "untrue"


@pytest.mark.row("R40")
def test_answers_are_the_drafts_of_the_rules_and_all_of_them_would_be_kept(sets) -> None:
    source = drafts()
    for one in (*sets.train, *sets.validation, *sets.test):
        steps, word = split_draft(one.completion)
        assert word == one.label
        assert set(steps) <= set(one.prompt[-1]["content"].splitlines())
        assert len(steps) == len(CONDITIONS)
        assert source.grade(one, one.completion) == {"true_draft": 1.0}
    assert source.grade(sets.train[0], "HOLD") == {"true_draft": 0.0}


@pytest.mark.row("R40")
def test_a_teacher_is_asked_again_only_where_it_was_refused_and_every_draft_is_counted(sets) -> None:
    source = drafts(num_tries=3)
    right = {one.prompt[-1]["content"]: one.completion for one in sets.train}
    asked: list[int] = []

    def write(prompts, attempt):
        asked.append(len(prompts))
        return [
            right[one[-1]["content"]] if place % 2 == attempt % 2 else "Mean: above\n####"
            for place, one in enumerate(prompts)
        ]

    found = source.distil(sets.train, write)
    n = len(sets.train)
    assert asked[0] == n
    assert asked == [n, sum(one.refusal != "" for one in found.drafts[:n]), asked[2]]
    assert len(found.drafts) == sum(asked)
    figures = found.figures
    assert figures["drafts_asked"] == n
    assert figures["drafts_kept"] + sum(figures[f"drafts_{one}"] for one in REFUSALS) == n
    assert figures["drafts_kept_share"] == figures["drafts_kept"] / n
    assert f"{figures['drafts_kept']:.0f} of {n} bars" in found.summary
    taught = source.taught(sets, found)
    assert len(taught.train) == figures["drafts_kept"]
    assert taught.fingerprint != sets.fingerprint
    assert (taught.validation, taught.test) == (sets.validation, sets.test)


def test_kept_drafts_are_learned_in_one_form(sets) -> None:
    source = drafts(num_tries=1)
    found = source.distil(sets.train, lambda prompts, attempt: [
        f"- {split_draft(one.completion)[0][0]};\n#### {one.label.lower()}." for one in sets.train
    ])  # fmt: skip
    for one in source.taught(sets, found).train:
        assert one.completion == f"{split_draft(one.completion)[0][0]}\n#### {one.label}"


def test_a_teacher_whose_drafts_are_all_refused_is_an_error_with_the_reasons(sets) -> None:
    source = drafts()
    found = source.distil(sets.train, lambda prompts, attempt: ["no idea"] * len(prompts))
    with pytest.raises(
        DataError, match=r"^examples\.teacher: 0 of \d+ bars .* \d+ no separator; there is nothing to learn"
    ):
        source.taught(sets, found)


def test_the_first_part_in_time_is_the_teachers(sets) -> None:
    first, others = drafts(teacher_share=0.25).parts(sets)
    assert first + others == sets.train
    assert len(first) == pytest.approx(0.25 * len(sets.train), abs=1)
    with pytest.raises(DataError, match=r"^examples\.teacher_share: 0\.001 of \d+ training examples leaves none"):
        drafts(teacher_share=0.001).parts(sets)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"teacher_share": 1.0}, "teacher_share must"),
        ({"num_tries": 0}, "num_tries must"),
        ({"max_step_words": 1}, "max_step_words must"),
        ({"max_draft_tokens": 0}, "max_draft_tokens must"),
        ({"balance": "odd"}, "balance must"),
    ],
)
def test_impossible_arguments_are_refused_by_name(keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        drafts(**keys)


def test_rule_bars_are_among_the_examples(sets) -> None:
    assert np.mean([one.label != "HOLD" for one in sets.train]) > 0.1
