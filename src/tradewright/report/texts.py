"""``TextContent``: what the report of a language model that is judged by its answers shows."""

from collections.abc import Mapping
from dataclasses import dataclass

from tradewright.evaluate.language import Answered
from tradewright.metrics.figures import describe, show
from tradewright.report.plain_content import PlainContent
from tradewright.report.sections import figures
from tradewright.report.sections.section import Grid, Section

ROWS = (
    "loss",
    "perplexity",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "balanced_accuracy",
    "majority_accuracy",
    "log_loss",
    "calibration_error",
    "parse_rate",
    "written_accuracy",
    "exact_match",
)
MAX_ANSWERS = 20
"""Answers shown; the file beside the report holds all."""
MAX_CHARACTERS = 600


@dataclass(frozen=True, kw_only=True)
class TextContent(PlainContent):
    """What a report of answers shows.

    Args:
        labels: Most frequent of the training set first.
        confusion: Test examples by (right label, most probable label).
        answers: What was written.
        sizes: Examples of training, validation and test.
        confidence: Level of the intervals.
    """

    labels: tuple[str, ...]
    confusion: Mapping[tuple[str, str], int]
    answers: tuple[Answered, ...]
    sizes: tuple[int, int, int]
    confidence: float

    @property
    def rows(self) -> tuple[str, ...]:
        """The usual figures, then the recalls and what the examples' own grader found."""
        named = {key.removeprefix("test/") for key in self.metrics if key.startswith("test/")}
        return (*ROWS, *sorted(named - set(ROWS) - {"num_generated"}))

    @property
    def headline(self) -> str:
        """The result in one sentence, beside what needs no model."""
        test = {key.removeprefix("test/"): value for key, value in self.metrics.items() if key.startswith("test/")}
        if "accuracy" not in test:
            return f"Perplexity {show('perplexity', test['perplexity'])} per token of {self.sizes[2]:,} test answers."
        own, low, high, majority = (
            show(key, test[key]) for key in ("accuracy", "accuracy_low", "accuracy_high", "majority_accuracy")
        )
        says = "more often right than" if test["accuracy_low"] > test["majority_accuracy"] else "not beyond chance of"
        return (
            f"Accuracy {own}, {self.confidence:.0%} interval {low} to {high}: {says} always answering {self.labels[0]}"
            f" ({majority}); balanced accuracy {show('balanced_accuracy', test['balanced_accuracy'])}."
        )

    def sections(self) -> tuple[Section, ...]:
        """Return figures, what was taken for what, learning curves, and the answers."""
        found = (self._figures(), self._confusion(), figures.build_learning(self.curves), self._answers())
        return tuple(section for section in found if section)

    def _figures(self) -> Section:
        train, validation, test = self.sizes
        return Section(
            title="Answers",
            anchor="figures",
            paragraphs=(
                f"{train:,} examples trained the model, {validation:,} chose the checkpoint, {test:,} were judged once."
                " Loss is the mean negative log-likelihood per token of the right answers, in nats, and perplexity its"
                " exponential. Accuracy takes the label that the model finds most probable; majority accuracy is that"
                " of always giving the most frequent label of the training set. An answer that states no label, or"
                " several, cannot be read and counts as wrong.",
            ),
            grids=(Grid(titles=("Figure", "Test", "Validation"), rows=self.summary_rows(), kind="narrow"),),
        )

    def _confusion(self) -> Section | None:
        if not self.confusion:
            return None
        rows = tuple(
            (right, *(str(self.confusion.get((right, taken), 0)) for taken in self.labels)) for right in self.labels
        )
        grid = Grid(titles=("Right answer", *(f"taken for {label}" for label in self.labels)), rows=rows, kind="heat")
        return Section(title="What was taken for what", anchor="confusion", link="Confusion", grids=(grid,))

    def _answers(self) -> Section | None:
        if not self.answers:
            return None
        names = sorted({name for one in self.answers for name in one.grades})
        rows = tuple(
            (
                one.example.id,
                _short(one.example.prompt[-1]["content"]),
                _short(one.example.completion),
                _short(one.text),
                *(show(name, one.grades[name]) if name in one.grades else "" for name in names),
            )
            for one in self.answers[:MAX_ANSWERS]
        )
        titles = ("Id", "Asked", "Right answer", "Written", *(describe(name).label for name in names))
        grid = Grid(titles=titles, rows=rows, kind="stacked", words=(0, 1, 2, 3))
        more = len(self.answers) - len(rows)
        note = f"{more:,} more are in answers.jsonl." if more > 0 else ""
        return Section(
            title="What it wrote", anchor="answers", link="Texts", grids=(grid,), notes=(note,) if note else ()
        )


def _short(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
