"""How a language model answers: figures beside the majority class, what was taken for what, and what it wrote."""

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
    "parse_rate",
    "written_accuracy",
    "exact_match",
)
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
    )
    return Section(
        title="Answers",
        anchor=ANSWERS,
        findings=(headline(found.metrics), *found.notes),
        tone="good" if is_beyond_majority(found.metrics) else "warning",
        paragraphs=(METHOD,),
        grids=(
            Grid(titles=("Figure", "Test", "Validation"), rows=rows, kind="narrow"),
            *confusion_grid(found.confusion),
            *answers_grid(found.answers),
        ),
        lines=(headline(found.metrics), *found.notes),
    )


def row_names(metrics: Mapping[str, float]) -> tuple[str, ...]:
    """Return the figures in reading order: the usual ones, then recalls and what graders found."""
    named = {key.removeprefix("test/") for key in metrics if key.startswith("test/")}
    return (*ROWS, *sorted(named - set(ROWS) - {"num_generated"}))


def is_beyond_majority(metrics: Mapping[str, float]) -> bool:
    """Whether the lower bound of the accuracy lies above what needs no model."""
    return metrics.get("test/accuracy_low", 0.0) > metrics.get("test/majority_accuracy", 1.0)


def headline(metrics: Mapping[str, float]) -> str:
    """Return the result in one sentence, beside what needs no model."""
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
    names = sorted({name for one in answers for name in one.grades})
    rows = tuple(
        (
            one.example.id,
            _short(one.example.prompt[-1]["content"]),
            _short(one.expected),
            _short(one.text),
            *(show(name, one.grades[name]) if name in one.grades else "" for name in names),
        )
        for one in answers[:MAX_ANSWERS]
    )
    titles = ("Id", "Asked", "Right answer", "Written", *(describe(name).label for name in names))
    caption = f"What it wrote, {len(rows)} of {len(answers)} prompts"
    return (Grid(titles=titles, rows=rows, kind="stacked", words=(0, 1, 2, 3), caption=caption),)


def _short(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
