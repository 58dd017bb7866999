"""``TextLearner``: a language model under training, and what is judged of it: its answers, or its positions."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import numpy.typing as npt
import torch
from omegaconf import DictConfig

from tradewright.algorithm.fine_tuning import FineTuning
from tradewright.algorithm.sft_data import SFTDataModule
from tradewright.algorithm.text_model import TextModel
from tradewright.config.build import build
from tradewright.evaluate.changed_answers import START
from tradewright.evaluate.evidence import Leaks
from tradewright.evaluate.language import ANSWERS, Answered, LanguageEvaluation, TextBench, label_figures
from tradewright.examples.example import Example, ExampleSets, Preference
from tradewright.examples.shuffle import shuffled
from tradewright.examples.source import ExampleSource, Market
from tradewright.examples.swap_drafts import Distilled, SwapDrafts
from tradewright.metrics.temperature import fit_temperature
from tradewright.model.loaded_model import LoadedModel, describe_share
from tradewright.target.labels import ACTIONS
from tradewright.task.context import BaseContext, Context
from tradewright.task.drafts import distilled_sets
from tradewright.task.language_model import BASE, language_model, save_temperature, save_trained
from tradewright.task.texts import TextContext

log = logging.getLogger(__name__)

TOLD = ("accuracy", "balanced_accuracy", "log_loss")
"""Figures of the labels that are validated every epoch where positions are judged, beside those of the backtest."""
NUM_WRITTEN = 50
"""Test prompts that are answered in full where positions are judged."""


class TextLearner:
    """A ``Learner``, see there.

    Args:
        context: The run or fold.
    """

    module: FineTuning

    def __init__(self, context: BaseContext) -> None:
        self.context = context
        cfg = context.cfg
        self.source, self.sets, self.distilled = read_sets(context)
        loaded = load_model(cfg, self.sets, directory=context.directory)
        log.info("%s", describe_share(loaded.facts))
        self.module = build(
            cfg.algorithm,
            key="algorithm",
            loaded=loaded,
            sets=self.sets,
            seed=cfg.seed,
            validate=self._validated,
        )
        self._start = self._start_answers()

    def _start_answers(self) -> tuple[Answered, ...]:
        """Return what the model answers to test prompts before a preference training, also where that is resumed."""
        context = self.context
        if not self.module.learns_from_pairs or not isinstance(context, TextContext):
            return ()
        log.info("asking the model as it is for the answers that the trained one is compared with")
        return context.evaluation.answers(self._judged(self.module), context.bench)

    def data(self) -> lightning.LightningDataModule:
        """Return the windows of examples."""
        return SFTDataModule(self.module)

    def strategy(self) -> Any:
        """Return the model, as it is now, as what is judged; positions follow from calibrated probabilities."""
        judged = self._judged(self.module)
        if isinstance(self.context, TextContext):
            return judged
        temperature = self._temperature()
        log.info("probabilities are calibrated by the temperature %.3g, found on the validation examples", temperature)
        return judged.calibrated(temperature)

    def conclude(self) -> dict[str, object]:
        """Keep the trained model as a folder; return how it answers where positions are judged too."""
        if self.context.fit:
            return {}
        save_trained(self.module.loaded, self.context.directory)
        if isinstance(self.context, TextContext):
            return {START: self._start} if self._start else {}
        evaluation = LanguageEvaluation(num_generated=NUM_WRITTEN, seed=self.context.cfg.seed)
        temperature = self._temperature()
        save_temperature(self.context.directory, temperature, num_examples=len(self._labelled))
        model = self._model(self.module, temperature=temperature)
        assert self.source is not None
        judgement = evaluation.judge(model, TextBench(self.sets, self.source.grade))
        figures = {f"test/{name}": value for name, value in model.spent.items()}
        if self.distilled is None:
            return {ANSWERS: replace(judgement, metrics={**judgement.metrics, **figures})}
        figures |= {f"train/{name}": value for name, value in self.distilled.figures.items()}
        metrics = {**judgement.metrics, **figures}
        return {ANSWERS: replace(judgement, metrics=metrics, notes=(f"{self.distilled.summary}.",))}

    def _validated(self, module: FineTuning) -> dict[str, float]:
        """Return the figures of the validation range; where positions are judged, how well labels are told too."""
        figures = self.context.validate(self._judged(module))
        if isinstance(self.context, TextContext) or not self._labelled:
            return figures
        told = label_figures(ACTIONS, self._right_B, self._label_probabilities(module))
        return {**figures, **{name: told[name] for name in TOLD}}

    def _judged(self, module: FineTuning) -> Any:
        model = self._model(module)
        if isinstance(self.context, TextContext):
            return model
        scorer = partial(model.probabilities, labels=ACTIONS)
        return build(self.context.cfg.strategy, key="strategy", scorer=scorer, name=self.name)

    def _model(self, module: FineTuning, temperature: float = 1.0) -> TextModel:
        decoding = build(self.context.cfg.generate, key="generate")
        return TextModel(
            module=module,
            decoding=decoding,
            name=self.name,
            temperature=temperature,
            max_draft_tokens=self.source.max_draft_tokens if isinstance(self.source, SwapDrafts) else None,
        )

    @cached_property
    def _labelled(self) -> list[Example]:
        return [one for one in self.sets.validation if one.label is not None]

    def _temperature(self) -> float:
        """Return the temperature that fits the labels of the validation examples best."""
        if not self._labelled:
            return 1.0
        return fit_temperature(self._label_probabilities(self.module), self._right_B)

    @property
    def _right_B(self) -> npt.NDArray[np.int64]:
        return np.array([ACTIONS.index(str(one.label)) for one in self._labelled], dtype=np.int64)

    def _label_probabilities(self, module: FineTuning) -> npt.NDArray[np.float64]:
        """Return the probabilities of ``ACTIONS`` for the labelled validation examples, not calibrated."""
        return self._model(module).probabilities([one.prompt for one in self._labelled], ACTIONS)

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


def read_sets(context: BaseContext) -> tuple[ExampleSource | None, ExampleSets, Distilled | None]:
    """Return the source and the examples of a run, on a market those of its ranges, and what a teacher drafted.

    Where the control is fitted, answers change places, so that prompts tell nothing.
    """
    if isinstance(context, TextContext):
        return None, context.bench.sets, None
    assert isinstance(context, Context)
    source: ExampleSource = build(context.cfg.examples, key="examples")
    sets, distilled = source.read(Market(context.bench.panel, context.bench.ranges)), None
    if isinstance(source, SwapDrafts):
        sets, distilled = distilled_sets(context, source, sets)
    return source, shuffled(sets, seed=context.cfg.seed) if context.is_shuffled else sets, distilled


def load_model(cfg: DictConfig, sets: ExampleSets, *, directory: Path) -> LoadedModel:
    """Load the language model that a configuration names, for training.

    Args:
        cfg: The configuration.
        sets: Training texts make the tokenizer of an embedded model.
        directory: Run directory, where an embedded model is kept.
    """
    spec = language_model(cfg)
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
    rejected = (example.rejected,) if isinstance(example, Preference) else ()
    return (*(message["content"] for message in example.prompt), example.completion, *rejected)
