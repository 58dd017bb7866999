"""The control of a language model: the same answers, given to other prompts, in training and validation alone."""

from collections import Counter

import numpy as np
import pytest
from test_swap_decisions import RULES, ranges_of

from swap_cases import random_swap_panel
from tradewright.examples.shuffle import shuffled
from tradewright.examples.source import Market
from tradewright.examples.swap_decisions import SwapDecisions
from tradewright.target.rules import RuleTarget


@pytest.fixture(scope="module")
def sets():
    panel = random_swap_panel(1_500, seed=11)
    return SwapDecisions(target=RuleTarget(**RULES), max_samples=400).read(Market(panel, ranges_of(panel)))


def test_answers_change_places_and_nothing_else(sets) -> None:
    mixed = shuffled(sets, seed=3)
    for own, other in ((sets.train, mixed.train), (sets.validation, mixed.validation)):
        assert [(one.id, one.prompt, one.known_at) for one in own] == [
            (one.id, one.prompt, one.known_at) for one in other
        ]
        assert Counter(one.completion for one in own) == Counter(one.completion for one in other)
        assert [one.completion for one in own] != [one.completion for one in other]
        assert all(one.completion.startswith(str(one.label)) for one in other)
    assert mixed.test == sets.test
    assert shuffled(sets, seed=3) == mixed != shuffled(sets, seed=4)


def test_prompts_tell_nothing_of_shuffled_labels(sets) -> None:
    """The share of prompts that keep their label is that of two independent draws."""
    kept = [
        np.mean([a.label == b.label for a, b in zip(sets.train, shuffled(sets, seed=seed).train, strict=True)])
        for seed in range(20)
    ]
    shares = np.array(list(Counter(one.label for one in sets.train).values())) / len(sets.train)
    assert np.mean(kept) == pytest.approx((shares**2).sum(), abs=0.02)
