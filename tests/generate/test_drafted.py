"""Decisions after a draft: written greedily up to the separator, limited, then scored as the model would go on."""

import numpy as np
import pytest
import torch

from tiny_writers import PROMPTS, tiny_writer
from tradewright.examples.draft import SEPARATOR
from tradewright.generate.decoding import Decoding
from tradewright.generate.drafted import DraftScorer
from tradewright.generate.labels import LabelScorer, softmax
from tradewright.generate.writer import Writer
from tradewright.model.chat import encode_example

LABELS = ("BUY", "SELL", "HOLD")


@pytest.mark.row("R40")
@pytest.mark.parametrize("num_tokens", [1, 12])
def test_words_are_scored_behind_the_draft_that_the_model_writes(num_tokens: int) -> None:
    loaded = tiny_writer("gpt2")
    scorer = DraftScorer(loaded, LABELS, max_draft_tokens=num_tokens, batch_size=2)
    probabilities_BL = scorer.probabilities(PROMPTS)
    np.testing.assert_allclose(probabilities_BL.sum(axis=1), 1.0, atol=1e-12)
    greedy = Decoding(temperature=0.0, repetition_penalty=1.0, max_new_tokens=num_tokens)
    for row, prompt in enumerate(PROMPTS):
        (written,) = Writer(loaded, greedy).write([prompt])
        draft = written.text.partition(SEPARATOR)[0].strip()
        begun = f"{draft}\n{SEPARATOR} " if draft else f"{SEPARATOR} "
        assert scorer.drafts.texts[row] == begun
        scores = []
        for label in LABELS:
            ids = encode_example(loaded.tokenizer, prompt, begun + label).ids
            bare = encode_example(loaded.tokenizer, prompt, begun.rstrip()).ids
            shared = len(bare) - 1
            with torch.no_grad():
                logs = loaded.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
            scores.append(sum(float(logs[place - 1, ids[place]]) for place in range(shared, len(ids) - 1)))
        np.testing.assert_allclose(probabilities_BL[row], softmax(np.array(scores)), atol=1e-5)


def test_drafts_that_do_not_come_to_their_word_are_counted(monkeypatch) -> None:
    loaded = tiny_writer("gpt2")
    scorer = DraftScorer(loaded, LABELS, max_draft_tokens=3)
    scorer.probabilities(PROMPTS)
    assert scorer.drafts.is_cut_B.all()  # random weights write no separator
    assert (scorer.drafts.num_tokens_B <= 3).all()


def test_no_prompts_give_no_rows() -> None:
    scorer = DraftScorer(tiny_writer("gpt2"), LABELS, max_draft_tokens=3)
    assert scorer.probabilities([]).shape == (0, 3)
    assert scorer.drafts.texts == ()


def test_a_draft_matters() -> None:
    loaded = tiny_writer("gpt2")
    plain = LabelScorer(loaded, LABELS).probabilities(PROMPTS)
    assert np.abs(DraftScorer(loaded, LABELS, max_draft_tokens=8).probabilities(PROMPTS) - plain).max() > 1e-3


@pytest.mark.parametrize(
    ("keys", "message"), [({"max_draft_tokens": 0}, "max_new_tokens must"), ({"batch_size": 0}, "batch_size must")]
)
def test_impossible_arguments_are_refused(keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        DraftScorer(tiny_writer("gpt2"), LABELS, **{"max_draft_tokens": 4, **keys})
