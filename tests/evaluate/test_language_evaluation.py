"""Answers are judged as ten lines of NumPy would: loss, labels beside the majority class, what can be read."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from tradewright.errors import DataError
from tradewright.evaluate.language import LanguageEvaluation, TextBench, label_figures
from tradewright.examples.example import Example, ExampleSets, Messages
from tradewright.examples.find_label import find_label

LABELS = ("HOLD", "BUY", "SELL")


def example(number: int, label: str | None, text: str | None = None) -> Example:
    prompt: Messages = ({"role": "user", "content": f"question {number}"},)
    known = np.datetime64("2024-01-01") + np.timedelta64(number, "D")
    return Example(id=str(number), prompt=prompt, completion=text or str(label), label=label, known_at=known)


def sets(train: Sequence[str], validation: Sequence[str], test: Sequence[str]) -> ExampleSets:
    made, number = [], 0
    for labels in (train, validation, test):
        made.append(tuple(example(number + n, label) for n, label in enumerate(labels)))
        number += len(labels)
    return ExampleSets(train=made[0], validation=made[1], test=made[2], fingerprint="f", name="made")


class Oracle:
    """Knows the answers of some prompts and is unsure of the rest."""

    name = "oracle"

    def __init__(self, answers: dict[str, str], sure: float = 0.8) -> None:
        self.answers, self.sure = answers, sure

    def loss(self, examples: Sequence[Example]) -> float:
        return 0.5 if examples else math.nan

    def probabilities(self, prompts: Sequence[Messages], labels: Sequence[str]) -> np.ndarray:
        found = np.full((len(prompts), len(labels)), (1 - self.sure) / (len(labels) - 1))
        for row, prompt in enumerate(prompts):
            found[row, list(labels).index(self.answers[prompt[0]["content"]])] = self.sure
        return found

    def write(self, prompts: Sequence[Messages], *, seed: int) -> list[str]:
        return [self.answers[prompt[0]["content"]] for prompt in prompts]


def test_a_model_that_knows_all_is_right_and_the_majority_is_shown_beside_it() -> None:
    bench = TextBench(sets(["HOLD", "HOLD", "BUY", "SELL"], ["HOLD", "BUY"], ["HOLD", "BUY", "SELL", "HOLD"]))
    known = {one.prompt[0]["content"]: str(one.label) for one in (*bench.sets.validation, *bench.sets.test)}
    judged = LanguageEvaluation().judge(Oracle(known), bench)
    assert judged.metrics["test/loss"] == 0.5
    assert judged.metrics["test/perplexity"] == math.exp(0.5)
    assert judged.metrics["test/accuracy"] == judged.metrics["test/balanced_accuracy"] == 1.0
    assert judged.metrics["test/majority_accuracy"] == 0.5
    assert judged.metrics["test/parse_rate"] == judged.metrics["test/written_accuracy"] == 1.0
    assert judged.metrics["test/log_loss"] == pytest.approx(-math.log(0.8))
    assert judged.metrics["test/calibration_error"] == pytest.approx(0.2)
    assert judged.metrics["validation/accuracy"] == 1.0
    assert judged.confusion == {("HOLD", "HOLD"): 2, ("BUY", "BUY"): 1, ("SELL", "SELL"): 1}


def test_a_model_that_always_holds_is_as_good_as_the_majority_and_no_better_balanced() -> None:
    bench = TextBench(sets(["HOLD", "HOLD", "BUY", "SELL"], ["HOLD"], ["HOLD"] * 6 + ["BUY"] * 3 + ["SELL"]))
    always = {one.prompt[0]["content"]: "HOLD" for one in (*bench.sets.validation, *bench.sets.test)}
    metrics = LanguageEvaluation().judge(Oracle(always), bench).metrics
    assert metrics["test/accuracy"] == metrics["test/majority_accuracy"] == 0.6
    assert metrics["test/balanced_accuracy"] == pytest.approx(1 / 3)
    assert metrics["test/recall_hold"] == 1.0
    assert metrics["test/recall_buy"] == metrics["test/recall_sell"] == 0.0
    assert metrics["test/accuracy_low"] < 0.6 < metrics["test/accuracy_high"]


def test_an_answer_that_cannot_be_read_counts_as_wrong_and_is_no_hold() -> None:
    bench = TextBench(sets(["HOLD", "BUY"], [], ["HOLD", "HOLD"]))
    known = {one.prompt[0]["content"]: "HOLD" for one in bench.sets.test}

    class Mumbling(Oracle):
        def write(self, prompts: Sequence[Messages], *, seed: int) -> list[str]:
            return ["hmm", "HOLD: nothing happens"]

    metrics = LanguageEvaluation().judge(Mumbling(known), bench).metrics
    assert metrics["test/parse_rate"] == metrics["test/written_accuracy"] == 0.5
    assert metrics["test/exact_match"] == 0.0


def test_figures_agree_with_numpy_on_random_probabilities() -> None:
    rng = np.random.default_rng(3)
    probability_ML = rng.dirichlet(np.ones(3), size=500)
    right_M = rng.integers(0, 3, 500)
    figures = label_figures(LABELS, right_M, probability_ML)
    chosen_M = probability_ML.argmax(axis=1)
    recalls = [np.mean(chosen_M[right_M == label] == label) for label in range(3)]
    assert figures["accuracy"] == pytest.approx(np.mean(chosen_M == right_M))
    assert figures["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert figures["log_loss"] == pytest.approx(-np.mean(np.log(probability_ML[np.arange(500), right_M])))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("BUY", "BUY"),
        ("sell: the price is high.", "SELL"),
        ("I would (buy).", "BUY"),
        ("HOLD rather than BUY", "HOLD"),
        ("either BUY or SELL", None),
        ("buying", None),
        ("", None),
    ],
)
def test_a_label_is_the_first_word_or_the_only_one(text: str, label: str | None) -> None:
    assert find_label(text, LABELS) == label


def test_no_test_example_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="'made' has no test example"):
        LanguageEvaluation().judge(Oracle({}), TextBench(sets(["HOLD"], [], [])))


def test_sets_that_share_an_example_or_overlap_in_time_are_refused() -> None:
    with pytest.raises(DataError, match="id '1' occurs twice"):
        ExampleSets(train=(example(1, "BUY"),), validation=(), test=(example(1, "BUY"),), fingerprint="f", name="x")
    with pytest.raises(DataError, match="train and test overlap in time"):
        ExampleSets(train=(example(5, "BUY"),), validation=(), test=(example(4, "BUY"),), fingerprint="f", name="x")


def test_grades_of_answers_are_averaged_where_they_apply() -> None:
    made = sets(["HOLD", "BUY"], [], ["HOLD", "BUY", "SELL"])

    def grade(one: Example, text: str) -> dict[str, float]:
        return {"faithful": float(text == one.completion) if one.id != "4" else math.nan, "late": math.nan}

    answers = {"question 2": "HOLD", "question 3": "SELL", "question 4": "SELL"}
    metrics = LanguageEvaluation().judge(Oracle(answers), TextBench(made, grade)).metrics
    assert metrics["test/faithful"] == 0.5
    assert math.isnan(metrics["test/late"])
