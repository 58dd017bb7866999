"""What the figures of ``task=explain`` say is wrong with explanations: named findings with advice."""

from collections.abc import Mapping
from dataclasses import dataclass

LEAST_SPECIFICITY = 3.0
LEAST_ACCURACY = 4.0
LEAST_COVERAGE = 0.7
"""Share of words that the fact check knows, below which it says little about the texts."""


@dataclass(frozen=True, kw_only=True)
class TextFinding:
    """Something that is wrong with the texts: a stable key, what was seen with its numbers, and what to do."""

    name: str
    message: str
    advice: str


def text_findings(figures: Mapping[str, float]) -> list[TextFinding]:
    """Return what is wrong, in a fixed order; empty for good texts.

    Args:
        figures: Of ``explanations.json``, keys ``explain/*``; figures that are absent are not judged.
    """
    found = []
    specificity = figures.get("explain/specificity")
    if specificity is not None and specificity < LEAST_SPECIFICITY:
        found.append(
            TextFinding(
                name="generic_explanations",
                message=f"specificity is {specificity:.2f} of 5: the texts would fit other decisions as well",
                advice="train on more samples and instructions (task.examples.num_samples), edit generic answers"
                " (task.examples.edits), lower the sampling temperature, or keep only texts that pass the fact check",
            )
        )
    accuracy = figures.get("explain/factual_accuracy")
    if accuracy is not None and accuracy < LEAST_ACCURACY:
        found.append(
            TextFinding(
                name="unfaithful_explanations",
                message=f"factual accuracy is {accuracy:.2f} of 5: claims disagree with the facts in the prompt",
                advice="train longer or on more samples, and choose the best of several texts by the fact check",
            )
        )
    coverage = figures.get("explain/coverage")
    if coverage is not None and coverage < LEAST_COVERAGE:
        found.append(
            TextFinding(
                name="unread_explanations",
                message=f"the fact check knows {coverage:.0%} of the words: much of the texts is not checked",
                advice="read a sample by eye (human_scores.csv), and add the missing words to the lexicon",
            )
        )
    return found
