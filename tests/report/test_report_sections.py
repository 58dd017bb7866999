"""The sections of evidence: what they show, when they are there, and that no format says more than the evidence."""

import dataclasses
import json
import math
import re
from pathlib import Path

import evidence_samples as samples
import numpy as np
import pytest
from report_samples import sample_content, sample_results
from test_report_pages import Page, edge_cases, page_of

from tradewright.evaluate.evidence import Degenerate, Interval, Leaks
from tradewright.metrics.deflated import noise_ceiling
from tradewright.metrics.figures import DASH
from tradewright.report.axes import HOLD_COLOUR, STRATEGY_COLOUR, Chart, blank, fill_rows
from tradewright.report.chance import (
    comparison_sentence,
    is_beyond_chance,
    is_run_beyond_chance,
    noise_sentence,
    show_p,
)
from tradewright.report.content import ReportContent
from tradewright.report.html import HtmlReport
from tradewright.report.markdown import MarkdownReport
from tradewright.report.sections.gather import gather
from tradewright.report.sections.section import Grid, Section
from tradewright.report.terminal import write_summary
from tradewright.report.verdict import judge

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


@pytest.fixture(scope="module")
def content() -> ReportContent:
    return judged()


@pytest.fixture(scope="module")
def page(content: ReportContent, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page_of(content, tmp_path_factory.mktemp("judged"))


def section(content: ReportContent, anchor: str) -> Section:
    return next(item for item in gather(content, 200) if item.anchor == anchor)


def chart(content: ReportContent, anchor: str, key: str) -> Chart:
    return next(item for item in section(content, anchor).draw() if item.key == key)


def grid(content: ReportContent, anchor: str, first_title: str) -> Grid:
    return next(item for item in section(content, anchor).grids if item.titles[0] == first_title)


def vertical_lines(item: Chart) -> list[float]:
    return [shape.x0 for shape in item.figure.layout.shapes if shape.x0 == shape.x1 and shape.yref == "y domain"]


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


# Significance and the verdict.


@pytest.mark.row("X8")
def test_noise_ceiling_is_drawn_as_a_line_and_lies_inside_the_axis_even_above_every_interval() -> None:
    content = sample_content()
    found = samples.significance(content.results, dict(content.metrics), noise_ceiling=4.2)
    forest = chart(judged(significance=found), "significance", "forest")
    assert vertical_lines(forest) == [0.0, 4.2]
    assert 4.2 in [x for trace in forest.figure.data for x in trace.x]
    assert "noise ceiling 4.20" in [note.text for note in forest.figure.layout.annotations]


@pytest.mark.row("X8")
def test_ceiling_is_drawn_against_the_trials_made(content: ReportContent) -> None:
    found = content.evidence["significance"]
    curve, _, made = chart(content, "significance", "ceiling").figure.data
    values = dict(zip(curve.x, curve.y, strict=True))
    assert values[1] == 0.0
    assert values[1000] == pytest.approx(noise_ceiling(1000, 0.5))
    assert made.x == (found.num_trials,)
    assert made.y == (content.metrics["test/sharpe"],)


def test_intervals_are_drawn_from_low_to_high(content: ReportContent) -> None:
    dots = chart(content, "significance", "forest").figure.data[0]
    own = content.evidence["significance"].intervals["ppo"]["sharpe"]
    assert dots.y[0] == "ppo"
    assert dots.x[0] == own.value
    assert dots.x[0] - dots.error_x.arrayminus[0] == pytest.approx(own.low)
    assert dots.x[0] + dots.error_x.array[0] == pytest.approx(own.high)


@pytest.mark.row("B35")
def test_table_of_comparisons_has_p_values_and_their_correction(content: ReportContent) -> None:
    table = grid(content, "significance", "Baseline")
    rows = dict(zip([row[0] for row in table.rows], table.rows, strict=True))
    for other in content.evidence["significance"].comparisons:
        row = rows[other.name.replace("_", " ")]
        assert row[4:6] == (show_p(other.p_value), show_p(other.adjusted_p_value))


def test_superiority_is_said_to_be_over_at_least_one_baseline_and_never_over_all(content: ReportContent) -> None:
    item = section(content, "significance")
    row = next(row for table in item.grids for row in table.rows if "SPA" in row[2])
    assert row[:2] == ("Beats at least one baseline", "0.620")
    assert "at least one baseline, not each, is beaten" in row[2]
    assert not any("all baselines" in text or "no baseline" in text for text in (*item.lines, *row))


@pytest.mark.parametrize(
    ("trials", "ceiling", "deflated", "sharpe", "end"),
    [
        (12, 0.83, 0.31, 0.61, "show a Sharpe ratio of 0.83 here; this one shows 0.61: no evidence of skill"),
        (12, 0.83, 0.71, 0.95, "this one shows 0.95: above that, but by no more than chance allows"),
        (12, 0.83, 0.97, 1.90, "this one shows 1.90: more than the selection explains"),
        (1, 0.0, 0.62, 0.30, "is 62.0%, below the 95% that are asked for: no evidence of skill."),
        (1, 0.0, 0.97, 1.30, "is 97.0%, above the 95% that are asked for; one range is still one range."),
        (1, 0.0, math.nan, math.nan, "The Sharpe ratio is undefined, so nothing can be said about chance."),
        (1, 0.0, math.nan, 1.30, "Skill was not tested: the probability that the Sharpe ratio is more than chance"),
    ],
)
def test_noise_sentence_says_what_the_ceiling_means(
    trials: int, ceiling: float, deflated: float, sharpe: float, end: str
) -> None:
    content = sample_content()
    found = samples.significance(
        content.results,
        dict(content.metrics),
        num_trials=trials,
        noise_ceiling=ceiling,
        deflated_sharpe=deflated,
        probabilistic_sharpe=deflated,
    )
    sentence = noise_sentence(found, sharpe)
    assert end in sentence
    assert sentence.startswith("With 12 trials, the best of 12 strategies without skill") == (trials == 12)


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


@pytest.mark.row("B36")
@pytest.mark.parametrize(
    ("p_value", "deflated", "is_claimed"),
    [
        (0.01, 0.97, True),
        (0.05, 0.95, True),
        (0.06, 0.97, False),
        (0.01, 0.94, False),
        (math.nan, 0.97, False),
        (0.01, math.nan, False),
    ],
)
def test_beating_buy_and_hold_is_claimed_only_beyond_chance(p_value: float, deflated: float, is_claimed: bool) -> None:
    content = winner(p_value, deflated)
    verdict = judge(content)
    assert is_run_beyond_chance(content) == is_claimed
    assert verdict.outcome == ("better" if is_claimed else "mixed")
    assert verdict.headline.startswith("ppo beat buy-and-hold") == is_claimed
    is_tested = not math.isnan(p_value + deflated)
    assert verdict.headline.endswith(", which is not distinguishable from chance.") == (is_tested and not is_claimed)
    assert ("not tested, as the test is undefined here" in verdict.headline) == (not is_tested)
    assert section(content, "significance").tone == ("good" if is_claimed else "warning")


def test_significant_loss_against_buy_and_hold_is_no_win() -> None:
    content = winner()
    found = content.evidence["significance"]
    lost = tuple(
        dataclasses.replace(other, sharpe=Interval(value=-0.5, low=-0.9, high=-0.1))
        for other in found.comparisons  # type: ignore[attr-defined]
    )
    assert is_run_beyond_chance(content)
    assert not is_run_beyond_chance(winner(comparisons=lost))
    assert not is_run_beyond_chance(winner(comparisons=()))


def test_run_report_claims_exactly_what_a_comparison_may_recommend() -> None:
    content = winner()
    found = content.evidence["significance"]
    hold = next(other for other in found.comparisons if other.name == "buy_and_hold")  # type: ignore[attr-defined]
    for flag in (0.0, 1.0):
        metrics = dict(content.metrics) | {"test/is_degenerate": flag}
        verdict = judge(dataclasses.replace(content, metrics=metrics))
        is_recommended = is_beyond_chance(hold, deflated_sharpe=0.97, confidence=0.95, metrics=metrics)
        assert is_recommended == (flag == 0.0)
        assert (verdict.outcome == "better") == is_recommended
        assert ("decides little or nothing, so that is no sign of skill" in verdict.headline) == (flag == 1.0)


def test_undefined_comparison_is_not_tested_rather_than_chance() -> None:
    undefined = Interval(value=math.nan, low=math.nan, high=math.nan)
    content = winner()
    found = content.evidence["significance"]
    others = tuple(
        dataclasses.replace(other, sharpe=undefined, p_value=math.nan, adjusted_p_value=math.nan)
        for other in found.comparisons  # type: ignore[attr-defined]
    )
    content = winner(comparisons=others)
    sentence = comparison_sentence(content.evidence["significance"], others[0])  # type: ignore[arg-type]
    assert sentence.endswith("not tested, as the difference is undefined.")
    assert {row[6] for row in grid(content, "significance", "Baseline").rows} == {"not tested"}


def test_statistics_repeat_no_figure_of_judging_and_keep_unknown_ones() -> None:
    content = sample_content()
    metrics = dict(content.metrics) | {"test/deflated_sharpe": 0.5, "test/own_figure": 7.0}
    rows = grid(dataclasses.replace(content, metrics=metrics), "statistics", "Test range").rows
    labels = [row[0] for row in rows]
    assert "own figure" in labels
    assert not [label for label in labels if "skill" in label]


def test_headline_figures_have_a_row_per_strategy_with_the_interval_on_a_line_of_its_own(
    content: ReportContent, tmp_path: Path
) -> None:
    table = grid(content, "significance", "Strategy")
    assert [row[0] for row in table.rows] == [name.replace("_", " ") for name in content.names]
    assert table.titles[1:4] == ("Total return", "Annual growth (CAGR)", "Sharpe ratio")
    own = content.evidence["significance"].intervals["ppo"]["total_return"]
    assert table.rows[0][1] == f"{own.value:.2%}\n({own.low:.2%} to {own.high:.2%})"
    text = MarkdownReport().render(content)
    assert f"| {own.value:.2%} ({own.low:.2%} to {own.high:.2%}) |" in text


def with_twin() -> ReportContent:
    """Return a judged run with a baseline that stands before buy-and-hold and has its equity."""
    content = sample_content()
    hold = next(result for result in content.results if result.name == "buy_and_hold")
    twin = dataclasses.replace(hold, name="equal_weight")
    results = (content.results[0], twin, *content.results[1:])
    metrics = dict(content.metrics) | {
        key.replace("buy_and_hold", "equal_weight"): value
        for key, value in content.metrics.items()
        if key.startswith("baseline/buy_and_hold/")
    }
    found = samples.significance(results, metrics)
    return dataclasses.replace(content, results=results, metrics=metrics, evidence={"significance": found})


def test_baseline_with_the_equity_of_another_is_shown_once_and_named(tmp_path: Path) -> None:
    content = with_twin()
    assert content.twins == {"equal_weight": "buy_and_hold"}
    assert content.names == ("ppo", "buy_and_hold", "sma_cross", "momentum")
    assert content.figures("equal_weight") == content.figures("buy_and_hold")
    note = "Equal weight is identical to buy and hold with one instrument; it is shown once."
    for item in gather(content, 5):
        if item.anchor in {"course", "statistics", "significance", "costs"}:
            assert note in (*item.notes, *item.paragraphs), item.anchor
        for table in item.grids:
            assert "equal weight" not in (*table.titles, *(cell for row in table.rows for cell in row)), table.caption
        for drawn in item.draw():
            assert "equal weight" not in drawn.figure.to_json(), drawn.key
    lines = {line.name: line.line.color for line in chart(content, "course", "equity").figure.data}
    assert lines["buy and hold"] == HOLD_COLOUR
    assert lines["ppo"] == STRATEGY_COLOUR
    assert len(set(lines.values())) == len(lines) == 4
    assert "Equal weight is identical to buy and hold" in write_summary(tmp_path, content).read_text()


def test_baseline_that_differs_in_one_bar_or_equals_the_strategy_is_shown() -> None:
    content = with_twin()
    _, twin, hold = content.results[:3]
    equity = twin.equity_T.copy()
    equity[-1] = np.nextafter(equity[-1], np.inf)
    differing = dataclasses.replace(
        content, results=(content.strategy, hold, dataclasses.replace(twin, equity_T=equity))
    )
    assert differing.twins == {}
    same = dataclasses.replace(content.strategy, name="copy")
    assert dataclasses.replace(content, results=(content.strategy, hold, same)).twins == {}


def test_curves_of_one_point_are_a_table_and_no_charts(tmp_path: Path) -> None:
    curves = {"train/lr": ([20480], [3e-4]), "train/loss": ([20480], [3.694114]), "train/kl": ([1, 2], [0.1, 0.2])}
    item = section(sample_content(curves=curves | {"train/none": ([], [])}), "learning")
    assert item.grids[0].rows == (("train/lr", "20,480", "0.0003"), ("train/loss", "20,480", "3.69411"))
    assert [drawn.title for drawn in item.draw()] == ["train/kl"]
    only = sample_content(curves={"train/lr": ([20480], [3e-4])})
    assert section(only, "learning").draw() == ()
    assert "train/lr 20,480 0.0003" in page_of(only, tmp_path).words
    many = {f"train/once_{place}": ([1], [0.5]) for place in range(20)} | {"train/kl": ([1, 2], [0.1, 0.2])}
    assert [drawn.title for drawn in section(sample_content(curves=many), "learning").draw()] == ["train/kl"]


def test_verdict_carries_the_corrected_p_value_and_the_ceiling() -> None:
    verdict = judge(winner(0.2, 0.5))
    assert "corrected p-value of the difference 0.200." in verdict.detail
    assert verdict.caution.startswith("With 12 trials, the best of 12 strategies without skill")


# Random entry, folds, decisions, leaks, universe.


def test_random_entry_shows_the_strategy_among_the_random_ones_even_outside_their_range() -> None:
    content = judged(random_entry=samples.random_entry(sharpe=9.0))
    drawn = chart(content, "random-entry", "random-sharpe")
    assert 9.0 in vertical_lines(drawn)
    assert sum(drawn.figure.data[0].y) == 1_000
    assert max(x for trace in drawn.figure.data for x in trace.x) == 9.0
    assert section(content, "random-entry").findings == (
        "0 of 1,000 strategies that hold the same positions at random times have a Sharpe ratio of 9.00 or more "
        "(p < 0.001): its timing is more than chance explains, before correcting for the 12 trials.",
    )


@pytest.mark.parametrize(
    ("p_value", "num_trials", "end"),
    [
        (0.049, 1, "(p = 0.049): its timing is more than chance explains."),
        (0.049, 7, "more than chance explains, before correcting for the 7 trials."),
        (0.05, 7, "(p = 0.050): its timing is not better than chance."),
    ],
)
def test_timing_is_claimed_below_the_level_only_and_with_the_trials_in_mind(
    p_value: float, num_trials: int, end: str
) -> None:
    content = winner(num_trials=num_trials)
    drawn = dataclasses.replace(samples.random_entry(), p_value=p_value)
    item = section(
        dataclasses.replace(content, evidence=dict(content.evidence) | {"random_entry": drawn}), "random-entry"
    )
    assert item.findings[0].endswith(end)
    assert item.tone == ("good" if p_value < 0.05 else "warning")


def test_timeline_covers_exactly_the_spans_of_the_folds(content: ReportContent) -> None:
    found = content.evidence["folds"]
    for trace in chart(content, "folds", "folds-timeline").figure.data:
        drawn = [
            (name, np.datetime64(start), np.datetime64(start) + np.timedelta64(int(length), "ms"))
            for name, start, length in zip(trace.y, trace.base, trace.x, strict=True)
        ]
        wanted = {"train": lambda f: f.train, "validation": lambda f: (f.validation,), "test": lambda f: f.test}
        assert drawn == [(f.name, *span) for f in found.folds for span in wanted[trace.name](f)]


def test_paths_are_drawn_once_and_the_reported_one_stands_out(content: ReportContent) -> None:
    found = content.evidence["folds"]
    lines = chart(content, "folds", "folds-paths").figure.data
    assert len(lines) == len(found.paths)
    assert lines[-1].name == f"path {found.chosen + 1}"
    assert [line.line.width for line in lines].count(2.2) == 1
    assert "over 5 paths" in section(content, "folds").findings[0]


def test_undefined_folds_and_paths_are_not_counted_as_failures() -> None:
    found = samples.folds(sample_results(200)[0], 5, 4, "combinatorial")
    ratios = (0.4, math.nan, -0.1, math.nan, 0.2)
    folds = tuple(
        dataclasses.replace(fold, metrics={"sharpe": ratio}) for fold, ratio in zip(found.folds, ratios, strict=True)
    )
    paths = tuple({"sharpe": ratio} for ratio in (0.1, math.nan, 0.3, 0.5))
    item = section(judged(folds=dataclasses.replace(found, folds=folds, path_metrics=paths)), "folds")
    assert item.findings == (
        "The Sharpe ratio is above zero in 2 of 3 folds with a defined ratio (2 undefined); over 3 paths with a "
        "defined ratio (1 undefined) it runs from 0.10 to 0.50, median 0.30.",
    )


def test_many_paths_are_thinned_but_all_are_in_the_spread(tmp_path: Path) -> None:
    content = judged(folds=samples.folds(sample_results(100)[0], 4, 60, "combinatorial"))
    assert len(chart(content, "folds", "folds-paths").figure.data) <= 21
    assert len(chart(content, "folds", "folds-spread").figure.data[0].x) == 60
    assert "Paths (60 rows)" in page_of(content, tmp_path).words


def test_paths_that_are_all_the_same_are_said_to_be_and_not_drawn() -> None:
    found = samples.folds(sample_results(200)[0], 4, 3, "combinatorial")
    found = dataclasses.replace(found, paths=found.paths[:1] * 3)
    item = section(judged(folds=found), "folds")
    assert "; all 3 paths are the same, because no fit differs from another" in item.findings[0]
    assert [drawn.key for drawn in item.draw()] == ["folds-timeline", "folds-sharpe"]


def test_walk_forward_has_one_path_and_no_spread() -> None:
    content = judged(folds=samples.folds(sample_results(200)[0]))
    assert [drawn.key for drawn in section(content, "folds").draw()] == ["folds-timeline", "folds-sharpe"]
    assert "paths" not in section(content, "folds").findings[0]


@pytest.mark.row("R34")
def test_profit_column_of_the_decisions_adds_up_to_the_profit_of_the_range(content: ReportContent) -> None:
    result = content.strategy
    total = result.equity_T[-1] - result.equity_T[0]
    for title in ("Action", "Position"):
        rows = grid(content, "decisions", title).rows
        profits = [float(row[3].replace(",", "")) for row in rows]
        assert rows[-1][0] == "total"
        assert sum(profits[:-1]) == pytest.approx(profits[-1], abs=0.01 * len(rows))
        assert profits[-1] == pytest.approx(total, abs=0.005)
    bars = chart(content, "decisions", "actions").figure.data[0]
    assert sum(bars.y) == pytest.approx(total)


@pytest.mark.row("R33")
@pytest.mark.row("R35")
def test_decisions_show_frequency_distribution_drawdown_and_sharpe(content: ReportContent) -> None:
    item = section(content, "decisions")
    assert [drawn.key for drawn in item.draw()][:4] == ["actions", "by-month", "by-weekday", "holding"]
    figures = dict(grid(content, "decisions", "Figure").rows)
    assert figures["Sharpe ratio"] == f"{content.metrics['test/sharpe']:.3f}"
    assert figures["Maximum drawdown"] == f"{content.metrics['test/max_drawdown']:.2%}"
    num_fills = len({fill.bar for fill in content.strategy.fills if fill.quantity})
    assert figures["Bars with a decision"] == f"{num_fills} of {len(content.strategy.ts_T) - 1}"
    monthly = chart(content, "decisions", "by-month").figure.data
    assert sum(sum(trace.y) for trace in monthly) == num_fills
    held = chart(content, "decisions", "holding").figure.data[0]
    assert sum(held.y) == content.metrics["test/num_trades"]


@pytest.mark.row("R36")
def test_decisions_show_the_distribution_of_confidence_and_its_calibration(content: ReportContent) -> None:
    sure = chart(content, "decisions", "confidence").figure.data[0]
    table = grid(content, "decisions", "Confidence")
    assert [int(row[1]) for row in table.rows] == [number for number in sure.y if number]
    error = sum(int(row[1]) * abs(float(row[4])) for row in table.rows) / sum(sure.y)
    words = " ".join(section(content, "decisions").paragraphs)
    assert float(re.search(r"calibration error ([\d.]+) points", words).group(1)) == pytest.approx(error, abs=0.1)


@pytest.mark.row("R36")
def test_strategy_without_confidence_has_no_calibration(content: ReportContent) -> None:
    silent = dataclasses.replace(content.strategy, confidence_TN=None)
    other = dataclasses.replace(content, results=(silent, *content.results[1:]))
    assert {drawn.key for drawn in section(other, "decisions").draw()}.isdisjoint({"confidence", "reliability"})
    assert "Confidence" not in {table.titles[0] for table in section(other, "decisions").grids}


def test_excursions_are_drawn_only_where_trades_have_them(content: ReportContent) -> None:
    assert [drawn.key for drawn in section(content, "trades").draw()] == ["trades", "mae", "mfe"]
    bare = tuple(dataclasses.replace(trade, mae=math.nan, mfe=math.nan) for trade in content.strategy.trades)
    other = dataclasses.replace(
        content, results=(dataclasses.replace(content.strategy, trades=bare), *content.results[1:])
    )
    assert [drawn.key for drawn in section(other, "trades").draw()] == ["trades"]


def test_waterfall_leads_from_the_profit_before_costs_to_the_net_one() -> None:
    content = judged()
    costs = {"fees": 100.0, "slippage": 50.0, "funding": -20.0, "dividends": -30.0, "borrow": 0.0}
    result = dataclasses.replace(content.strategy, costs=costs)
    other = dataclasses.replace(content, results=(result, *content.results[1:]))
    steps = section(other, "costs").draw()[0].figure.data[0]
    assert steps.x == ("before costs", "fees", "slippage", "funding", "dividends", "net profit")
    assert sum(steps.y[:-1]) == pytest.approx(steps.y[-1])
    assert steps.y[-1] == pytest.approx(result.equity_T[-1] - result.equity_T[0])
    assert grid(other, "costs", "Money, USD").titles[:6] == (
        "Money, USD", "fees", "slippage", "funding", "dividends", "borrow",
    )  # fmt: skip


def test_leak_is_the_first_thing_on_the_page_and_red() -> None:
    content = judged(leaks=samples.leaks(2))
    first = gather(content, 5)[0]
    assert (first.anchor, first.tone, len(first.findings)) == ("leaks", "bad", 2)
    assert "feature 'return_1' of XYZ at 2016-03-01" in first.findings[0]
    assert gather(content, 5)[1].anchor == "degenerate"


def test_check_without_a_verdict_is_no_clean_bill() -> None:
    item = section(
        judged(leaks=Leaks(checked=("3 features",), num_cuts=8, faults=("too few bars for 8 cuts",))), "leaks"
    )
    assert item.findings == ("No verdict: too few bars for 8 cuts",)
    assert (item.tone, item.is_urgent) == ("warning", True)
    assert section(judged(leaks=Leaks(checked=(), num_cuts=8)), "leaks").tone == "warning"


@pytest.mark.row("X8")
@pytest.mark.row("B37")
def test_accuracy_stands_beside_its_base_rate_and_noise_floor_and_is_no_pass_mark(content: ReportContent) -> None:
    item = section(content, "universe")
    assert item.tone == "plain"
    assert "Accuracy is neither profit nor a pass mark" in item.paragraphs[0]
    rows = grid(content, "universe", "Instrument").rows
    assert len(rows) == 50
    found = content.evidence["universe"]
    for symbol, bars, accuracy, rate, _, floor in rows[:-1]:
        low, high = (float(part.strip("%")) / 100 for part in floor.split(" to "))
        number, expected = int(bars), found.base_rate[symbol]
        error = math.sqrt(expected * (1 - expected) / number)
        assert accuracy == f"{found.accuracy[symbol]:.1%}"
        assert rate == f"{expected:.1%}"
        assert low == pytest.approx(expected - 1.96 * error, abs=1.1 / number + 0.0005)
        assert high == pytest.approx(expected + 1.96 * error, abs=1.1 / number + 0.0005)
    assert rows[-1][2] == DASH
    above = sum(float(r[2].strip("%")) > float(r[5].split(" to ")[1].strip("%")) for r in rows[:-1])
    assert (
        f"{above} of 49 lie above their noise floor, where guesses at the base rate would put about 1.2"
        in (item.findings[0])
    )


def test_universe_without_counts_has_no_noise_floor_and_says_nothing_of_it(tmp_path: Path) -> None:
    content = judged(universe=dataclasses.replace(samples.universe(5), num_decided={}))
    assert "noise floor, where" not in section(content, "universe").findings[0]
    json.loads(page_of(content, tmp_path).figures, parse_constant=pytest.fail)


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


def test_caution_is_a_note_and_neither_a_warning_nor_degenerate(tmp_path: Path) -> None:
    words = "All profit comes from one trade: 5,000 of XYZ."
    content = judged(degenerate=Degenerate(cautions=(words,)))
    assert "degenerate" not in {item.anchor for item in gather(content, 5)}
    assert words in section(content, "trades").notes
    assert words in page_of(content, tmp_path).words
    summary = write_summary(tmp_path, content).read_text()
    assert f"Note: {words}" in summary
    assert "Warning" not in summary
