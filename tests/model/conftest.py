"""Tiny language models, built once for all tests of this folder, and loading without a network."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tradewright.model.language_model import LanguageModel
from tradewright.model.tiny_language_model import TinyLanguageModel

torch.set_num_threads(1)

TEXTS = tuple(
    f"class Strategy{n}(QCAlgorithm):\n    def on_data(self, data):\n\t    x = {n * 37}.5  # buy SPY\n"
    f"BUY AAPL at {n}.25, because RSI(14) is {n % 100} and don't wait\n"
    for n in range(120)
)


@pytest.fixture(scope="session")
def texts() -> tuple[str, ...]:
    """What the tokenizers of the tiny models have read."""
    return TEXTS


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., LanguageModel]:
    """``tiny("gpt2")``: a built model of 2 layers of 64; ``tiny("qwen2", "byte")`` with the other tokenizer."""
    root = tmp_path_factory.mktemp("tiny")

    def build(architecture: str, tokenizer: str = "line") -> LanguageModel:
        node = TinyLanguageModel(
            architecture=architecture,
            tokenizer=tokenizer,
            width=64,
            heads=4,
            feed_forward=128,
            max_length=256,
            vocabulary=400,
        )
        return node.build(TEXTS, Path(root) / f"{architecture}-{tokenizer}", seed=0)

    return build


@pytest.fixture(scope="session")
def ids_of() -> Callable[..., torch.Tensor]:
    """``ids_of(loaded)``: four rows of 16 tokens."""

    def ids(loaded) -> torch.Tensor:
        return torch.tensor([loaded.tokenizer.encode(text)[:16] for text in TEXTS[:4]])

    return ids
