"""``LabelScorer``: how probable each of a few labels is, from forward passes instead of parsed text.

``p(label | prompt) = exp(s_label / T) / sum over labels of exp(s / T)``, where ``s`` is the log-probability of the
label's own tokens. So the result is always one of the labels. What follows a label says nothing about which it is: an
answer may end there or go on with a reason. Only where one label begins another is the end behind it scored too.
Legend: B prompts, L labels, V vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tradewright.errors import ConfigError, RunError
from tradewright.examples.example import Messages
from tradewright.generate.forward import Cached, answering, base_of, pad_left
from tradewright.model.chat import encode_example
from tradewright.model.loaded_model import LoadedModel

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]

LEAST_SHARED = 16
"""Tokens that all prompts of a call must begin with before they are read once for all; fewer do not pay."""


@dataclass(frozen=True)
class Asked:
    """One prompt in tokens, with what the labels have in common, and the other tokens of each label."""

    prompt: list[int]
    labels: tuple[tuple[int, ...], ...]


class LabelScorer:
    """Gives every label its probability.

    Args:
        loaded: Model and tokenizer.
        labels: Possible answers, at least 2, all different.
        temperature: Of the calibration, > 0; 1 leaves the model's own probabilities. See ``metrics.temperature``.
        batch_size: Prompts per forward pass, >= 1.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self, loaded: LoadedModel, labels: Sequence[str], *, temperature: float = 1.0, batch_size: int = 16
    ) -> None:
        if isinstance(labels, str) or len(labels) < 2 or len(set(labels)) < len(labels):
            raise ValueError(f"labels must be at least 2 different texts, was {labels!r}")
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature must be > 0, was {temperature}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, was {batch_size}")
        self.loaded = loaded
        self.labels = tuple(labels)
        self.temperature = temperature
        self.batch_size = batch_size

    def probabilities(self, prompts: Sequence[Messages], begun: Sequence[str] = ()) -> Float:
        """Return the calibrated probability of every label, shape (B, L); rows add up to 1.

        Args:
            prompts: Conversations that end with what is to be answered.
            begun: How each answer begins before its label; empty: with the label.

        Raises:
            ConfigError: Two labels have the same tokens.
            RunError: A prompt with its longest label exceeds the context, or the model's logits are not finite.
        """
        return softmax(self.log_probabilities(prompts, begun) / self.temperature)

    def log_probabilities(self, prompts: Sequence[Messages], begun: Sequence[str] = ()) -> Float:
        """Return the log-probability of every label, in nats, shape (B, L); not normalised over labels.

        Tokens that all labels begin with count as part of the prompt.
        """
        asked = [
            self._encode(prompt, first) for prompt, first in zip(prompts, begun or [""] * len(prompts), strict=True)
        ]
        scores_BL = np.empty((len(asked), len(self.labels)))
        shared = self._shared(asked)
        order = sorted(range(len(asked)), key=lambda place: -len(asked[place].prompt))
        with answering(self.loaded.model):
            beginning = self._read(asked[0].prompt[:shared]) if shared else None
            for start in range(0, len(order), self.batch_size):
                places = order[start : start + self.batch_size]
                scores_BL[places] = self._score([asked[place] for place in places], beginning, shared)
        return scores_BL

    def _encode(self, prompt: Messages, begun: str = "") -> Asked:
        encoded = [encode_example(self.loaded.tokenizer, prompt, begun + label) for label in self.labels]
        longest = max(len(one.ids) for one in encoded)
        if longest > self.loaded.max_length:
            raise RunError(
                f"prompt: {longest} tokens with its label exceed a context of {self.loaded.max_length}; shorten it or"
                " use a model with a longer context"
            )
        answers = [one.ids[:-1] for one in encoded]  # without the end
        if len({tuple(ids) for ids in answers}) < len(answers):
            raise ConfigError(f"labels: {', '.join(self.labels)} are not all different in the model's tokens")
        if any(one is not other and other[: len(one)] == one for one in answers for other in answers):
            answers = [one.ids for one in encoded]
        num_common = _num_common(min(answers), max(answers))
        return Asked(answers[0][:num_common], tuple(tuple(ids[num_common:]) for ids in answers))

    def _shared(self, asked: Sequence[Asked]) -> int:
        """Return how many leading tokens are read once for all prompts; 0 where that does not pay or is not exact.

        Padding then stands between the beginning and the rest, which would take room in a sliding window.
        """
        if len(asked) < 2:
            return 0
        rows = [one.prompt for one in asked]
        least, most = min(rows), max(rows)
        num = min(
            _num_common(least, most), min(map(len, rows)) - 1
        )  # every prompt keeps a token of its own, whose logits are needed
        window = getattr(base_of(self.loaded.model).config, "sliding_window", None)
        longest = max(len(one.prompt) + max(map(len, one.labels)) for one in asked)
        return num if num >= LEAST_SHARED and (window is None or longest <= window) else 0

    def _read(self, ids: Sequence[int]) -> Cached:
        cached = Cached(self.loaded.model, 1)
        cached.extend(*pad_left([ids]))
        return cached

    def _score(self, asked: Sequence[Asked], beginning: Cached | None, shared: int) -> Float:
        if beginning is None:
            cached = Cached(self.loaded.model, len(asked))
        else:
            cached = beginning.copied()
            cached.repeat(len(asked))
        logits_BV = cached.extend(*pad_left([one.prompt[shared:] for one in asked]))[:, -1]
        logs_BV = _log_softmax(logits_BV)
        scores_BL = np.array([[float(logs_BV[row, ids[0]]) for ids in one.labels] for row, one in enumerate(asked)])
        return scores_BL + self._score_rest(asked, cached)

    def _score_rest(self, asked: Sequence[Asked], cached: Cached) -> Float:
        """Return the log-probability of what follows the first token of each label, shape (B, L)."""
        num_labels = len(self.labels)
        rows = [ids for one in asked for ids in one.labels]
        width = max(len(ids) for ids in rows) - 1
        if width == 0:
            return np.zeros((len(asked), num_labels))
        cached.repeat(num_labels)
        ids_BL, mask_BL = (
            torch.zeros(len(rows), width, dtype=torch.long),
            torch.zeros(len(rows), width, dtype=torch.long),
        )
        for row, ids in enumerate(rows):  # padded on the right: what follows a label has no influence on it
            ids_BL[row, : len(ids) - 1] = torch.tensor(ids[:-1], dtype=torch.long)
            mask_BL[row, : len(ids) - 1] = 1
        logs_BLV = _log_softmax(cached.extend(ids_BL, mask_BL, num_logits=width))
        rest = [
            sum(float(logs_BLV[row, place, ids[place + 1]]) for place in range(len(ids) - 1))
            for row, ids in enumerate(rows)
        ]
        return np.array(rest).reshape(len(asked), num_labels)


def _num_common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many leading tokens are the same."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def softmax(scores_BL: Float) -> Float:
    """Return probabilities that are proportional to ``exp(scores)``, along the last axis."""
    shifted_BL = np.exp(scores_BL - scores_BL.max(axis=-1, keepdims=True))
    probabilities_BL: Float = shifted_BL / shifted_BL.sum(axis=-1, keepdims=True)
    return probabilities_BL


def _log_softmax(logits: Tensor) -> Tensor:
    if not bool(torch.isfinite(logits).all()):
        raise RunError("the model's logits are not finite; its weights or its precision are broken")
    return logits.double().log_softmax(dim=-1).cpu()
