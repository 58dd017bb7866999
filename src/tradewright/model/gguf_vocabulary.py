"""The tokenizer's part of a GGUF file: tokens, their kinds, merges, and the name of its pieces.

llama.cpp knows how texts are cut into pieces by a fixed list of names, so a tokenizer with other pieces (``line``)
cannot be exported: the program would read other tokens than the model learned.
"""

import json
from typing import TYPE_CHECKING, Any

from tradewright.errors import ConfigError
from tradewright.model.tokenizer import QWEN2_PIECES

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from transformers import PreTrainedTokenizerFast

LLAMA3_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
"""Source: tokenizer.json of Llama 3."""
PIECES = {QWEN2_PIECES: "qwen2", LLAMA3_PIECES: "llama-bpe"}
"""Pattern -> llama.cpp's name. Source: llama.cpp, src/llama-vocab.cpp."""
GPT2_PIECES = "gpt-2"
NOT_EXPORTABLE = (
    "its tokenizer cuts texts in a way that llama.cpp has no name for, so it would read other tokens than the model"
    " learned; build the model with model.tokenizer=byte, or export as safetensors"
)


def add_vocabulary(writer: "GGUFWriter", tokenizer: "PreTrainedTokenizerFast", *, num_rows: int, name: str) -> None:
    """Write the tokenizer.

    Args:
        writer: Of the file.
        tokenizer: The model's.
        num_rows: Rows of its embedding, at least as many as tokens.
        name: Of the model, for errors.

    Raises:
        ConfigError: llama.cpp has no such tokenizer.
    """
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    model = content["model"]
    is_sentencepiece = model["type"] == "BPE" and bool(model.get("byte_fallback"))
    if is_sentencepiece:
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
    else:
        writer.add_tokenizer_pre(pieces_name(content, name))
        writer.add_tokenizer_model("gpt2")
        writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]])
    tokens, kinds = _tokens(content, num_rows, is_sentencepiece=is_sentencepiece)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    if is_sentencepiece:
        writer.add_token_scores([-float(number) for number in range(num_rows)])  # joins are made in this order
        writer.add_add_space_prefix(_has_space_prefix(content))
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_add_bos_token(_starts_with_bos(tokenizer))
    writer.add_add_eos_token(False)
    if isinstance(tokenizer.chat_template, str):
        writer.add_chat_template(tokenizer.chat_template)


def pieces_name(content: dict[str, Any], name: str) -> str:
    """Return llama.cpp's name of a byte-level tokenizer's pieces.

    Args:
        content: The tokenizer, as its JSON file has it.
        name: Of the model, for errors.

    Raises:
        ConfigError: It has none.
    """
    steps = content.get("pre_tokenizer") or {}
    steps = steps.get("pretokenizers", [steps])
    patterns = [step["pattern"].get("Regex") for step in steps if step.get("type") == "Split"]
    levels = [step for step in steps if step.get("type") == "ByteLevel"]
    is_known_shape = content["model"]["type"] == "BPE" and len(levels) == 1 and len(steps) == len(patterns) + 1
    if is_known_shape and not levels[0].get("add_prefix_space"):
        if len(patterns) == 1 and patterns[0] in PIECES and not levels[0].get("use_regex"):
            return PIECES[patterns[0]]
        if not patterns and levels[0].get("use_regex", True):
            return GPT2_PIECES
    raise ConfigError(f"{name}: cannot be written as GGUF: {NOT_EXPORTABLE}")


def _tokens(content: dict[str, Any], num_rows: int, *, is_sentencepiece: bool) -> tuple[list[bytes], list[int]]:
    """Return the text and the kind of every row; rows without a token are named and marked unused."""
    from gguf import TokenType

    tokens = [f"[PAD{number}]" for number in range(num_rows)]
    kinds = [int(TokenType.UNUSED)] * num_rows
    for text, number in content["model"]["vocab"].items():
        tokens[number], kinds[number] = text, int(TokenType.NORMAL)
        if is_sentencepiece and len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            kinds[number] = int(TokenType.BYTE)
    for added in content["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = int(TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED)
    unknown = content["model"].get("unk_token")
    if unknown is not None and is_sentencepiece:
        kinds[tokens.index(unknown)] = int(TokenType.UNKNOWN)
    return [token.encode() for token in tokens], kinds


def _has_space_prefix(content: dict[str, Any]) -> bool:
    """Return whether a SentencePiece-like tokenizer puts a space before the text."""
    steps = content.get("normalizer") or {}
    steps = steps.get("normalizers", [steps])
    return any(step.get("type") == "Prepend" for step in steps)


def _starts_with_bos(tokenizer: "PreTrainedTokenizerFast") -> bool:
    """Return whether the chat template writes BOS; llama.cpp then adds it, and drops the template's."""
    if tokenizer.bos_token is None:
        return False
    text = tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
    return isinstance(text, str) and text.startswith(tokenizer.bos_token)
