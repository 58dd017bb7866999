"""The verdict line: whether the strategy beat buy-and-hold on the test range, in words, with the numbers.

Return and risk-adjusted return are judged apart. That it *beat* buy-and-hold is only said where the evidence of
significance excludes chance (``chance.is_beyond_chance``), so that a lucky range does not read like a proof. What
never traded, the strategy or buy-and-hold, is said to, as its figures are those of cash.
"""

import math
from dataclasses import dataclass
from typing import Literal

from tradewright.backtest.result import BacktestResult
from tradewright.evaluate.evidence import Significance
from tradewright.metrics.figures import show
from tradewright.report.chance import against_hold, doubt, noise_sentence, show_p
from tradewright.report.content import BUY_AND_HOLD, ReportContent, readable

Outcome = Literal["better", "mixed", "worse", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """``outcome`` colours the line, ``headline`` is one sentence, ``caution`` says what the numbers are worth."""

    outcome: Outcome
    headline: str
    detail: str
    caution: str


def judge(content: ReportContent) -> Verdict:
    """Return the verdict on the test range."""
    strategy = content.strategy
    mine = content.figures(strategy.name)
    name = readable(strategy.name)
    found = content.find("significance", Significance)
    caution = _caution(mine) if found is None else noise_sentence(found, mine.get("sharpe", math.nan))
    if strategy.name == BUY_AND_HOLD or BUY_AND_HOLD not in content.names:
        reason = "it is buy-and-hold" if strategy.name == BUY_AND_HOLD else "buy-and-hold was not run"
        detail = f"Total return {_figure(mine, 'total_return')}, Sharpe ratio {_figure(mine, 'sharpe')}."
        return Verdict("unknown", f"{name}: not compared with buy-and-hold, {reason}.", detail, caution)
    theirs = content.figures(BUY_AND_HOLD)
    details = [
        f"{label} {_figure(mine, key)} against {_figure(theirs, key)}"
        for label, key in (
            ("Total return", "total_return"),
            ("Sharpe ratio", "sharpe"),
            ("maximum drawdown", "max_drawdown"),
        )
    ]
    hold = against_hold(found) if found else None
    if hold:
        details.append(f"corrected p-value of the difference {show_p(hold.adjusted_p_value)}")
    outcome, sentence = _compare(content, mine, theirs)
    return Verdict(outcome, f"{name} {sentence}", f"{' · '.join(details)}.", caution)


def _compare(content: ReportContent, mine: dict[str, float], theirs: dict[str, float]) -> tuple[Outcome, str]:
    if mine.get("bankrupt"):
        return "worse", "went bankrupt on the test range."
    hold = next(result for result in content.results if result.name == BUY_AND_HOLD)
    if not _has_traded(hold):
        return "unknown", f"cannot be judged: buy-and-hold never traded ({_refusals(hold)}); nothing can be compared."
    earned = _is_better(mine, theirs, "total_return")
    adjusted = _is_better(mine, theirs, "sharpe")
    if earned is None:
        return "unknown", "cannot be compared with buy-and-hold: a return is undefined."
    if not _has_traded(content.strategy):
        returns = f"its return is {_figure(mine, 'total_return')} against {_figure(theirs, 'total_return')}"
        return "mixed" if earned else "worse", f"never traded: {returns} of buy-and-hold, and no sign of skill."
    start = f"{_return_words(mine['total_return'], theirs['total_return'])} buy-and-hold on the test range"
    if adjusted is None:
        end = "a Sharpe ratio is undefined, so the risk taken cannot be compared."
        return "mixed" if earned else "worse", f"{start}; {end}"
    if earned and adjusted:
        return _better(content, start)
    if adjusted:
        return "mixed", f"{start}, but did better per unit of risk{doubt(content)}."
    if earned:
        return "mixed", f"{start}, but did no better per unit of risk."
    return "worse", "did not beat buy-and-hold on the test range, neither in return nor per unit of risk."


def _better(content: ReportContent, start: str) -> tuple[Outcome, str]:
    """Return what may be said of a strategy that did better, also per unit of risk."""
    reason = doubt(content)
    if reason:
        return "mixed", f"{start}, also per unit of risk{reason}."
    return (
        "better",
        "beat buy-and-hold on the test range, in return and per unit of risk, by more than chance explains.",
    )


def _return_words(mine: float, theirs: float) -> str:
    """Return how one total return stands to another, with signs in mind: a smaller loss is no gain."""
    if mine == theirs:
        return "ended where it began, like" if mine == 0 else "earned as much as" if mine > 0 else "lost as much as"
    if mine == 0:
        return "ended where it began, above" if theirs < 0 else "ended where it began, below"
    if mine > 0:
        return "earned money, unlike" if theirs < 0 else "earned more than" if mine > theirs else "earned less than"
    return "lost money, unlike" if theirs >= 0 else "lost less than" if mine > theirs else "lost more than"


def _has_traded(result: BacktestResult) -> bool:
    return any(fill.quantity != 0 for fill in result.fills)


def _refusals(result: BacktestResult) -> str:
    """Return why no order of a result was executed."""
    reasons = dict.fromkeys(readable(fill.reason) for fill in result.fills)
    return f"rejected: {', '.join(reasons)}" if reasons else "it placed no order"


def _is_better(mine: dict[str, float], theirs: dict[str, float], key: str) -> bool | None:
    own, other = mine.get(key, math.nan), theirs.get(key, math.nan)
    return None if math.isnan(own) or math.isnan(other) else own > other


def _caution(figures: dict[str, float]) -> str:
    error, ratio = figures.get("sharpe_standard_error", math.nan), figures.get("sharpe", math.nan)
    if math.isnan(error) or math.isnan(ratio):
        return "One range and one seed prove little either way."
    return (
        f"The standard error of this Sharpe ratio is about {error:.2f}, so it lies {abs(ratio) / error:.1f} standard "
        f"errors {'above' if ratio >= 0 else 'below'} zero; one range and one seed prove little either way."
    )


def _figure(figures: dict[str, float], key: str) -> str:
    return show(key, figures.get(key, math.nan))
