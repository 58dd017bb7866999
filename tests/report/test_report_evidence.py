"""Random entry, folds, decisions, leaks, universe and cautions: what each section shows of its evidence."""

import dataclasses
import json
import math
import re
from pathlib import Path

import evidence_samples as samples
import numpy as np
import pytest
from judged_samples import chart, grid, judged, section, vertical_lines, winner
from report_samples import sample_results
from test_report_pages import page_of

from tradewright.evaluate.evidence import Degenerate, Leaks
from tradewright.metrics.figures import DASH
from tradewright.report.content import ReportContent
from tradewright.report.sections.gather import gather
from tradewright.report.terminal import write_summary


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


def test_caution_is_a_note_and_neither_a_warning_nor_degenerate(tmp_path: Path) -> None:
    words = "All profit comes from one trade: 5,000 of XYZ."
    content = judged(degenerate=Degenerate(cautions=(words,)))
    assert "degenerate" not in {item.anchor for item in gather(content, 5)}
    assert words in section(content, "trades").notes
    assert words in page_of(content, tmp_path).words
    summary = write_summary(tmp_path, content).read_text()
    assert f"Note: {words}" in summary
    assert "Warning" not in summary
