"""Significance, the verdict and the headline figures: what is claimed, and what is not."""

import dataclasses
import math
from pathlib import Path

import evidence_samples as samples
import numpy as np
import pytest
from judged_samples import chart, grid, judged, section, vertical_lines, winner
from report_samples import sample_content
from test_report_pages import page_of

from tradewright.evaluate.evidence import Interval
from tradewright.metrics.deflated import noise_ceiling
from tradewright.report.axes import HOLD_COLOUR, STRATEGY_COLOUR
from tradewright.report.chance import (
    comparison_sentence,
    is_beyond_chance,
    is_run_beyond_chance,
    noise_sentence,
    show_p,
)
from tradewright.report.content import ReportContent
from tradewright.report.markdown import MarkdownReport
from tradewright.report.sections.gather import gather
from tradewright.report.terminal import write_summary
from tradewright.report.verdict import judge


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
