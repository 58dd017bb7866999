"""What ``generate.*`` accepts, the options of the group, and the arithmetic of one draw."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tradewright.config.build import build
from tradewright.errors import ConfigError
from tradewright.generate.decoding import Decoding
from tradewright.generate.sampling import choose, distribution, draw, penalise
from tradewright.paths import shipped

OPTIONS = sorted((shipped("conf") / "generate").glob("*.yaml"))


def node(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


@pytest.mark.row("L21")
@pytest.mark.row("T41")
def test_default_temperature_is_seven_tenths():
    made = build(node(shipped("conf") / "generate" / "default.yaml"), key="generate")
    assert (made.temperature, made.repetition_penalty) == (0.7, 1.1)


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: path.stem)
def test_every_option_sets_every_key_and_top_k_among_them(path):
    """Left out, transformers draws from the 50 most probable tokens (pitfall 13)."""
    content = node(path)
    assert set(content) == {"_target_", *Decoding.__dataclass_fields__}
    assert isinstance(content["top_k"], int)
    assert isinstance(build(content, key="generate"), Decoding)


def test_options_of_the_group_are_the_four():
    assert [path.stem for path in OPTIONS] == ["code", "creative", "default", "greedy"]


def test_code_refuses_what_destroys_code():
    """``no_repeat_ngram_size`` is no key, so the check refuses it (pitfall 13)."""
    content = node(shipped("conf") / "generate" / "code.yaml") | {"no_repeat_ngram_size": 6}
    with pytest.raises(ConfigError, match="no_repeat_ngram_size"):
        build(content, key="generate")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": -0.1}, "generate.temperature must be >= 0, was -0.1"),
        ({"temperature": math.nan}, "generate.temperature must be >= 0, was nan"),
        ({"top_k": -1}, r"generate.top_k must be >= 0 \(0 draws from all tokens\), was -1"),
        ({"top_p": 0.0}, r"generate.top_p must be in \(0, 1\], was 0.0"),
        ({"top_p": 1.5}, r"generate.top_p must be in \(0, 1\], was 1.5"),
        ({"repetition_penalty": 0.0}, "generate.repetition_penalty must be > 0, was 0.0"),
        ({"max_new_tokens": 0}, "generate.max_new_tokens must be >= 1, was 0"),
        ({"seed": -1}, "generate.seed must be in "),
        ({"num_candidates": 0}, "generate.num_candidates must be >= 1, was 0"),
        ({"num_candidates": 2, "temperature": 0.0}, "generate.num_candidates must be 1 with temperature 0, was 2"),
        ({"num_candidates": 2, "stream": True}, "generate.stream must be false with 2 candidates"),
        ({"stop": [""]}, "generate.stop must be a list of texts that are not empty"),
        ({"stop": "END"}, "generate.stop must be a list of texts"),
    ],
)
def test_values_out_of_range_are_refused_with_their_key(values, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        build({"_target_": "tradewright.generate.decoding.Decoding", **values}, key="generate")


@pytest.mark.row("L23")
def test_repetition_penalty_lowers_both_signs_of_tokens_that_occurred():
    logits_BV = torch.tensor([[2.2, -1.0, 3.0, -2.0], [2.2, -1.0, 3.0, -2.0]])
    seen_BV = torch.tensor([[True, True, False, False], [False, False, False, True]])
    expected = [[2.2 / 1.1, -1.0 * 1.1, 3.0, -2.0], [2.2, -1.0, 3.0, -2.0 * 1.1]]
    np.testing.assert_allclose(penalise(logits_BV, seen_BV, 1.1).numpy(), expected, rtol=1e-6)
    assert penalise(logits_BV, seen_BV, 1.0) is logits_BV


@pytest.mark.row("L23")
def test_repetition_penalty_equals_that_of_transformers():
    from transformers import RepetitionPenaltyLogitsProcessor

    generator = torch.Generator().manual_seed(3)
    logits_BV = torch.randn(4, 30, generator=generator)
    ids_BL = torch.randint(30, (4, 9), generator=generator)
    seen_BV = torch.zeros(4, 30, dtype=torch.bool).scatter_(1, ids_BL, True)
    theirs_BV = RepetitionPenaltyLogitsProcessor(1.3)(ids_BL, logits_BV.clone())
    assert torch.equal(penalise(logits_BV, seen_BV, 1.3), theirs_BV)


@pytest.mark.parametrize("values", [{}, {"top_k": 5}, {"top_p": 0.6}, {"temperature": 1.9, "top_k": 9, "top_p": 0.8}])
def test_distribution_equals_a_plain_one(values):
    decoding = Decoding(**{"temperature": 0.7, **values})
    logits_V = np.random.default_rng(5).normal(size=20) * 2
    scaled = logits_V / decoding.temperature
    if decoding.top_k:
        scaled[scaled < np.sort(scaled)[-decoding.top_k]] = -np.inf
    probability = np.exp(scaled - scaled.max())
    probability /= probability.sum()
    order = np.argsort(-probability)
    before = np.cumsum(probability[order]) - probability[order]
    probability[order[before >= decoding.top_p]] = 0.0
    ours = distribution(torch.tensor(logits_V)[None], decoding)[0]
    np.testing.assert_allclose(ours, probability, atol=1e-12)


def test_draws_follow_the_distribution_and_never_take_what_is_forbidden():
    probability_V = torch.tensor([0.0, 0.2, 0.0, 0.5, 0.3, 0.0], dtype=torch.float64)
    uniform_M = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    uniform_M[:2] = torch.tensor([0.0, 1.0 - 2.0**-24])
    drawn = draw(probability_V.expand(20_000, -1), uniform_M).numpy()
    counts = np.bincount(drawn, minlength=6)
    assert counts[[0, 2, 5]].sum() == 0
    np.testing.assert_allclose(counts / 20_000, probability_V, atol=0.015)


def test_all_tokens_can_be_drawn_without_top_k():
    """50 distinct ones would betray a hidden top-k."""
    flat_V = torch.zeros(1000).expand(4000, -1)
    uniform_M = torch.rand(4000, generator=torch.Generator().manual_seed(1))
    drawn = choose(flat_V, Decoding(temperature=1.0, top_k=0), uniform_M)
    assert len(drawn.unique()) > 900
    assert len(choose(flat_V + torch.arange(1000), Decoding(temperature=90.0, top_k=50), uniform_M).unique()) == 50
