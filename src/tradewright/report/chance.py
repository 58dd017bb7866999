"""The words for what could be chance: how the evidence of significance turns into sentences and into a claim.

One wording for the verdict, the section and the terminal, so that they never say different things.
"""

import math
from collections.abc import Mapping

from tradewright.evaluate.evidence import Comparison, Interval, Significance
from tradewright.metrics.figures import DASH, show
from tradewright.report.content import BUY_AND_HOLD, ReportContent, readable


def is_beyond_chance(
    hold: Comparison | None, *, deflated_sharpe: float, confidence: float, metrics: Mapping[str, float]
) -> bool:
    """Return whether a run may be said to beat buy-and-hold; the one rule of a run's report and of a comparison.

    The corrected paired test against buy-and-hold must be significant in the strategy's favour, the deflated Sharpe
    ratio must reach the confidence level (an undefined one does not), and the strategy must decide something.

    Args:
        hold: The comparison with buy-and-hold, None without one.
        deflated_sharpe: Probability that the true Sharpe ratio is above the noise ceiling.
        confidence: Level that is asked for.
        metrics: The run's figures, which say whether its strategy is degenerate.
    """
    return (
        hold is not None
        and hold.sharpe.value > 0
        and hold.adjusted_p_value <= 1.0 - confidence
        and deflated_sharpe >= confidence
        and not is_degenerate(metrics)
    )


def is_run_beyond_chance(content: ReportContent) -> bool:
    """Return ``is_beyond_chance`` of the strategy of a report; without evidence nothing is."""
    found = content.find("significance", Significance)
    return found is not None and is_beyond_chance(
        against_hold(found),
        deflated_sharpe=found.deflated_sharpe,
        confidence=found.confidence,
        metrics=content.metrics,
    )


def is_degenerate(metrics: Mapping[str, float]) -> bool:
    """Return whether a run's figures say that its strategy decides little or nothing."""
    return bool(metrics.get("test/is_degenerate"))


def doubt(content: ReportContent) -> str:
    """Return why a strategy that did better than buy-and-hold may not be said to beat it; empty where it may."""
    found = content.find("significance", Significance)
    hold = against_hold(found) if found else None
    if found is None or hold is None:
        return "; whether that is more than chance was not tested"
    if math.isnan(hold.adjusted_p_value) or math.isnan(found.deflated_sharpe):
        return "; whether that is more than chance was not tested, as the test is undefined here"
    if is_degenerate(content.metrics):
        return "; it decides little or nothing, so that is no sign of skill"
    return "" if is_run_beyond_chance(content) else ", which is not distinguishable from chance"


def against_hold(found: Significance) -> Comparison | None:
    """Return the comparison with buy-and-hold, or None if there is none."""
    return next((other for other in found.comparisons if other.name == BUY_AND_HOLD), None)


def noise_sentence(found: Significance, sharpe: float) -> str:
    """Return what the noise ceiling says about a Sharpe ratio.

    Args:
        found: The evidence.
        sharpe: The strategy's annualised Sharpe ratio.
    """
    level = f"{found.confidence:.0%}"
    if math.isnan(sharpe):
        return "The Sharpe ratio is undefined, so nothing can be said about chance."
    if math.isnan(found.deflated_sharpe):
        return "Skill was not tested: the probability that the Sharpe ratio is more than chance is undefined here."
    if found.num_trials == 1:
        start = (
            "With one trial nothing was selected: the probability that the true Sharpe ratio is above zero is "
            f"{show_share(found.probabilistic_sharpe)}"
        )
        if found.probabilistic_sharpe >= found.confidence:
            return f"{start}, above the {level} that are asked for; one range is still one range."
        return f"{start}, below the {level} that are asked for: no evidence of skill."
    start = (
        f"With {found.num_trials:,} trials, the best of {found.num_trials:,} strategies without skill would be "
        f"expected to show a Sharpe ratio of {found.noise_ceiling:.2f} here; this one shows {sharpe:.2f}"
    )
    deflated = f"deflated Sharpe ratio {found.deflated_sharpe:.2f}, {found.confidence:.2f} needed"
    if sharpe <= found.noise_ceiling:
        return f"{start}: no evidence of skill ({deflated})."
    if found.deflated_sharpe < found.confidence:
        return f"{start}: above that, but by no more than chance allows ({deflated})."
    return f"{start}: more than the selection explains ({deflated})."


def comparison_sentence(found: Significance, other: Comparison) -> str:
    """Return what the paired test says about the strategy and one other."""
    start = f"Sharpe ratio against {readable(other.name)}"
    if math.isnan(other.adjusted_p_value):
        return f"{start}: not tested, as the difference is undefined."
    is_significant = other.adjusted_p_value <= 1.0 - found.confidence
    sign = "higher" if other.sharpe.value > 0 else "lower"
    end = f"{sign} than chance explains" if is_significant else "not distinguishable from chance"
    return (
        f"{start}: {show_signed(other.sharpe.value)} "
        f"({show_bounds(other.sharpe)}), corrected p-value {show_p(other.adjusted_p_value)}: {end}."
    )


def show_bounds(interval: Interval, digits: int = 2) -> str:
    """Return the bounds of an interval of ratios, e.g. ``-0.20 to 1.42``."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return DASH
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def show_interval(key: str, interval: Interval, gap: str = " ") -> str:
    """Return a figure with its bounds in its own unit, e.g. ``12.31% (-4.20% to 30.11%)``; ``gap`` parts the two."""
    value = show(key, interval.value)
    if math.isnan(interval.low) or math.isnan(interval.high):
        return value
    return f"{value}{gap}({show(key, interval.low)} to {show(key, interval.high)})"


def show_signed(value: float, digits: int = 2) -> str:
    """Return a difference of ratios with its sign; undefined is a dash."""
    return DASH if math.isnan(value) else f"{value:+.{digits}f}"


def show_p(value: float) -> str:
    """Return a p-value with three digits; undefined is a dash, a tiny one its bound."""
    if math.isnan(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def show_share(value: float) -> str:
    """Return a fraction in per cent with one digit; undefined is a dash."""
    return DASH if math.isnan(value) else f"{value:.1%}"
