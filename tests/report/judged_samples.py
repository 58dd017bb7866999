"""The content of a judged run, and its sections, charts and tables by name."""

import dataclasses

import evidence_samples as samples
from report_samples import sample_content

from tradewright.report.axes import Chart
from tradewright.report.content import ReportContent
from tradewright.report.sections.gather import gather
from tradewright.report.sections.section import Grid, Section

ANCHORS = {
    "significance": "significance",
    "random_entry": "random-entry",
    "folds": "folds",
    "degenerate": "degenerate",
    "leaks": "leaks",
    "universe": "universe",
}


def judged(**changes: object) -> ReportContent:
    """Return the content of a run that left every kind of evidence; ``changes`` replace or, with None, remove it."""
    content = sample_content()
    evidence = samples.every_kind(content.results, dict(content.metrics)) | changes
    return dataclasses.replace(content, evidence={key: value for key, value in evidence.items() if value is not None})


def section(content: ReportContent, anchor: str) -> Section:
    return next(item for item in gather(content, 200) if item.anchor == anchor)


def chart(content: ReportContent, anchor: str, key: str) -> Chart:
    return next(item for item in section(content, anchor).draw() if item.key == key)


def grid(content: ReportContent, anchor: str, first_title: str) -> Grid:
    return next(item for item in section(content, anchor).grids if item.titles[0] == first_title)


def vertical_lines(item: Chart) -> list[float]:
    return [shape.x0 for shape in item.figure.layout.shapes if shape.x0 == shape.x1 and shape.yref == "y domain"]


def winner(p_value: float = 0.01, deflated: float = 0.97, **changes: object) -> ReportContent:
    """Return a run that earned more than buy-and-hold in every way, with evidence of the given strength."""
    content = sample_content()
    metrics = dict(content.metrics) | {"test/total_return": 3.0, "test/sharpe": 2.5}
    found = samples.significance(content.results, metrics, deflated_sharpe=deflated)
    comparisons = tuple(
        dataclasses.replace(other, p_value=p_value, adjusted_p_value=p_value) for other in found.comparisons
    )
    found = dataclasses.replace(found, comparisons=comparisons)
    return dataclasses.replace(
        content, metrics=metrics, evidence={"significance": dataclasses.replace(found, **changes)}
    )
