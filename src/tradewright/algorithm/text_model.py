"""``TextModel``: a trained language model as judges see it: loss of right answers, probable labels, written texts."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tradewright.algorithm.fine_tuning import FineTuning
from tradewright.examples.example import Example, Messages, Preference
from tradewright.generate.decoding import Decoding
from tradewright.generate.drafted import DraftScorer
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
        max_draft_tokens: Most tokens that are drafted before a label; None: labels are not drafted for.

    Attributes:
        spent: ``tokens_per_decision``, the mean number of tokens written, label included, and with drafts the share
            ``cut_drafts`` that did not come to their label; of the last call of ``probabilities``.
    """

    def __init__(
        self,
        *,
        module: FineTuning,
        decoding: Decoding,
        name: str,
        temperature: float = 1.0,
        max_draft_tokens: int | None = None,
    ) -> None:
        self.module, self.decoding, self.name, self.temperature = module, decoding, name, temperature
        self.max_draft_tokens = max_draft_tokens
        self.spent: dict[str, float] = {}

    def loss(self, examples: Sequence[Example]) -> float:
        """Return the mean negative log-likelihood per target token, nats; NaN without examples."""
        return self.module.mean_nll(examples) if examples else float("nan")

    def probabilities(self, prompts: Sequence[Messages], labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the probability of every label after every prompt, ``[B, L]``."""
        loaded = self.module.loaded
        self.spent = {"tokens_per_decision": 1.0}
        if self.max_draft_tokens is None:
            return LabelScorer(loaded, labels, temperature=self.temperature).probabilities(prompts)
        scorer = DraftScorer(loaded, labels, temperature=self.temperature, max_draft_tokens=self.max_draft_tokens)
        found = scorer.probabilities(prompts)
        if prompts:
            self.spent["tokens_per_decision"] += float(scorer.drafts.num_tokens_B.mean())
            self.spent["cut_drafts"] = float(scorer.drafts.is_cut_B.mean())
        return found

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
