"""The verdict line: whether the strategy beat buy-and-hold on the test range, in words, with the numbers.

Return and risk-adjusted return are judged apart. That it *beat* buy-and-hold is only said where the evidence of
significance excludes chance (``chance.is_beyond_chance``), so that a lucky range does not read like a proof.
"""

import math
from dataclasses import dataclass
from typing import Literal

from tradewright.evaluate.evidence import Significance
from tradewright.metrics.figures import show
from tradewright.report.chance import against_hold, is_beyond_chance, noise_sentence, show_p
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
    outcome, sentence = _compare(mine, theirs, found)
    return Verdict(outcome, f"{name} {sentence}", f"{' · '.join(details)}.", caution)


def _compare(mine: dict[str, float], theirs: dict[str, float], found: Significance | None) -> tuple[Outcome, str]:
    if mine.get("bankrupt"):
        return "worse", "went bankrupt on the test range."
    earned = _is_better(mine, theirs, "total_return")
    adjusted = _is_better(mine, theirs, "sharpe")
    if earned is None:
        return "unknown", "cannot be compared with buy-and-hold: a return is undefined."
    if adjusted is None:
        return "mixed" if earned else "worse", (
            f"earned {'more' if earned else 'no more'} than buy-and-hold on the test range; "
            "a Sharpe ratio is undefined, so the risk taken cannot be compared."
        )
    if earned and adjusted:
        return _better(found)
    if adjusted:
        start = "earned no more than buy-and-hold on the test range, but more per unit of risk"
        hold = against_hold(found) if found else None
        is_doubtful = found is not None and hold is not None and not hold.adjusted_p_value <= 1.0 - found.confidence
        return "mixed", f"{start}, by no more than chance allows." if is_doubtful else f"{start}."
    if earned:
        return "mixed", "earned more than buy-and-hold on the test range, but no more per unit of risk."
    return "worse", "did not beat buy-and-hold on the test range, neither in return nor per unit of risk."


def _better(found: Significance | None) -> tuple[Outcome, str]:
    """Return what may be said of a strategy that earned more, also per unit of risk."""
    start = "earned more than buy-and-hold on the test range, also per unit of risk"
    if found is None:
        return "mixed", f"{start}; whether that is more than chance was not tested."
    if not is_beyond_chance(found):
        return "mixed", f"{start}, but not distinguishable from chance."
    return (
        "better",
        "beat buy-and-hold on the test range, in return and per unit of risk, by more than chance explains.",
    )


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
