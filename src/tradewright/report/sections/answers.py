"""How a language model answers: figures beside the majority class, what was taken for what, and what it wrote."""

import math
from collections.abc import Mapping, Sequence

from tradewright.evaluate.language import ANSWERS, Answered, TextJudgement
from tradewright.metrics.figures import describe, show
from tradewright.report.content import ReportContent, figures_under
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
)
"""What needs no text: likelihood and labels."""
WRITTEN = (
    "parse_rate",
    "written_accuracy",
    "exact_match",
    "faithful",
    "faithful_low",
    "faithful_high",
    "claim_precision",
)
"""What is found in written answers, before whatever else the examples' own grader says of them."""
MAX_ANSWERS = 20
"""Answers shown; a run that is judged by them keeps all in a file."""
MAX_CHARACTERS = 600
METHOD = (
    "Loss is the mean negative log-likelihood per token of the right answers, in nats, and perplexity its exponential."
    " Accuracy takes the label that the model finds most probable; majority accuracy is that of always giving the most"
    " frequent label of the training set. An answer that states no label, or several, cannot be read and counts as"
    " wrong."
)


def build(content: ReportContent) -> Section | None:
    """Return the section of a run whose words are traded, or None for any other."""
    found = content.find(ANSWERS, TextJudgement)
    if found is None:
        return None
    names = row_names(found.metrics)
    columns = [figures_under(found.metrics, prefix) for prefix in ("test/", "validation/")]
    rows = tuple(
        (describe(name).label, *(show(name, column[name]) if name in column else "" for column in columns))
        for name in names
        if any(name in column for column in columns)
    )
    return Section(
        title="Answers",
        anchor=ANSWERS,
        findings=(headline(found.metrics), *found.notes),
        tone="good" if is_beyond_majority(found.metrics) else "warning",
        paragraphs=(METHOD,),
        grids=(
            figures_grid(rows),
            *confusion_grid(found.confusion),
            *answers_grid(found.answers),
        ),
        lines=(headline(found.metrics), *found.notes),
    )


def row_names(metrics: Mapping[str, float]) -> tuple[str, ...]:
    """Return the figures in reading order: the usual ones and recalls, then those of written answers."""
    named = {key.removeprefix("test/") for key in metrics if key.startswith("test/")}
    recalls = sorted(name for name in named if name.startswith("recall_"))
    return (*ROWS, *recalls, *WRITTEN, *sorted(named - {*ROWS, *recalls, *WRITTEN, "num_generated"}))


def figures_grid(rows: Sequence[tuple[str, ...]]) -> Grid:
    """Return the table of figures, those of written answers under a heading of their own.

    Args:
        rows: Label, test and validation value, in the order of :func:`row_names`.
    """
    labels = {describe(name).label for name in ROWS}
    last = max((place for place, row in enumerate(rows) if row[0] in labels or row[0].startswith("Recall")), default=-1)
    groups = {0: "Right answers"} if last >= 0 else {}
    groups |= {last + 1: "Written answers"} if last + 1 < len(rows) else {}
    return Grid(titles=("Figure", "Test", "Validation"), rows=tuple(rows), groups=groups, kind="narrow")


def is_beyond_majority(metrics: Mapping[str, float]) -> bool:
    """Whether the lower bound of the accuracy lies above what needs no model."""
    return metrics.get("test/accuracy_low", 0.0) > metrics.get("test/majority_accuracy", 1.0)


def headline(metrics: Mapping[str, float]) -> str:
    """Return the result in one sentence, beside what needs no model."""
    if "test/faithful" in metrics:
        names = ("faithful", "faithful_low", "faithful_high", "claim_precision")
        faithful, low, high, claims = (show(name, metrics.get(f"test/{name}", math.nan)) for name in names)
        told = (
            f"Wholly faithful by the fact check: {faithful} of what it wrote ({low} to {high}); true claims: {claims}. "
        )
        return told + _labelled(metrics)
    return _labelled(metrics)


def _labelled(metrics: Mapping[str, float]) -> str:
    if "test/accuracy" not in metrics:
        return f"Perplexity {show('perplexity', metrics['test/perplexity'])} per token of the test answers."
    own, low, high, majority, balanced = (
        show(name, metrics[f"test/{name}"])
        for name in ("accuracy", "accuracy_low", "accuracy_high", "majority_accuracy", "balanced_accuracy")
    )
    says = "more often right than" if is_beyond_majority(metrics) else "not beyond chance of"
    return (
        f"Its answers are right in {own} ({low} to {high}), {says} always giving the most frequent answer"
        f" ({majority}); balanced accuracy {balanced}."
    )


def confusion_grid(confusion: Mapping[tuple[str, str], int]) -> tuple[Grid, ...]:
    """Return the table of what was taken for what, if there is any."""
    labels = sorted({label for pair in confusion for label in pair})
    if not labels:
        return ()
    rows = tuple((right, *(str(confusion.get((right, taken), 0)) for taken in labels)) for right in labels)
    titles = ("Right answer", *(f"taken for {label}" for label in labels))
    return (Grid(titles=titles, rows=rows, kind="heat", caption="What was taken for what, test examples"),)


def answers_grid(answers: Sequence[Answered]) -> tuple[Grid, ...]:
    """Return the table of written answers, if there are any."""
    if not answers:
        return ()
    has_grades = any(one.grades for one in answers)
    rows = tuple(
        (
            one.example.id,
            _short(one.example.prompt[-1]["content"]),
            _short(one.expected),
            _short(one.text),
            *(
                ("\n".join(f"{describe(name).label}: {show(name, one.grades[name])}" for name in one.grades),)
                * has_grades
            ),
        )
        for one in answers[:MAX_ANSWERS]
    )
    titles = ("Id", "Asked", "Right answer", "Written", *(("Graded",) * has_grades))
    caption = f"What it wrote, {len(rows)} of {len(answers)} prompts"
    return (Grid(titles=titles, rows=rows, kind="texts", words=tuple(range(len(titles))), caption=caption),)


def _graded(one: Answered) -> str:
    return "\n".join(f"{describe(name).label}: {show(name, value)}" for name, value in one.grades.items())


def _short(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
