"""Probabilities of labels equal those of one plain forward pass per label, however prompts are batched and shared."""

import math

import numpy as np
import pytest
import torch

from tiny_writers import ARCHITECTURES, PROMPTS, ask, tiny_writer
from tradewright.errors import ConfigError, RunError
from tradewright.generate.forward import Cached
from tradewright.generate.labels import LabelScorer, softmax
from tradewright.model.chat import encode_example
from tradewright.model.loaded_model import LoadedModel

LABELS = ("BUY", "SELL", "HOLD", "HOLD and wait for the next bar")
RULES = "Answer with one word. The relative strength index is high above 70 and low below 30. Volume matters."
SHARED = tuple(ask(prompt[0]["content"], system=RULES) for prompt in PROMPTS)


@pytest.fixture(params=ARCHITECTURES)
def loaded(request) -> LoadedModel:
    return tiny_writer(request.param)


def one_by_one(loaded: LoadedModel, prompts, labels) -> np.ndarray:
    """Score every label of every prompt by a forward pass of its own, without cache and padding."""
    scores = np.empty((len(prompts), len(labels)))
    for row, prompt in enumerate(prompts):
        for column, label in enumerate(labels):
            encoded = encode_example(loaded.tokenizer, prompt, label)
            with torch.no_grad():
                logits_LV = loaded.model(torch.tensor([encoded.ids])).logits[0].double()
            logs_LV = logits_LV.log_softmax(-1)
            places = range(encoded.num_prompt, len(encoded.ids))
            scores[row, column] = sum(float(logs_LV[place - 1, encoded.ids[place]]) for place in places)
    return scores


@pytest.mark.parametrize("prompts", [PROMPTS, SHARED], ids=["own", "shared"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_scores_equal_one_forward_pass_per_label(loaded, prompts, batch_size):
    scorer = LabelScorer(loaded, LABELS, batch_size=batch_size)
    scores_BL = scorer.log_probabilities(prompts)
    expected_BL = one_by_one(loaded, prompts, LABELS)
    np.testing.assert_allclose(scores_BL, expected_BL, atol=1e-4)  # sums of up to 20 float32 logits of size 10
    probabilities_BL = scorer.probabilities(prompts)
    assert probabilities_BL.dtype == np.float64
    np.testing.assert_allclose(probabilities_BL, softmax(expected_BL), atol=1e-5)
    np.testing.assert_allclose(probabilities_BL.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("window", [40, 4096])
def test_sliding_windows_are_exact_with_padding_and_shared_beginnings(window, monkeypatch):
    """A window shorter than the prompts: no beginning is shared then, since padding would take room in it."""
    loaded = tiny_writer("mistral")
    monkeypatch.setattr(loaded.model.config, "sliding_window", window)
    for layer in loaded.model.model.layers:
        monkeypatch.setattr(layer.self_attn, "sliding_window", window, raising=False)
    scorer = LabelScorer(loaded, LABELS)
    shared = scorer._shared([scorer._encode(prompt) for prompt in SHARED])
    assert (shared > 0) == (window == 4096)
    probabilities_BL = softmax(one_by_one(loaded, SHARED, LABELS))
    np.testing.assert_allclose(scorer.probabilities(SHARED), probabilities_BL, atol=1e-5)


def test_window_has_an_effect():
    """Else the test above would prove nothing."""
    loaded = tiny_writer("mistral")
    wide = one_by_one(loaded, SHARED[:1], LABELS)
    loaded.model.config.sliding_window, before = 40, loaded.model.config.sliding_window
    try:
        assert np.abs(one_by_one(loaded, SHARED[:1], LABELS) - wide).max() > 1e-3
    finally:
        loaded.model.config.sliding_window = before


def test_shared_beginning_is_read_once(monkeypatch):
    num_read = 0
    extend = Cached.extend

    def counted(self, ids_BL, mask_BL, **options):
        nonlocal num_read
        num_read += int(mask_BL.sum())
        return extend(self, ids_BL, mask_BL, **options)

    monkeypatch.setattr(Cached, "extend", counted)
    scorer = LabelScorer(tiny_writer(), ("BUY", "SELL"), batch_size=2)
    scorer.log_probabilities(SHARED)
    together, num_read = num_read, 0
    for prompt in SHARED:
        scorer.log_probabilities([prompt])
    asked = [scorer._encode(prompt) for prompt in SHARED]
    assert num_read - together == (len(SHARED) - 1) * scorer._shared(asked) > 100


def test_equal_prompts_have_equal_probabilities():
    probabilities_BL = LabelScorer(tiny_writer(), LABELS).probabilities([SHARED[0], SHARED[0]])
    np.testing.assert_allclose(probabilities_BL[0], probabilities_BL[1], atol=1e-6)


@pytest.mark.row("R25")
def test_answer_is_always_one_of_the_labels_with_a_confidence():
    prompts = [ask(f"price, volume, volatility {number} -> buy or sell? {chr(300 + number)}") for number in range(20)]
    probabilities_BL = LabelScorer(tiny_writer(), ("BUY", "SELL", "HOLD")).probabilities(prompts)
    assert probabilities_BL.shape == (20, 3)
    assert (probabilities_BL > 0).all()
    np.testing.assert_allclose(probabilities_BL.sum(axis=1), 1.0, atol=1e-12)


def next_token_logs(loaded: LoadedModel, ids: list[int]) -> np.ndarray:
    """Return the log-probability of every token as the next one, by a plain forward pass."""
    with torch.no_grad():
        return loaded.model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1).numpy()


@pytest.mark.row("R25")
@pytest.mark.parametrize("begun", ["", "Mean: below\n#### "])
def test_probabilities_are_those_of_the_next_token_where_labels_are_one_token(loaded, begun):
    """Whatever answers go on with: neither an end nor a reason behind the word has a part in it."""
    words = one_token_words(loaded, begun)
    scorer = LabelScorer(loaded, words)
    probabilities_BL = scorer.probabilities(PROMPTS, [begun] * len(PROMPTS))
    for row, prompt in enumerate(PROMPTS):
        encoded = [encode_example(loaded.tokenizer, prompt, begun + word) for word in words]
        ids = encoded[0].ids[:-2]  # without the word and the end
        assert all(one.ids[:-2] == ids for one in encoded)
        logs_V = next_token_logs(loaded, ids)
        expected_L = softmax(np.array([logs_V[one.ids[-2]] for one in encoded]))
        np.testing.assert_allclose(probabilities_BL[row], expected_L, atol=1e-6)


def one_token_words(loaded: LoadedModel, begun: str) -> tuple[str, ...]:
    """Return words that are one token each behind the same beginning."""
    bare = len(encode_example(loaded.tokenizer, PROMPTS[0], begun + "b").ids)
    found = [
        word for word in ("a", "b", "c", "d", "x", "7", "?")
        if len(encode_example(loaded.tokenizer, PROMPTS[0], begun + word).ids) == bare
    ]  # fmt: skip
    return tuple(found[:3])


def test_what_a_trained_answer_goes_on_with_does_not_change_its_probability():
    """A model that always gives a reason never ends behind the word; whole answers with an end would mislead."""
    loaded = tiny_writer("gpt2")
    scorer, prompt = LabelScorer(loaded, ("BUY", "SELL", "HOLD")), PROMPTS[0]
    before = scorer.probabilities([prompt])
    end = loaded.tokenizer.eos_token_id
    step = type(loaded.model.lm_head).forward

    def without_end(self, hidden):
        logits = step(self, hidden)
        logits[..., end] -= 30.0 * torch.rand(logits.shape[:-1], generator=torch.Generator().manual_seed(1))
        return logits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(loaded.model.lm_head), "forward", without_end)
        np.testing.assert_allclose(scorer.probabilities([prompt]), before, atol=1e-4)  # words of several tokens
        whole = one_by_one(loaded, [prompt], ("BUY", "SELL", "HOLD"))
        assert np.abs(softmax(whole) - before).max() > 0.05


def test_labels_of_which_one_begins_another_are_told_apart_by_their_end(loaded):
    scores_BL = LabelScorer(loaded, ("HOLD", "HOLD and wait")).log_probabilities(PROMPTS)
    np.testing.assert_allclose(
        np.diff(scores_BL), np.diff(one_by_one(loaded, PROMPTS, ("HOLD", "HOLD and wait"))), atol=1e-4
    )


def test_no_prompts_give_no_rows():
    assert LabelScorer(tiny_writer(), LABELS).probabilities([]).shape == (0, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ("BUY",)}, "labels must be at least 2 different texts"),
        ({"labels": "BUY"}, "labels must be at least 2 different texts"),
        ({"labels": ("BUY", "BUY")}, "labels must be at least 2 different texts"),
        ({"temperature": 0.0}, "temperature must be > 0, was 0.0"),
        ({"batch_size": 0}, "batch_size must be >= 1, was 0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        LabelScorer(tiny_writer(), **{"labels": LABELS, **options})


def test_prompt_beyond_the_context_is_refused_with_the_numbers():
    with pytest.raises(RunError, match=r"^prompt: \d+ tokens with its label exceed a context of 256"):
        LabelScorer(tiny_writer(), LABELS).probabilities([ask("price " * 300)])


def test_broken_weights_are_an_error():
    with pytest.raises(RunError, match="not finite"):
        LabelScorer(tiny_writer("gpt2", sharpness=math.nan), LABELS).probabilities(PROMPTS[:1])


def test_labels_that_differ_only_in_white_space_are_refused_where_the_template_drops_it():
    loaded = tiny_writer()
    template = loaded.tokenizer.chat_template
    loaded.tokenizer.chat_template = template.replace(
        "message['content'] }}<|im_end|>", "message['content'].strip() }}<|im_end|>"
    )
    try:
        with pytest.raises(ConfigError, match="not all different"):
            LabelScorer(loaded, ("BUY", "BUY ")).probabilities(PROMPTS[:1])
    finally:
        loaded.tokenizer.chat_template = template
