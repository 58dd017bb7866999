"""``TextLearner``: a language model under training, and what is judged of it: its answers, or the positions it takes."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from omegaconf import DictConfig

from tradewright.algorithm.sft import SFT
from tradewright.algorithm.sft_data import SFTDataModule
from tradewright.algorithm.text_model import TextModel
from tradewright.config.build import build
from tradewright.evaluate.evidence import Leaks
from tradewright.examples.example import Example, ExampleSets
from tradewright.examples.source import ExampleSource, Market
from tradewright.model.language_model import LanguageModel
from tradewright.model.loaded_model import LoadedModel, describe_share
from tradewright.target.labels import ACTIONS
from tradewright.task.context import BaseContext, Context
from tradewright.task.texts import TextContext

log = logging.getLogger(__name__)

BASE = "base"
"""Folder in the run directory of a model that was built for it; others are named by ``model.name``."""


class TextLearner:
    """A ``Learner``, see there.

    Args:
        context: The run or fold.
    """

    module: SFT

    def __init__(self, context: BaseContext) -> None:
        self.context = context
        cfg = context.cfg
        self.sets = read_sets(context)
        loaded = load_model(cfg, self.sets, directory=context.directory)
        log.info("%s", describe_share(loaded.facts))
        self.module = build(
            cfg.algorithm,
            key="algorithm",
            loaded=loaded,
            sets=self.sets,
            seed=cfg.seed,
            validate=lambda module: context.validate(self._judged(module)),
        )

    def data(self) -> lightning.LightningDataModule:
        """Return the windows of examples."""
        return SFTDataModule(self.module)

    def strategy(self) -> Any:
        """Return the model, as it is now, as what is judged."""
        return self._judged(self.module)

    def _judged(self, module: SFT) -> Any:
        cfg = self.context.cfg
        model = TextModel(module=module, decoding=build(cfg.generate, key="generate"), name=self.name)
        if isinstance(self.context, TextContext):
            return model
        return build(cfg.strategy, key="strategy", scorer=partial(model.probabilities, labels=ACTIONS), name=self.name)

    @property
    def name(self) -> str:
        """Option of the model, for tables."""
        return self.context.origin.choices.get("model", "language_model")

    def leak_check(self) -> Callable[..., Leaks] | None:
        """Return the check of features and ranges on a market; of examples alone, time order is checked when read."""
        context = self.context
        if not isinstance(context, Context):
            return None
        from tradewright.evaluate.leak_run import check_features_and_ranges

        feature_set = build(context.cfg.features, key="features")
        embargo_bars = 0 if context.fit else int(context.cfg.data.split.embargo_bars)
        return partial(check_features_and_ranges, context.bench, feature_set, embargo_bars=embargo_bars)


def read_sets(context: BaseContext) -> ExampleSets:
    """Return the examples of a run, on a market those of its ranges."""
    if isinstance(context, TextContext):
        return context.bench.sets
    assert isinstance(context, Context)
    source: ExampleSource = build(context.cfg.examples, key="examples")
    return source.read(Market(context.bench.panel, context.bench.ranges))


def load_model(cfg: DictConfig, sets: ExampleSets, *, directory: Path) -> LoadedModel:
    """Load the language model that a configuration names, for training.

    Args:
        cfg: The configuration.
        sets: Training texts make the tokenizer of an embedded model.
        directory: Run directory, where an embedded model is kept.
    """
    spec: LanguageModel = build(cfg.model, key="model")
    texts = [text for one in sets.train for text in _texts(one)]
    spec = spec.prepare(texts, folder=directory / BASE, seed=cfg.seed)
    return spec.load(
        lora=build(cfg.lora, key="lora"),
        quant=build(cfg.quant, key="quant"),
        device=device_of(cfg),
        seed=cfg.seed,
        for_training=True,
    )


def device_of(cfg: DictConfig) -> str:
    """Return the device on which weights are read: quantised ones cannot move afterwards."""
    wants_gpu = str(cfg.trainer.accelerator) in ("gpu", "cuda", "auto")
    return "cuda" if wants_gpu and torch.cuda.is_available() else "cpu"


def _texts(example: Example) -> tuple[str, ...]:
    return (*(message["content"] for message in example.prompt), example.completion)
