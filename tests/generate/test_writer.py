"""Writing: batches equal single prompts, streams equal texts, seeds decide, and transformers agrees where it can."""

import itertools

import pytest
import torch
from torch import Tensor

from tiny_writers import ARCHITECTURES, PROMPTS, ask, tiny_writer
from tradewright.errors import ConfigError, RunError
from tradewright.examples.example import Messages
from tradewright.generate.decoding import Decoding
from tradewright.generate.pieces import Pieces
from tradewright.generate.writer import Writer
from tradewright.model.chat import decode, encode_example, encode_prompt
from tradewright.model.loaded_model import LoadedModel

GREEDY = Decoding(temperature=0.0, repetition_penalty=1.0, max_new_tokens=12)
SAMPLED = Decoding(max_new_tokens=12, seed=11)


@pytest.fixture(params=ARCHITECTURES)
def loaded(request) -> LoadedModel:
    return tiny_writer(request.param)


@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED, SAMPLED.changed(top_k=20, top_p=0.9, num_candidates=3)])
def test_batch_equals_prompts_one_by_one(loaded, decoding):
    together = Writer(loaded, decoding, batch_size=4).write(PROMPTS)
    alone = [Writer(loaded, decoding, batch_size=1).write([prompt])[0] for prompt in reversed(PROMPTS)][::-1]
    assert [one.ids for one in together] == [one.ids for one in alone]
    assert [one.text for one in together] == [one.text for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-3)
    assert len({one.text for one in together}) > 2


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_text_equals_that_of_transformers(loaded, penalty):
    decoding = GREEDY.changed(repetition_penalty=penalty)
    for prompt, ours in zip(PROMPTS, Writer(loaded, decoding).write(PROMPTS), strict=True):
        ids_BL = torch.tensor([encode_prompt(loaded.tokenizer, prompt)])
        theirs = loaded.model.generate(
            ids_BL,
            attention_mask=torch.ones_like(ids_BL),
            do_sample=False,
            max_new_tokens=12,
            repetition_penalty=penalty,
            pad_token_id=loaded.tokenizer.pad_token_id,
        )[0, ids_BL.shape[1] :]
        assert list(ours.ids) == theirs.tolist()


@pytest.mark.row("L20")
def test_prompt_is_the_one_of_training_and_reads_so():
    """The tokens that reach the model when it writes begin those of the training example; their text is fixed."""
    loaded, seen = tiny_writer(), []

    def note(module: object, arguments: object, options: dict) -> None:
        seen.append(options["input_ids"][0].tolist())

    prompt = ask("Is volume low?", system="Write LEAN code.")
    hook = loaded.model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        Writer(loaded, GREEDY).write([prompt])
    finally:
        hook.remove()
    example = encode_example(loaded.tokenizer, prompt, "HOLD")
    assert seen[0] == example.ids[: example.num_prompt]
    assert loaded.tokenizer.decode(seen[0], skip_special_tokens=False) == (
        "<|im_start|>system\nWrite LEAN code.<|im_end|>\n"
        "<|im_start|>user\nIs volume low?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_log_probability_is_that_of_one_forward_pass(loaded):
    (written,) = Writer(loaded, SAMPLED).write([PROMPTS[0]])
    prompt = encode_prompt(loaded.tokenizer, PROMPTS[0])
    with torch.no_grad():
        logits_LV = loaded.model(torch.tensor([[*prompt, *written.ids]])).logits[0]
    logs_LV = logits_LV.double().log_softmax(-1)[len(prompt) - 1 : -1]
    expected = sum(float(logs_LV[place, token]) for place, token in enumerate(written.ids))
    assert written.log_probability == pytest.approx(expected, abs=1e-3)
    assert (written.num_tokens, written.num_prompt_tokens) == (len(written.ids), len(prompt))


@pytest.mark.row("L21")
def test_temperature_zero_is_deterministic_whatever_the_seed(loaded):
    first = Writer(loaded, GREEDY).write(PROMPTS, seed=1)
    assert first == Writer(loaded, GREEDY).write(PROMPTS, seed=2)


def test_seed_decides_what_is_drawn(loaded):
    writer = Writer(loaded, SAMPLED)
    assert writer.write(PROMPTS, seed=1) == writer.write(PROMPTS, seed=1)
    assert writer.write(PROMPTS, seed=1) != writer.write(PROMPTS, seed=2)
    assert writer.write(PROMPTS) == writer.write(PROMPTS, seed=SAMPLED.seed)


@pytest.mark.row("L23")
def test_penalty_lowers_the_share_of_repeated_tokens(loaded):
    def repeated(penalty: float) -> int:
        decoding = GREEDY.changed(repetition_penalty=penalty, max_new_tokens=30)
        written = Writer(loaded, decoding).write(PROMPTS)
        return sum(len(one.ids) - len(set(one.ids)) for one in written)

    assert repeated(2.0) < repeated(1.0)


@pytest.mark.row("L22")
@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED.changed(max_new_tokens=30), SAMPLED.changed(stop=("e", "on"))])
def test_joined_stream_is_the_text_and_begins_before_its_end(loaded, decoding):
    for prompt in PROMPTS[:3]:
        writer = Writer(loaded, decoding)
        stream = writer.stream(prompt)
        first = next(stream, "")
        is_written = stream.written is not None
        text = first + "".join(stream)
        (whole,) = writer.write([prompt])
        assert text == whole.text
        assert stream.written == whole
        assert not is_written or whole.num_tokens == 1 or not whole.text or decoding.stop


@pytest.mark.row("L22")
def test_first_piece_comes_after_few_of_many_steps():
    loaded = tiny_writer()
    num_calls = 0

    def count(*_: object) -> None:
        nonlocal num_calls
        num_calls += 1

    hook = loaded.model.register_forward_hook(count)
    try:
        stream = Writer(loaded, SAMPLED.changed(max_new_tokens=60)).stream(PROMPTS[1])
        next(stream)
        at_first = num_calls
        list(stream)
    finally:
        hook.remove()
    assert at_first <= 8
    assert num_calls > 4 * at_first


def test_abandoned_stream_leaves_the_model_as_it_was():
    loaded = tiny_writer()
    loaded.model.train()
    try:
        stream = Writer(loaded, SAMPLED).stream(PROMPTS[1])
        next(stream)
        assert not loaded.model.training
        assert torch.is_grad_enabled()
        stream.close()
        assert loaded.model.training
    finally:
        loaded.model.eval()


def test_stop_text_ends_the_answer_and_is_not_part_of_it(loaded):
    (whole,) = Writer(loaded, SAMPLED).write([PROMPTS[0]])
    stop = whole.text[5:7]
    (cut,) = Writer(loaded, SAMPLED.changed(stop=[stop])).write([PROMPTS[0]])
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish == "stop"
    assert cut.num_tokens < whole.num_tokens


def test_answer_ends_with_the_end_token_or_is_cut_off(loaded):
    """A head that prefers the end token ends at once; otherwise the limit cuts."""
    (cut,) = Writer(loaded, GREEDY).write([PROMPTS[0]])
    assert (cut.finish, cut.num_tokens) == ("length", 12)

    def prefer_end(module: object, inputs: object, output: object) -> object:
        output.logits[..., loaded.tokenizer.eos_token_id] += 1e6
        return output

    hook = loaded.model.register_forward_hook(prefer_end)
    try:
        (ended,) = Writer(loaded, GREEDY).write([PROMPTS[0]])
    finally:
        hook.remove()
    assert (ended.text, ended.finish, ended.num_tokens) == ("", "stop", 1)


class Fixed:
    """Allows one sequence of tokens."""

    def __init__(self, tokens: list[int]) -> None:
        self.left = list(tokens)

    def forbid(self, logits_V: Tensor) -> None:
        kept = logits_V[self.left[0]].clone()
        logits_V.fill_(-torch.inf)
        logits_V[self.left[0]] = kept

    def accept(self, token: int) -> None:
        assert token == self.left.pop(0)


def test_rows_that_end_early_leave_the_others_as_they_are(loaded):
    """Answers of 1 to 5 tokens beside each other: every row stays with its own cache."""
    end = loaded.tokenizer.eos_token_id
    wanted = [[*range(300, 300 + num), end] for num in range(5)]
    lists = iter(wanted)
    written = Writer(loaded, SAMPLED, batch_size=8).write(PROMPTS, constraint=lambda: Fixed(next(lists)))
    for prompt, one, tokens in zip(PROMPTS, written, wanted, strict=True):
        assert list(one.ids) == tokens
        ids = encode_prompt(loaded.tokenizer, prompt)
        with torch.no_grad():
            logs_LV = loaded.model(torch.tensor([[*ids, *tokens]])).logits[0].double().log_softmax(-1)
        expected = sum(float(logs_LV[len(ids) - 1 + place, token]) for place, token in enumerate(tokens))
        assert one.log_probability == pytest.approx(expected, abs=1e-3)


def test_verifier_chooses_the_best_candidate():
    loaded = tiny_writer()
    decoding = SAMPLED.changed(num_candidates=6, temperature=1.5)
    ranked = Writer(loaded, decoding, verifier=lambda text: float(text.count("e"))).write(PROMPTS)
    for group, best in zip(Writer(loaded, decoding).candidates(PROMPTS), ranked, strict=True):
        assert len({one.text for one in group}) == 6
        assert best == max(group, key=lambda one: one.text.count("e"))


def test_without_a_verifier_the_most_probable_candidate_per_token_is_kept():
    writer = Writer(tiny_writer(), SAMPLED.changed(num_candidates=4))
    (group,), (best,) = writer.candidates(PROMPTS[:1]), writer.write(PROMPTS[:1])
    assert best == max(group, key=lambda one: one.log_probability / one.num_tokens)


def test_verifier_without_a_number_is_an_error():
    writer = Writer(tiny_writer(), SAMPLED.changed(num_candidates=2), verifier=lambda text: float("nan"))
    with pytest.raises(RunError, match="verifier gave no number"):
        writer.write(PROMPTS[:1])


def test_prompt_that_fills_the_context_is_refused_with_the_numbers(loaded):
    with pytest.raises(RunError, match=r"^prompt: \d{3,} tokens leave no room for an answer in a context of 256"):
        Writer(loaded, SAMPLED).write([ask("price 101.5, " * 100)])


def test_answer_ends_where_the_context_does(loaded):
    prompt: Messages = ask("the price " * 60)
    (written,) = Writer(loaded, GREEDY.changed(max_new_tokens=500)).write([prompt])
    num_prompt = len(encode_prompt(loaded.tokenizer, prompt))
    assert num_prompt < 256
    assert (written.num_tokens, written.finish) == (256 - num_prompt, "length")


def test_several_candidates_cannot_be_streamed():
    with pytest.raises(ConfigError, match=r"^generate\.num_candidates must be 1 to stream, was 2"):
        Writer(tiny_writer(), SAMPLED.changed(num_candidates=2)).stream(PROMPTS[0])


def test_broken_weights_are_an_error_and_no_text():
    loaded = tiny_writer("qwen2", sharpness=float("nan"))
    with pytest.raises(RunError, match="logits are not finite"):
        Writer(loaded, GREEDY).write([PROMPTS[0]])


@pytest.mark.parametrize("text", ["a🙂b", "🙂🙂", "é→x", "plain", "", "\ufffd", "end🙂"])
def test_pieces_of_bytes_join_to_the_text(text):
    data = text.encode()
    pieces = Pieces()
    shown = [pieces.next(data[:num].decode(errors="replace"), is_final=False) for num in range(len(data))]
    shown.append(pieces.next(text, is_final=True))
    assert "".join(shown) == text


@pytest.mark.parametrize("stops", list(itertools.permutations(["ab", "abc", "\n\n", "x"], 2)))
def test_pieces_hold_back_what_may_become_a_stop_text(stops):
    text = "aab\nc\n\nabcx"
    ends = [text.index(stop) for stop in stops if stop in text]
    final = text[: min(ends, default=None)]
    pieces, joined = Pieces(stops), ""
    for num in range(1, len(text) + 1):
        cut = [part for part in [text[:num].find(stop) for stop in stops] if part >= 0]
        if cut:
            joined += pieces.next(text[: min(cut)], is_final=True)
            break
        joined += pieces.next(text[:num], is_final=False)
    assert joined == final


def test_decode_of_the_written_tokens_is_the_text(loaded):
    for one in Writer(loaded, SAMPLED).write(PROMPTS):
        assert one.text == decode(loaded.tokenizer, list(one.ids))
