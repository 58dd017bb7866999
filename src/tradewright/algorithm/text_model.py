"""``TextModel``: a trained language model as judges see it: loss of right answers, probable labels, written texts."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tradewright.algorithm.fine_tuning import FineTuning
from tradewright.examples.example import Example, Messages, Preference
from tradewright.generate.decoding import Decoding
from tradewright.generate.labels import LabelScorer
from tradewright.generate.writer import Writer
from tradewright.generate.written import Written


class TextModel:
    """What ``evaluate.language.Answerer`` asks for.

    Args:
        module: The training module; its weights are used as they are when a method is called.
        decoding: How answers are drawn.
        name: Name in tables.
        temperature: What probabilities of labels are calibrated with, > 0; 1: as the model gives them.
    """

    def __init__(self, *, module: FineTuning, decoding: Decoding, name: str, temperature: float = 1.0) -> None:
        self.module, self.decoding, self.name, self.temperature = module, decoding, name, temperature

    def loss(self, examples: Sequence[Example]) -> float:
        """Return the mean negative log-likelihood per target token, nats; NaN without examples."""
        return self.module.mean_nll(examples) if examples else float("nan")

    def probabilities(self, prompts: Sequence[Messages], labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the probability of every label after every prompt, ``[B, L]``."""
        return LabelScorer(self.module.loaded, labels, temperature=self.temperature).probabilities(prompts)

    def margins(self, pairs: Sequence[Preference]) -> npt.NDArray[np.float64]:
        """Return by how much the implicit reward of the chosen answer is the higher one, ``[P]``.

        Empty where the model was not trained to prefer anything.
        """
        return self.module.margins(pairs)

    def written(self, prompts: Sequence[Messages], *, seed: int) -> list[Written]:
        """Return one answer per prompt with how it ended."""
        return Writer(self.module.loaded, self.decoding).write(prompts, seed=seed)

    def write(self, prompts: Sequence[Messages], *, seed: int) -> list[str]:
        """Return the text of one answer per prompt."""
        return [one.text for one in self.written(prompts, seed=seed)]
