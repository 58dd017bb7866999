"""Tokenizers: trained on texts of ours, or read from a model's folder and proven to be the ones of the file.

Three kinds are trained, all byte-level BPE, so that every text has tokens and comes back unchanged:

* ``line`` for code and fixed forms: a piece is a whole line with its indentation and line feed; single digits and
  tickers in capitals stand alone; merges cross spaces. 3-4 times fewer tokens per program than ``byte``.
* ``phrase`` for prose with figures: like ``line``, but only values are taken apart, into up to three digits behind a
  separator; what names them (``RSI(14)``, ``20-day``) joins the words around it. Twice as short as ``line`` there.
* ``byte`` for any text: Qwen2's pieces (words, single digits, runs of punctuation), which llama.cpp knows by name.

A loaded tokenizer is a ``PreTrainedTokenizerFast``: ``AutoTokenizer`` replaces the pieces of a file in a folder of
``model_type: qwen2`` (transformers issues 45488, 45920), after which a model reads other tokens than it learned.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tradewright.errors import ConfigError, DataError
from tradewright.model.chat_templates import CHATML, TEMPLATES, TURNS

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.implementations.base_tokenizer import BaseTokenizer
    from transformers import PreTrainedTokenizerFast

TokenizerKind = Literal["line", "phrase", "byte"]

PAD, BOS, EOS = "<|pad|>", "<|startoftext|>", "<|im_end|>"
SPECIAL = (PAD, BOS, "<|im_start|>", EOS)
NUM_BYTES = 256

QWEN2_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Source: tokenizer.json of Qwen2."""
ALONE = r"\p{Nd}|(?<![A-Za-z0-9_])[A-Z]{1,5}(?![A-Za-z0-9_])"
"""Single digits and words of up to five capitals, which are copied from a prompt rather than learned."""
VALUES = (
    r"(?<=[ +\-]|[ ]\()\p{Nd}{1,4}(?!\p{Nd}*-[a-z])|(?<=\p{Nd})[.,]\p{Nd}{1,3}"
    r"|(?<![A-Za-z0-9_])[A-Z]{1,5}(?![A-Za-z0-9_])"
)
"""Digits behind a space, sign or separator, but not the windows of names, and words of up to five capitals."""

SAMPLES = (
    'class A(QCAlgorithm):\n\tdef initialize(self):\n\t\tself.set_cash(100_000)  # 5 %\n\n        x = [1.5, -20,"SPY"]',
    "  Price 1234.5678 → 世界 é ü 🙂; RSI(14) < 30 && don't BUY\r\n   end  ",
)
"""Tabs, indentation, digits, punctuation, unicode and white space at both ends."""


def train_tokenizer(texts: Iterable[str], *, kind: TokenizerKind, vocabulary: int) -> "PreTrainedTokenizerFast":
    """Train a tokenizer with a ChatML template and distinct padding, begin and end tokens.

    Args:
        texts: What it will read; their order has no influence.
        kind: ``line``, ``phrase`` or ``byte``.
        vocabulary: Largest number of tokens, at least 260 (the bytes and four control tokens).

    Returns:
        The tokenizer; it holds fewer tokens than ``vocabulary`` where the texts have no more pairs.

    Raises:
        ValueError: An argument is out of range.
        DataError: There are no texts.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, trainers
    from transformers import PreTrainedTokenizerFast

    least = NUM_BYTES + len(SPECIAL)
    if vocabulary < least:
        raise ValueError(f"vocabulary must be >= {least}, was {vocabulary}")
    ordered = sorted(texts)
    if not any(ordered):
        raise DataError("texts of the tokenizer: there are none; it needs the training examples")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _pieces(kind)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in SPECIAL],
        initial_alphabet=sorted(_byte_alphabet()),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(ordered, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHATML.jinja
    return fast


def _pieces(kind: TokenizerKind) -> Any:
    from tokenizers import Regex, pre_tokenizers

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if kind == "byte":
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2_PIECES), "isolated"), byte_level])
    if kind in ("line", "phrase"):
        alone = pre_tokenizers.Split(Regex(ALONE if kind == "line" else VALUES), "isolated")
        lines = pre_tokenizers.Split(Regex(r"\n"), "merged_with_previous")
        return pre_tokenizers.Sequence([alone, lines, byte_level])
    raise ValueError(f"kind must be line, phrase or byte, was {kind!r}")


def _byte_alphabet() -> list[str]:
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel.alphabet()


def load_tokenizer(name: str, *, chat_template: str | None = None) -> "PreTrainedTokenizerFast":
    """Read a model's tokenizer and prove that it is the one of its file.

    Its padding token is always another than its end token: where both are one (or padding is missing), ``<|pad|>`` is
    added, else a model never learns to end. A model without a chat template gets ``turns``.

    Args:
        name: Folder, or name on the Hugging Face hub.
        chat_template: Name of one of ours, path of a ``.jinja`` file, or None for the model's own.

    Raises:
        ConfigError: Nothing of that name can be read, or there is no such template.
        DataError: The tokenizer differs from its file, loses text or has no end token.
    """
    tokenizer, raw = _read(name)
    require_faithful(tokenizer, name, raw)
    if tokenizer.eos_token_id is None:
        raise DataError(f"{name}: its tokenizer has no end token (eos_token); a model cannot learn to end without one")
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id):
        tokenizer.add_special_tokens({"pad_token": PAD})
    _set_template(tokenizer, name, chat_template)
    tokenizer.padding_side = "right"
    return tokenizer


def _read(name: str) -> "tuple[PreTrainedTokenizerFast, Tokenizer | BaseTokenizer]":
    """Return the tokenizer as transformers reads it, and as the tokenizers library reads the same files."""
    from tokenizers import ByteLevelBPETokenizer, Tokenizer
    from transformers import GPT2Tokenizer, PreTrainedTokenizerFast

    from tradewright.model.hub import file_of, reading

    with reading(name, "tokenizer"):
        file = file_of(name, "tokenizer.json")
        if file is not None:
            return PreTrainedTokenizerFast.from_pretrained(name), Tokenizer.from_file(str(file))
        # older models of the GPT-2 family, such as DialoGPT, have their tokens and merges in two files
        vocabulary, merges = file_of(name, "vocab.json"), file_of(name, "merges.txt")
        if vocabulary is None or merges is None:
            raise OSError("there is neither tokenizer.json nor vocab.json with merges.txt")
        return GPT2Tokenizer.from_pretrained(name), ByteLevelBPETokenizer.from_file(str(vocabulary), str(merges))


def require_faithful(tokenizer: "PreTrainedTokenizerFast", name: str, raw: "Tokenizer | BaseTokenizer") -> None:
    """Refuse a tokenizer that differs from its file or loses text.

    Args:
        tokenizer: As transformers has read it.
        name: Of the model, for errors.
        raw: As the tokenizers library has read it.

    Raises:
        DataError: Ids differ, or a sample does not come back unchanged.
    """
    for sample in SAMPLES:
        ids = list(tokenizer.encode(sample, add_special_tokens=False))
        if ids != raw.encode(sample, add_special_tokens=False).ids:
            raise DataError(
                f"{name}: transformers reads its tokenizer differently from the tokenizers library"
                f" ({len(ids)} tokens for a sample, not those of the file); the model would see other tokens than it"
                " learned. Use another version of transformers or save the tokenizer again"
            )
        if tokenizer.decode(ids, clean_up_tokenization_spaces=False) != sample:
            raise DataError(
                f"{name}: its tokenizer does not give a text with tabs, unicode and digits back unchanged; such a model"
                " cannot write code or figures. Use a byte-level tokenizer or one with byte fallback"
            )


def _set_template(tokenizer: "PreTrainedTokenizerFast", name: str, chosen: str | None) -> None:
    if chosen is None:
        if not tokenizer.chat_template:
            tokenizer.chat_template = TURNS.jinja
        return
    template = TEMPLATES.get(chosen)
    if template is None:
        path = Path(chosen)
        if not path.is_file():
            known = ", ".join(TEMPLATES)
            raise ConfigError(
                f"model.chat_template: {chosen!r} is neither one of {known} nor a file; null leaves the model's own"
            )
        tokenizer.chat_template = path.read_text(encoding="utf-8")
        return
    vocabulary = tokenizer.get_vocab()
    absent = [token for token in template.tokens if token not in vocabulary]
    if absent:
        raise ConfigError(
            f"model.chat_template: {chosen} needs the tokens {' and '.join(absent)}, which {name} does not have; use"
            " turns or mistral, whose marks are ordinary text"
        )
    tokenizer.chat_template = template.jinja
