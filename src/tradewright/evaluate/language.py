"""``evaluate=language``: a language model judged by its answers, beside what needs no model.

Three views on the same examples: how probable the right answers are (loss per token, perplexity), which label the model
finds most probable (accuracy beside always giving the most frequent label of the training set), and what it writes when
asked (how many answers can be read at all, how many are right, and what the examples' own grader says of them).
An answer that cannot be read counts as wrong; it is never turned into a default.
Legend: M examples, L labels.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from tradewright.errors import DataError
from tradewright.evaluate.intervals import mean_interval, require_resampling
from tradewright.examples.example import Example, ExampleSets, Messages, Preference
from tradewright.examples.find_label import find_label
from tradewright.metrics.calibration import calibrate

if TYPE_CHECKING:
    from tradewright.evaluate.changed_answers import Change

ANSWERS = "answers"
"""Kind of the evidence that a judgement of answers is where positions are judged too."""
FAITHFUL = "faithful"
"""Grade of an answer all of whose claims are true, 0 or 1; its mean has an interval."""
Float = npt.NDArray[np.float64]
Grade = Callable[[Example, str], Mapping[str, float]]
"""Figures of one written answer, each averaged over all; NaN where one does not apply."""
Render = Callable[[Example, str], str]
"""A written answer as people read it."""
Read = Callable[[Example, str, Sequence[str]], str | None]
"""The one of the labels that a written answer states; None: none can be read."""


class Answerer(Protocol):
    """A language model that can be judged."""

    name: str

    def loss(self, examples: Sequence[Example]) -> float:
        """Return the mean negative log-likelihood of all tokens of the answers, nats; NaN without examples."""
        ...

    def probabilities(self, prompts: Sequence[Messages], labels: Sequence[str]) -> Float:
        """Return the probability of every label after every prompt, ``[M, L]``, rows add up to 1."""
        ...

    def write(self, prompts: Sequence[Messages], *, seed: int) -> list[str]:
        """Return one answer per prompt."""
        ...

    def margins(self, pairs: Sequence[Preference]) -> Float:
        """Return by how much the reward of the chosen answer is the higher one, ``[M]``; empty without rewards."""
        ...


@dataclass(frozen=True)
class TextBench:
    """What a language model is judged on.

    Args:
        sets: The examples.
        grade: Grades a written answer; None: the examples bring no grader.
        render: Gives an answer as people read it; None: as it is.
        read: Reads the label of an answer; None: its first word, or the only label that it holds.
    """

    sets: ExampleSets
    grade: Grade | None = None
    render: Render | None = None
    read: Read | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label, the most frequent of the training answers first; a label that only occurs later comes last."""
        counts = Counter(one.label for one in self.sets.train if one.label is not None)
        every = {one.label for one in (*self.sets.validation, *self.sets.test) if one.label is not None} | set(counts)
        return tuple(sorted(every, key=lambda label: (-counts[label], label)))


@dataclass(frozen=True)
class Answered:
    """One test prompt and what the model wrote.

    Args:
        example: With the answer it should get.
        drawn: What the model wrote.
        grades: By name.
        text: The same as people read it.
        expected: The right answer as people read it.
    """

    example: Example
    drawn: str
    grades: Mapping[str, float]
    text: str
    expected: str


@dataclass(frozen=True)
class TextJudgement:
    """All figures and the answers behind them."""

    name: str
    metrics: dict[str, float]
    answers: tuple[Answered, ...]
    confusion: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Test examples by (right label, most probable label)."""
    changes: "tuple[Change, ...]" = ()
    """What a training that began with a trained model changed in what it writes."""
    notes: tuple[str, ...] = ()
    """Sentences that the report must show beside them."""


class LanguageEvaluation:
    """Judges answers.

    Args:
        num_generated: Test prompts that are answered in full, >= 0; chosen at random where there are more.
        num_resamples: Of the bootstrap, >= 100.
        confidence: Of the intervals, in (0.5, 1).
        seed: Of the chosen prompts, the sampling and the bootstrap, >= 0.

    Raises:
        ValueError: An argument is out of range.
    """

    judges: ClassVar[str] = "text"

    def __init__(
        self, *, num_generated: int = 50, num_resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> None:
        if num_generated < 0:
            raise ValueError(f"num_generated must be >= 0, was {num_generated}")
        require_resampling(num_resamples, confidence, seed)
        self.num_generated, self.num_resamples = num_generated, num_resamples
        self.confidence, self.seed = confidence, seed

    def validate(self, model: Answerer, bench: TextBench) -> dict[str, float]:
        """Return the figures of the validation examples, without prefix, but for the loss, which training knows."""
        outcome = _labelled(model, bench, bench.sets.validation)
        return {} if outcome is None else outcome.figures

    def judge(self, model: Answerer, bench: TextBench) -> TextJudgement:
        """Judge the test examples.

        Raises:
            DataError: There is no test example.
        """
        if not bench.sets.test:
            raise DataError(f"examples: '{bench.sets.name}' has no test example to judge by; lower its other shares")
        chosen_by = {**_likelihood(model, bench.sets.validation), **self.validate(model, bench)}
        figures = _likelihood(model, bench.sets.test)
        outcome = _labelled(model, bench, bench.sets.test)
        if outcome is not None:
            interval = mean_interval(outcome.is_right_M, self.num_resamples, self.confidence, self.seed)
            figures |= {**outcome.figures, "accuracy_low": interval.low, "accuracy_high": interval.high}
        figures |= self._preferred(model, bench)
        answers = self.answers(model, bench)
        figures |= _written(bench, answers) if answers else {}
        faithful = np.array([one.grades[FAITHFUL] for one in answers if FAITHFUL in one.grades])
        if len(faithful):
            interval = mean_interval(faithful, self.num_resamples, self.confidence, self.seed)
            figures |= {f"{FAITHFUL}_low": interval.low, f"{FAITHFUL}_high": interval.high}
        metrics = {f"validation/{name}": value for name, value in chosen_by.items()}
        metrics |= {f"test/{name}": value for name, value in figures.items()}
        return TextJudgement(model.name, metrics, answers, outcome.confusion if outcome else {})

    def _preferred(self, model: Answerer, bench: TextBench) -> dict[str, float]:
        """Return how many pairs of the test set a model that was trained to prefer gets right."""
        pairs = [one for one in bench.sets.test if isinstance(one, Preference)]
        margin_M = model.margins(pairs) if pairs else np.empty(0)
        if not len(margin_M):
            return {}
        interval = mean_interval((margin_M > 0).astype(np.float64), self.num_resamples, self.confidence, self.seed)
        return {
            "preference_accuracy": interval.value,
            "preference_accuracy_low": interval.low,
            "preference_accuracy_high": interval.high,
        }

    def answers(self, model: Answerer, bench: TextBench) -> tuple[Answered, ...]:
        """Let the model write, for some of the test prompts: the same ones whoever is asked."""
        examples = bench.sets.test
        if self.num_generated < len(examples):
            chosen = np.random.default_rng(self.seed).permutation(len(examples))[: self.num_generated]
            examples = tuple(examples[place] for place in sorted(chosen))
        texts = model.write([one.prompt for one in examples], seed=self.seed) if examples else []
        grade, render = bench.grade or _no_grades, bench.render or _as_it_is
        return tuple(
            Answered(one, drawn, dict(grade(one, drawn)), render(one, drawn), render(one, one.completion))
            for one, drawn in zip(examples, texts, strict=True)
        )


@dataclass(frozen=True)
class _Outcome:
    figures: dict[str, float]
    is_right_M: Float
    confusion: dict[tuple[str, str], int]


def _no_grades(example: Example, text: str) -> Mapping[str, float]:
    return {}


def _as_it_is(example: Example, text: str) -> str:
    return text


def _likelihood(model: Answerer, examples: Sequence[Example]) -> dict[str, float]:
    loss = model.loss(examples)
    return {"loss": loss, "perplexity": math.exp(loss)}


def _labelled(model: Answerer, bench: TextBench, examples: Sequence[Example]) -> _Outcome | None:
    """Return what the labels of examples show; None where there are none to tell apart."""
    labels, labelled = bench.labels, [one for one in examples if one.label is not None]
    if len(labels) < 2 or not labelled:
        return None
    probability_ML = model.probabilities([one.prompt for one in labelled], labels)
    right_M = np.array([labels.index(str(one.label)) for one in labelled])
    chosen_M = probability_ML.argmax(axis=1)
    pairs = Counter((labels[right], labels[chosen]) for right, chosen in zip(right_M, chosen_M, strict=True))
    figures = label_figures(labels, right_M, probability_ML)
    return _Outcome(figures, (chosen_M == right_M).astype(np.float64), dict(pairs))


def label_figures(labels: Sequence[str], right_M: npt.NDArray[np.int64], probability_ML: Float) -> dict[str, float]:
    """Return how well probabilities tell labels.

    Args:
        labels: Most frequent of the training set first, which is what the majority baseline always says.
        right_M: Place of the right label.
        probability_ML: Of every label, rows add up to 1.

    Returns:
        ``accuracy``; ``balanced_accuracy``, the mean recall over the labels that occur; ``majority_accuracy`` of the
        baseline; ``log_loss`` in nats; ``calibration_error``; ``recall_<label>``, NaN where a label does not occur.
    """
    chosen_M = probability_ML.argmax(axis=1)
    is_right_M = chosen_M == right_M
    recalls = {
        label: float(is_right_M[right_M == place].mean()) if (right_M == place).any() else math.nan
        for place, label in enumerate(labels)
    }
    of_right_M = probability_ML[np.arange(len(right_M)), right_M]
    with np.errstate(divide="ignore"):
        log_loss = float(-np.log(of_right_M).mean())
    confidence_M = np.minimum(probability_ML.max(axis=1), 1.0)  # a sum of exponentials may round up
    return {
        "accuracy": float(is_right_M.mean()),
        "balanced_accuracy": float(np.nanmean(list(recalls.values()))),
        "majority_accuracy": float((right_M == 0).mean()),
        "log_loss": log_loss,
        "calibration_error": calibrate(confidence_M, is_right_M).error,
        **{f"recall_{label.lower()}": value for label, value in recalls.items()},
    }


def _written(bench: TextBench, answers: Sequence[Answered]) -> dict[str, float]:
    """Return figures of the answers that were written."""
    figures: dict[str, float] = {"num_generated": float(len(answers))}
    figures["exact_match"] = float(np.mean([one.text.strip() == one.expected.strip() for one in answers]))
    labels = bench.labels
    labelled = [one for one in answers if one.example.label is not None]
    if len(labels) > 1 and labelled:
        find = bench.read or (lambda example, text, labels: find_label(text, labels))
        read = [find(one.example, one.text, labels) for one in labelled]
        figures["parse_rate"] = float(np.mean([label is not None for label in read]))
        right = [label == one.example.label for label, one in zip(read, labelled, strict=True)]
        figures["written_accuracy"] = float(np.mean(right))
    for name in sorted({name for one in answers for name in one.grades}):
        values = np.array([one.grades.get(name, math.nan) for one in answers])
        figures[name] = float(np.nanmean(values)) if np.isfinite(values).any() else math.nan
    return figures
