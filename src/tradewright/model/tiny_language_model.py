"""``model=tiny_*``: language models that are built here, from a seed and the texts of the data set.

Wide and shallow: copying from a prompt is what is slow to learn, and 2 layers of 192 learn it faster than 4 of 128.
A built model is a folder like any other and is loaded by the same code. The same texts, settings and seed give the
same folder, byte for byte.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tradewright.errors import DataError
from tradewright.model.language_model import LanguageModel
from tradewright.output import read_json, write_json

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

RECIPE = "tiny.json"
"""What a folder was built from."""


@dataclass(frozen=True, kw_only=True)
class TinyLanguageModel(LanguageModel):
    """A small causal language model built from a configuration.

    Args:
        name: Folder of one that is built already; None: build it.
        architecture: ``qwen2``, ``gpt2``, ``mistral`` or ``llama``.
        layers: Number of decoder layers, >= 1.
        width: Of the hidden states; a multiple of ``2 * heads``.
        heads: Attention heads, >= 1; keys and values have as many.
        feed_forward: Width inside the feed-forward layers, >= 1.
        dropout: Fraction, of the ``gpt2`` architecture; the others have none.
        tokenizer: ``line`` for code and fixed forms, ``phrase`` for prose with figures, ``byte`` for export to GGUF.
        vocabulary: Largest number of tokens, >= 260.

    Raises:
        ValueError: An argument is out of range.
    """

    must_be_built: ClassVar[bool] = True

    architecture: Literal["qwen2", "gpt2", "mistral", "llama"] = "qwen2"
    layers: int = 2
    width: int = 192
    heads: int = 6
    feed_forward: int = 512
    dropout: float = 0.0
    tokenizer: Literal["line", "phrase", "byte"] = "line"
    vocabulary: int = 2048

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        super().__post_init__()
        for key in ("layers", "heads", "feed_forward"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} must be >= 1, was {getattr(self, key)}")
        if self.width < 1 or self.width % (2 * self.heads):
            raise ValueError(f"width must be a multiple of 2 * heads = {2 * self.heads}, was {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be >= 0 and < 1, was {self.dropout}")
        if self.dropout and self.architecture != "gpt2":
            raise ValueError(f"dropout must be 0 for {self.architecture}, which has none, was {self.dropout}")

    def prepare(self, texts: Iterable[str], *, folder: Path, seed: int) -> LanguageModel:
        """Return the model to load, built from the texts unless ``name`` gives one."""
        return self.at(Path(self.name)) if self.name is not None else self.build(texts, folder, seed)

    def build(self, texts: Iterable[str], folder: Path, seed: int) -> LanguageModel:
        """Build the model in a folder, or take the one that is there if it was built from the same.

        Args:
            texts: Prompts and answers for the tokenizer.
            folder: Appears whole or not at all.
            seed: Of the weights.

        Raises:
            DataError: There are no texts, or the folder holds something else.
        """
        from tradewright.model.tokenizer import train_tokenizer

        known = sorted(texts)
        recipe = {"settings": self._settings(), "texts": _digest(known), "seed": seed}
        if folder.exists():
            if not (folder / RECIPE).is_file() or read_json(folder / RECIPE) != recipe:
                raise DataError(f"{folder}: holds something else than this model; delete it or choose another folder")
            return self.at(folder)
        tokenizer = train_tokenizer(known, kind=self.tokenizer, vocabulary=self.vocabulary)
        part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            self._write(part, tokenizer, seed)
            write_json(part / RECIPE, recipe)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return self.at(folder)

    def _settings(self) -> dict[str, Any]:
        own = {field.name for field in fields(self)} - {field.name for field in fields(LanguageModel)}
        return {name: getattr(self, name) for name in ("max_length", *sorted(own))}

    def _write(self, folder: Path, tokenizer: "PreTrainedTokenizerFast", seed: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        from tradewright.model.hub import quiet

        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(seed)
            model = AutoModelForCausalLM.from_config(self.config(tokenizer), dtype=torch.float32)
            model.save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))

    def config(self, tokenizer: "PreTrainedTokenizerFast") -> "PretrainedConfig":
        """Return the configuration of the architecture for a tokenizer."""
        from transformers import GPT2Config, LlamaConfig, MistralConfig, Qwen2Config

        tokens = {
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "tie_word_embeddings": True,
        }
        if self.architecture == "gpt2":
            return GPT2Config(
                n_layer=self.layers,
                n_embd=self.width,
                n_head=self.heads,
                n_inner=self.feed_forward,
                n_positions=self.max_length,
                resid_pdrop=self.dropout,
                embd_pdrop=self.dropout,
                attn_pdrop=self.dropout,
                **tokens,
            )
        kind = {"qwen2": Qwen2Config, "mistral": MistralConfig, "llama": LlamaConfig}[self.architecture]
        return kind(
            num_hidden_layers=self.layers,
            hidden_size=self.width,
            num_attention_heads=self.heads,
            num_key_value_heads=self.heads,
            intermediate_size=self.feed_forward,
            max_position_embeddings=self.max_length,
            **tokens,
        )


def _digest(texts: list[str]) -> str:
    return hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest()
