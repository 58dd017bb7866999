"""Tiny language models for tests of generation, backends and serving: built from configurations, read from folders."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch

from tradewright.examples.example import Messages
from tradewright.model.loaded_model import LoadedModel
from tradewright.model.tiny_language_model import TinyLanguageModel

torch.set_num_threads(1)

ARCHITECTURES = ("qwen2", "gpt2", "mistral")
TEXTS = (
    "The relative strength index is 71.2 and the price is above its average of 20 days: SELL half of the position.",
    "The relative strength index is 24.9 and the price is below its average: BUY, the stop is 2 percent below.",
    "Volume is low, volatility is high, the trend is flat: HOLD and wait for the next bar.",
    "price 101.5, volume 2300, volatility 0.02 -> buy or sell? BUY SELL HOLD",
    "Why did it sell yesterday? Because the drawdown reached its limit.",
)


@cache
def tiny_folder(architecture: str = "qwen2", *, max_length: int = 256, kind: str = "byte") -> Path:
    """Return the folder of a model with random weights."""
    folder = Path(mkdtemp(prefix="tiny-")) / architecture
    tiny = TinyLanguageModel(
        architecture=architecture,
        layers=2,
        width=48,
        heads=4,
        feed_forward=64,
        max_length=max_length,
        tokenizer=kind,
        vocabulary=400,
    )
    tiny.build(TEXTS, folder, seed=1)
    return folder


@cache
def tiny_writer(architecture: str = "qwen2", *, max_length: int = 256, sharpness: float = 0.3) -> LoadedModel:
    """Return a model with random weights, loaded as any other.

    Args:
        architecture: One of ``ARCHITECTURES``.
        max_length: Of the context.
        sharpness: Size of the output layer's random weights: tokens differ in probability as those of a trained model.
    """
    from tradewright.model.language_model import LanguageModel

    folder = tiny_folder(architecture, max_length=max_length)
    loaded = LanguageModel(name=str(folder), max_length=max_length).load()
    head = torch.nn.Linear(48, len(loaded.tokenizer), bias=False)
    weight = torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(2)) * sharpness
    head.weight = torch.nn.Parameter(weight)
    loaded.model.set_output_embeddings(head)  # tied to the input, random models only repeat the last token
    return loaded


def ask(text: str, *, system: str | None = None) -> Messages:
    """Return a conversation of one question."""
    question: Messages = ({"role": "user", "content": text},)
    return question if system is None else ({"role": "system", "content": system}, *question)


PROMPTS = tuple(
    ask(text)
    for text in (
        "What is the trend?",
        "price 101.5, volume 2300, volatility 0.02 -> buy or sell?",
        "Why did it sell yesterday, when the average of 20 days was below the price and volatility was high?",
        "RSI?",
        "Is volume low?",
    )
)
