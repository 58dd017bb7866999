"""What a network says of side, size and return, beside the majority class and the training means."""

from tradewright.evaluate.forecasts import FORECASTS, ForecastJudgement
from tradewright.metrics.figures import describe, show
from tradewright.report.content import ReportContent, figures_under
from tradewright.report.sections.answers import confusion_grid
from tradewright.report.sections.section import Grid, Section

METHOD = (
    "The side is the one that the network finds most probable; majority accuracy is that of always giving the most"
    " frequent side of the training bars. Size and return to come are judged by their mean squared error beside that of"
    " always giving the training mean; skill is 1 less the ratio of the two, so that 0 is no better than the mean. The"
    " last bars of a range, whose return is known only after it, are left out."
)


def build(content: ReportContent) -> Section | None:
    """Return the section of a run whose network was trained on labels, or None for any other."""
    found = content.find(FORECASTS, ForecastJudgement)
    if found is None:
        return None
    columns = [figures_under(found.metrics, prefix) for prefix in ("test/", "validation/")]
    rows = tuple((describe(name).label, *(_shown(name, column[name]) for column in columns)) for name in columns[0])
    titles = ("Figure", *(f"{name.capitalize()}, {num:,} bars" for name, num in found.num_examples.items()))
    metrics = found.metrics
    is_better = metrics["test/side_balanced_accuracy"] > 1 / 3 and (
        metrics["test/side_accuracy"] > metrics["test/side_majority_accuracy"]
    )
    return Section(
        title="Forecasts",
        anchor=FORECASTS,
        findings=(headline(found),),
        tone="good" if is_better else "warning",
        paragraphs=(METHOD,),
        grids=(Grid(titles=titles, rows=rows, kind="narrow"), *confusion_grid(found.confusion)),
        lines=(headline(found),),
    )


def headline(found: ForecastJudgement) -> str:
    """Return the result in one sentence, beside what needs no network."""
    own, majority, balanced = (
        show(name, found.metrics[f"test/{name}"])
        for name in ("side_accuracy", "side_majority_accuracy", "side_balanced_accuracy")
    )
    size, horizon = (show(name, found.metrics[f"test/{name}"]) for name in ("size_skill", "horizon_skill"))
    return (
        f"{found.name} says the right side in {own} of the test bars (always the most frequent one: {majority};"
        f" balanced accuracy {balanced}). Skill beyond the training mean: size {size}, return {horizon}."
    )


def _shown(name: str, value: float) -> str:
    """Show a squared error of fractions, which would round to nothing, with its own digits."""
    return f"{value:.3g}" if "_mse" in name else show(name, value)
