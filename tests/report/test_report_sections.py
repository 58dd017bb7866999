"""The sections of evidence: when they are there, and that no format says more than the evidence."""

import dataclasses
import json
import re
from pathlib import Path

import evidence_samples as samples
import pytest
from judged_samples import ANCHORS, judged
from report_samples import sample_results
from test_report_pages import Page, edge_cases, page_of

from tradewright.evaluate.evidence import Degenerate, Leaks
from tradewright.report.axes import Chart, blank, fill_rows
from tradewright.report.content import ReportContent
from tradewright.report.html import HtmlReport
from tradewright.report.markdown import MarkdownReport
from tradewright.report.sections.gather import gather
from tradewright.report.terminal import write_summary


def test_page_has_every_section_and_every_link_and_chart_its_target(page: Page) -> None:
    assert set(ANCHORS.values()) <= set(page.ids)
    assert {target.removeprefix("#") for target in page.targets} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    figures = json.loads(page.figures, parse_constant=pytest.fail)
    assert set(figures) == {name.removeprefix("plot-") for name in page.ids if name.startswith("plot-")}
    assert "nan" not in page.words.lower().split()


@pytest.mark.parametrize("key", list(ANCHORS))
def test_section_without_its_evidence_is_left_out(key: str) -> None:
    without = judged(**{key: None})
    assert {item.anchor for item in gather(without, 5)} >= set(ANCHORS.values()) - {ANCHORS[key]}
    assert ANCHORS[key] not in {item.anchor for item in gather(without, 5)}


def test_every_chart_says_in_one_line_what_it_shows(content: ReportContent) -> None:
    for item in gather(content, 5):
        for drawn in item.draw():
            assert drawn.title
            assert drawn.description.endswith(".") or item.anchor == "learning", drawn.key


def test_every_table_row_has_as_many_cells_as_titles(content: ReportContent) -> None:
    for item in gather(content, 5):
        for table in item.grids:
            assert {len(row) for row in table.rows} <= {len(table.titles)}, table.caption
            assert all(row < len(table.rows) and column < len(table.titles) for row, column in table.classes)


def test_markdown_has_every_finding_and_tables_of_equal_width(content: ReportContent) -> None:
    text = MarkdownReport(max_trades=3).render(content)
    for item in gather(content, 3):
        assert all(f"> **{finding}**" in text for finding in item.findings)
    width = None
    for line in text.splitlines():
        cells = line.count("|") if line.startswith("|") else None
        assert None in (width, cells) or width == cells, line
        width = cells


def test_terminal_names_each_kind_of_evidence_in_a_line(content: ReportContent, tmp_path: Path) -> None:
    text = re.sub(r"\s+", " ", write_summary(tmp_path, content).read_text())
    for words in (
        "With 12 trials, the best of 12",
        "Warning: Always long",
        "Sharpe ratio against buy and hold",
        "Beats at least one baseline in mean return (Hansen's SPA): p-value 0.620.",
        "Random entry: ",
        "Cross-validation: ",
        "Accuracy: ",
        "No leak in 15 features, 1 target, the scaler, strategy ppo.",
    ):
        assert words in text, words


def test_evidence_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"^evidence\['folds'\] must be Folds, was Degenerate$"):
        gather(judged(folds=Degenerate()), 5)


@pytest.mark.parametrize("case", list(edge_cases()))
def test_unusual_results_with_evidence_are_reported_without_warning(case: str, tmp_path: Path) -> None:
    results = edge_cases()[case]
    usual = judged()
    evidence = dict(usual.evidence) | {"folds": samples.folds(sample_results(200)[0], 1, 1)}
    content = dataclasses.replace(usual, results=results, validation=None, evidence=evidence)
    json.loads(page_of(content, tmp_path).figures, parse_constant=pytest.fail)
    MarkdownReport().write(tmp_path, content)
    write_summary(tmp_path, content)


def test_hostile_names_in_the_evidence_are_shown_and_not_executed(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    usual = samples.folds(sample_results(200)[0])
    folds = dataclasses.replace(usual, folds=tuple(dataclasses.replace(fold, name=evil) for fold in usual.folds[:1]))
    content = judged(
        degenerate=Degenerate(findings=(evil,)),
        folds=folds,
        leaks=Leaks(checked=(evil,), num_cuts=8, drift={evil: {50: 0.1}}),
        universe=dataclasses.replace(samples.universe(2), metrics={evil: {"sharpe": 1.0}}),
    )
    text = HtmlReport().write(tmp_path, content).read_text()
    assert "<script>alert" not in text
    assert Page(text).words.count(evil) >= 5


@pytest.mark.parametrize(
    ("wide", "expected"),
    [("", ""), ("n", "w"), ("nn", "nn"), ("nnn", "nnw"), ("wnwnn", "wwwnn"), ("nnnw", "nnww"), ("nww", "www")],
)
def test_chart_alone_in_its_row_becomes_wide(wide: str, expected: str) -> None:
    charts = [Chart(str(place), "t", "d.", blank("", ""), is_wide=kind == "w") for place, kind in enumerate(wide)]
    filled = fill_rows(charts)
    assert "".join("w" if item.is_wide else "n" for item in filled) == expected
    assert [item.key for item in filled] == [item.key for item in charts]
