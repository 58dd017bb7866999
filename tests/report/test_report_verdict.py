"""The verdict of a report in words: against buy-and-hold, and where there is nothing to compare with."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from report_samples import sample_content, sample_metrics, sample_results
from test_report_pages import page_of

from tradewright.backtest.result import BacktestResult
from tradewright.report.verdict import judge


@pytest.mark.parametrize(
    ("mine", "theirs", "outcome", "words"),
    [
        ((0.5, 1.0), (0.3, 0.5), "mixed", "also per unit of risk; whether that is more than chance was not tested"),
        (
            (0.2, 1.0),
            (0.3, 0.5),
            "mixed",
            "earned less than buy-and-hold on the test range, but did better per unit of risk; whether",
        ),
        (
            (0.5, 0.4),
            (0.3, 0.5),
            "mixed",
            "earned more than buy-and-hold on the test range, but did no better per unit of risk",
        ),
        ((0.2, 0.4), (0.3, 0.5), "worse", "did not beat buy-and-hold"),
        ((0.3, 0.5), (0.3, 0.5), "worse", "did not beat buy-and-hold"),
        ((0.5, math.nan), (0.3, 0.5), "mixed", "a Sharpe ratio is undefined"),
        ((0.0, math.nan), (0.3, 0.5), "worse", "ended where it began, below buy-and-hold"),
        ((-0.15, -0.3), (-0.25, -0.5), "mixed", "lost less than buy-and-hold on the test range, also per unit of risk"),
        ((-0.15, -0.6), (-0.25, -0.5), "mixed", "lost less than buy-and-hold on the test range, but did no better"),
        ((-0.25, -0.3), (-0.15, -0.5), "mixed", "lost more than buy-and-hold on the test range, but did better"),
        ((-0.15, 0.6), (0.25, 0.5), "mixed", "lost money, unlike buy-and-hold on the test range, but did better"),
        ((0.15, 0.6), (-0.25, -0.5), "mixed", "earned money, unlike buy-and-hold on the test range, also per unit"),
        ((0.0, 0.0), (-0.25, -0.5), "mixed", "ended where it began, above buy-and-hold on the test range, also per"),
        ((-0.25, 0.6), (-0.25, -0.5), "mixed", "lost as much as buy-and-hold on the test range, but did better"),
        ((math.nan, 1.0), (0.3, 0.5), "unknown", "a return is undefined"),
    ],
)
def test_verdict_says_in_words_who_was_better(
    mine: tuple[float, float], theirs: tuple[float, float], outcome: str, words: str
) -> None:
    metrics = {
        "test/total_return": mine[0],
        "test/sharpe": mine[1],
        "baseline/buy_and_hold/total_return": theirs[0],
        "baseline/buy_and_hold/sharpe": theirs[1],
    }
    verdict = judge(sample_content(metrics=metrics))
    assert verdict.outcome == outcome
    assert words in verdict.headline


def idle(result: BacktestResult, reason: str = "") -> BacktestResult:
    """Return a result without an executed order: refused ones for ``reason``, or none at all."""
    refused = tuple(dataclasses.replace(fill, quantity=0.0, reason=reason) for fill in result.fills if reason)
    flat_T = np.full_like(result.equity_T, result.equity_T[0])
    return dataclasses.replace(
        result, fills=refused, trades=(), equity_T=flat_T, cash_T=flat_T, weights_TN=np.zeros_like(result.weights_TN)
    )


@pytest.mark.parametrize(("reason", "words"), [("below_lot", "rejected: below lot"), ("", "it placed no order")])
def test_buy_and_hold_that_never_traded_is_no_measure_of_anything(reason: str, words: str) -> None:
    results = sample_results()
    results = tuple(idle(result, reason) if result.name == "buy_and_hold" else result for result in results)
    verdict = judge(sample_content(results=results, metrics=sample_metrics(results)))
    assert verdict.outcome == "unknown"
    assert verdict.headline == (f"ppo cannot be judged: buy-and-hold never traded ({words}); nothing can be compared.")


@pytest.mark.parametrize(("theirs", "outcome"), [(-0.25, "mixed"), (0.25, "worse")])
def test_strategy_that_never_traded_is_said_to_and_earned_nothing(theirs: float, outcome: str) -> None:
    first, *others = sample_results()
    metrics = {"test/total_return": 0.0, "test/sharpe": math.nan, "baseline/buy_and_hold/total_return": theirs}
    verdict = judge(sample_content(results=(idle(first), *others), metrics=metrics))
    assert (verdict.outcome, verdict.headline) == (
        outcome,
        f"ppo never traded: its return is 0.00% against {theirs:.2%} of buy-and-hold, and no sign of skill.",
    )


def test_verdict_of_a_bankrupt_account_says_so() -> None:
    content = sample_content()
    verdict = judge(dataclasses.replace(content, metrics={**content.metrics, "test/bankrupt": 1.0}))
    assert (verdict.outcome, verdict.headline) == ("worse", "ppo went bankrupt on the test range.")


def test_without_buy_and_hold_no_verdict_is_passed(tmp_path: Path) -> None:
    results = tuple(result for result in sample_results() if result.name != "buy_and_hold")
    content = sample_content(results=results, metrics=sample_metrics(results))
    assert judge(content).headline == "ppo: not compared with buy-and-hold, buy-and-hold was not run."
    page_of(content, tmp_path)


def test_buy_and_hold_alone_is_not_judged_against_itself(tmp_path: Path) -> None:
    results = tuple(result for result in sample_results() if result.name == "buy_and_hold")
    content = sample_content(results=results, metrics=sample_metrics(results))
    assert judge(content).outcome == "unknown"
    assert "No trade was closed." in page_of(content, tmp_path).words
