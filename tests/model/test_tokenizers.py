"""Tokenizers: pieces of both kinds, lossless round trips, the guard against other ids, padding apart from the end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import ByteLevelBPETokenizer, Tokenizer
from transformers import AutoTokenizer

from tradewright.errors import ConfigError, DataError
from tradewright.model.chat import encode_example
from tradewright.model.gguf_vocabulary import pieces_name
from tradewright.model.language_model import LanguageModel
from tradewright.model.tokenizer import SAMPLES, load_tokenizer, require_faithful, train_tokenizer


@pytest.fixture(scope="module")
def trained(texts: tuple[str, ...]):
    return {kind: train_tokenizer(texts, kind=kind, vocabulary=600) for kind in ("line", "phrase", "byte")}


@settings(max_examples=150, deadline=None)
@given(text=st.text(), kind=st.sampled_from(["line", "phrase", "byte"]))
def test_any_text_comes_back_unchanged(trained, text: str, kind: str) -> None:
    tokenizer = trained[kind]
    ids = tokenizer.encode(text, add_special_tokens=False)
    specials = set(tokenizer.all_special_tokens) | {"<|im_start|>"}
    if not any(token in text for token in specials):
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_line_tokens_hold_whole_lines_with_indentation_and_spaces(trained) -> None:
    tokens = trained["line"].backend_tokenizer.encode("    def on_data(self, data):\n", add_special_tokens=False).tokens
    assert tokens == ["ĠĠĠĠdefĠon_data(self,Ġdata):Ċ"]


def test_line_pieces_leave_digits_and_tickers_alone(trained) -> None:
    for text, alone in (("x = 120\n", ["1", "2", "0"]), ("buy AAPL or SPY\n", ["AAPL", "SPY"])):
        pieces = [piece for piece, _ in trained["line"].backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)]
        assert [piece for piece in pieces if piece in alone] == alone
    pieces = [p for p, _ in trained["line"].backend_tokenizer.pre_tokenizer.pre_tokenize_str("QCAlgorithm RSI_14")]
    assert pieces[0] == "QCAlgorithmĠRSI_"  # parts of names are not tickers


def test_phrase_pieces_take_values_apart_and_leave_names_whole(trained) -> None:
    text = "RSI(14): 55.3, neutral; 20-day average: 6,807.20 (close -1.05% below) on 2017-12-04\n"
    pieces = [p for p, _ in trained["phrase"].backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    values = ["55", ".3", "6", ",807", ".20", "1", ".05", "2017", "12", "04"]
    assert [piece for piece in pieces if piece in values] == values
    assert "(14):Ġ" in pieces
    assert ",Ġneutral;Ġ20-dayĠaverage:Ġ" in pieces


def test_line_tokens_shorten_code(trained, texts: tuple[str, ...]) -> None:
    length = {kind: sum(len(trained[kind].encode(text)) for text in texts) for kind in trained}
    assert length["line"] < 0.75 * length["byte"]


def test_training_does_not_depend_on_the_order_of_texts(texts: tuple[str, ...]) -> None:
    first, second = (train_tokenizer(order, kind="line", vocabulary=400) for order in (texts, texts[::-1]))
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()


@pytest.mark.parametrize("kind", ["line", "byte"])
def test_control_tokens_are_distinct(trained, kind: str) -> None:
    tokenizer = trained[kind]
    assert len({tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}) == 3


def test_bad_arguments_are_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="vocabulary must be >= 260, was 100"):
        train_tokenizer(texts, kind="line", vocabulary=100)
    with pytest.raises(ValueError, match="kind must be line, phrase or byte, was 'word'"):
        train_tokenizer(texts, kind="word", vocabulary=300)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="there are none"):
        train_tokenizer([], kind="line", vocabulary=300)


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2", "mistral", "llama"])
@pytest.mark.parametrize("kind", ["line", "byte"])
def test_loaded_tokenizer_gives_the_ids_of_its_file(
    tiny: Callable[..., LanguageModel], architecture: str, kind: str
) -> None:
    name = tiny(architecture, kind).name
    assert name is not None
    loaded = load_tokenizer(name)
    raw = Tokenizer.from_file(str(Path(name) / "tokenizer.json"))
    for sample in SAMPLES:
        ids = loaded.encode(sample, add_special_tokens=False)
        assert ids == raw.encode(sample, add_special_tokens=False).ids
        assert loaded.decode(ids, clean_up_tokenization_spaces=False) == sample


def test_guard_catches_the_tokenizer_that_transformers_would_choose(tiny: Callable[..., LanguageModel]) -> None:
    """``AutoTokenizer`` replaces the pieces of a ``qwen2`` folder: the reason for the guard."""
    name = tiny("qwen2", "line").name
    assert name is not None
    replaced = AutoTokenizer.from_pretrained(name)
    with pytest.raises(DataError, match="reads its tokenizer differently") as raised:
        require_faithful(replaced, name, Tokenizer.from_file(str(Path(name) / "tokenizer.json")))
    assert "\n" not in str(raised.value)


def test_guard_catches_a_tokenizer_that_loses_text(tiny: Callable[..., LanguageModel], tmp_path: Path) -> None:
    folder = _copy(tiny("gpt2").name, tmp_path)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["normalizer"] = {"type": "Lowercase"}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="does not give a text with tabs, unicode and digits back unchanged"):
        load_tokenizer(str(folder))


@pytest.mark.parametrize("pad", [None, "<|im_end|>"])
def test_missing_padding_or_one_that_is_the_end_gets_a_token_of_its_own(
    tiny: Callable[..., LanguageModel], tmp_path: Path, pad: str | None
) -> None:
    folder = _copy(tiny("gpt2").name, tmp_path)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] != "<|pad|>"]
    content["model"]["vocab"] = {
        ("unused" if text == "<|pad|>" else text): n for text, n in content["model"]["vocab"].items()
    }
    (folder / "tokenizer.json").write_text(json.dumps(content))
    settings.pop("pad_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | ({"pad_token": pad} if pad else {})))
    tokenizer = load_tokenizer(str(folder))
    assert tokenizer.pad_token == "<|pad|>"
    assert tokenizer.pad_token_id == len(tokenizer) - 1 != tokenizer.eos_token_id


def test_tokenizer_in_two_files_like_dialogpt_is_read(texts: tuple[str, ...], tmp_path: Path) -> None:
    raw = ByteLevelBPETokenizer()
    raw.train_from_iterator(texts, vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False)
    raw.save_model(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 1024}))
    tokenizer = load_tokenizer(str(tmp_path))
    assert (tokenizer.eos_token, tokenizer.pad_token, len(tokenizer)) == ("<|endoftext|>", "<|pad|>", 401)
    for sample in SAMPLES:
        assert tokenizer.encode(sample, add_special_tokens=False) == raw.encode(sample).ids
    encoded = encode_example(tokenizer, ({"role": "user", "content": "BUY or SELL?"},), "BUY")
    assert tokenizer.decode(encoded.ids) == "BUY or SELL?<|endoftext|>BUY<|endoftext|>"
    assert pieces_name(json.loads(tokenizer.backend_tokenizer.to_str()), "dialogpt") == "gpt-2"
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(ConfigError, match=r"neither tokenizer\.json nor vocab\.json with merges\.txt"):
        load_tokenizer(str(tmp_path))


def test_missing_end_token_is_refused(tiny: Callable[..., LanguageModel], tmp_path: Path) -> None:
    folder = _copy(tiny("gpt2").name, tmp_path)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("eos_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(DataError, match="has no end token"):
        load_tokenizer(str(folder))


def test_model_without_template_gets_turns_and_others_by_name_or_file(
    tiny: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    folder = _copy(tiny("gpt2").name, tmp_path)
    (folder / "chat_template.jinja").unlink()
    question = [{"role": "user", "content": "hi"}]
    assert load_tokenizer(str(folder)).apply_chat_template(question, tokenize=False) == "hi<|im_end|>"
    named = load_tokenizer(str(folder), chat_template="mistral")
    assert named.apply_chat_template(question, tokenize=False) == "<|startoftext|>[INST] hi [/INST]"
    file = tmp_path / "mine.jinja"
    file.write_text("Q: {{ messages[0].content }}")
    assert load_tokenizer(str(folder), chat_template=str(file)).apply_chat_template(question, tokenize=False) == "Q: hi"
    with pytest.raises(ConfigError, match=r"^model.chat_template: 'alpaca' is neither one of chatml, turns"):
        load_tokenizer(str(folder), chat_template="alpaca")
    with pytest.raises(ConfigError, match=r"^model.chat_template: deepseek needs the tokens"):
        load_tokenizer(str(folder), chat_template="deepseek")


def _copy(name: str | None, tmp_path: Path) -> Path:
    import shutil

    assert name is not None
    return Path(shutil.copytree(name, tmp_path / "model"))
