"""``TextContent``: what the report of a language model that is judged by its answers shows."""

from collections.abc import Mapping
from dataclasses import dataclass

from tradewright.evaluate.changed_answers import Change
from tradewright.evaluate.language import Answered
from tradewright.report.plain_content import PlainContent
from tradewright.report.sections import answer_changes, answers, figures
from tradewright.report.sections.section import Section


@dataclass(frozen=True, kw_only=True)
class TextContent(PlainContent):
    """What a report of answers shows.

    Args:
        confusion: Test examples by (right label, most probable label).
        answers: What was written.
        sizes: Examples of training, validation and test.
        changes: What a preference training changed in what the model writes.
    """

    confusion: Mapping[tuple[str, str], int]
    answers: tuple[Answered, ...]
    sizes: tuple[int, int, int]
    changes: tuple[Change, ...] = ()

    @property
    def rows(self) -> tuple[str, ...]:
        """The usual figures, then the recalls and what the examples' own grader found."""
        return answers.row_names(self.metrics)

    @property
    def headline(self) -> str:
        """The result in one sentence, beside what needs no model."""
        return " ".join((answers.headline(self.metrics), *answer_changes.headline(self.changes)))

    def sections(self) -> tuple[Section, ...]:
        """Return figures, what was taken for what, learning curves, and the answers."""
        train, validation, test = self.sizes
        sizes = f"{train:,} examples trained the model, {validation:,} chose the checkpoint, {test:,} were judged once."
        summary = Section(
            title="Answers",
            anchor="figures",
            paragraphs=(sizes, answers.METHOD),
            grids=(
                answers.figures_grid(self.summary_rows()),
                *answers.confusion_grid(self.confusion),
            ),
        )
        written = Section(
            title="What it wrote", anchor="answers", link="Texts", grids=answers.answers_grid(self.answers)
        )
        changed = answer_changes.build(self.changes)
        found = (summary, changed, figures.build_learning(self.curves), written if self.answers else None)
        return tuple(section for section in found if section)
