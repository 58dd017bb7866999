"""What of the headline figures could be chance: intervals, paired tests, and the noise ceiling of as many trials."""

import math
from functools import partial

from tradewright.evaluate.evidence import Comparison, Significance
from tradewright.metrics.figures import DASH, describe
from tradewright.report.chance import (
    against_hold,
    comparison_sentence,
    is_run_beyond_chance,
    noise_sentence,
    show_interval,
    show_p,
    show_share,
    show_signed,
)
from tradewright.report.content import ReportContent, readable
from tradewright.report.sections.section import Grid, Section
from tradewright.report.sections.significance_charts import draw_significance

KEY = "significance"


def build(content: ReportContent) -> Section | None:
    """Return the section, or None where significance was not computed."""
    found = content.find(KEY, Significance)
    if found is None:
        return None
    sharpe = content.figures(content.strategy.name).get("sharpe", math.nan)
    hold = against_hold(found)
    noise = noise_sentence(found, sharpe)
    tests = (comparison_sentence(found, hold),) if hold else ()
    return Section(
        title="Significance",
        anchor=KEY,
        findings=(noise, *tests),
        tone="good" if is_run_beyond_chance(content) else "warning",
        paragraphs=(
            f"Intervals hold {found.confidence:.0%} of {found.num_resamples:,} stationary bootstrap resamples of "
            f"{found.num_periods:,} returns in blocks of {found.block_length:.1f} on average, which keep the "
            "dependence of neighbouring returns. Comparisons are paired: both are resampled on the same bars.",
        ),
        grids=tuple(grid for grid in (_figures(content, found), _comparisons(content, found), _facts(found)) if grid),
        notes=content.twin_notes,
        lines=(*tests, *_superiority(found)),
        draw=partial(draw_significance, content, found),
    )


def _figures(content: ReportContent, found: Significance) -> Grid | None:
    names = [name for name in content.names if name in found.intervals]
    keys = list(dict.fromkeys(key for name in names for key in found.intervals[name]))
    if not keys:
        return None
    rows = tuple(
        (
            readable(name),
            *(
                show_interval(key, found.intervals[name][key], "\n") if key in found.intervals[name] else DASH
                for key in keys
            ),
        )
        for name in names
    )
    return Grid(
        caption=f"Headline figures with {found.confidence:.0%} intervals",
        titles=("Strategy", *(describe(key).label for key in keys)),
        rows=rows,
        classes={(0, column): "own" for column in range(len(keys) + 1)},
        kind="stacked",
    )


def _comparisons(content: ReportContent, found: Significance) -> Grid | None:
    others = [other for other in found.comparisons if other.name not in content.twins]
    if not others:
        return None
    rows, classes = [], {}
    for place, other in enumerate(others):
        is_significant = other.adjusted_p_value <= 1.0 - found.confidence
        if is_significant:
            classes[place, 6] = "best" if other.sharpe.value > 0 else "worst"
        is_undefined = math.isnan(other.adjusted_p_value)
        finding = "beyond chance" if is_significant else "not tested" if is_undefined else "may be chance"
        rows.append((readable(other.name), *_comparison(other), finding))
    return Grid(
        caption="The strategy minus each baseline, paired",
        titles=("Baseline", "Sharpe ratio", "Interval", "Annual return", "p-value", "Corrected", "Difference"),
        words=(0, 6),
        rows=tuple(rows),
        classes=classes,
    )


def _comparison(other: Comparison) -> tuple[str, ...]:
    mean = DASH if math.isnan(other.mean.value) else f"{other.mean.value:+.2%}"
    sharpe = other.sharpe
    bounds = DASH if math.isnan(sharpe.low) else f"{sharpe.low:+.2f} to {sharpe.high:+.2f}"
    return show_signed(sharpe.value), bounds, mean, show_p(other.p_value), show_p(other.adjusted_p_value)


def _facts(found: Significance) -> Grid:
    source = "across the recorded trials" if found.deviation_source == "trials" else "of returns without skill"
    track = (
        "out of reach: the Sharpe ratio is not above zero"
        if math.isnan(found.min_track_record)
        else f"returns needed for {found.confidence:.0%}; there are {found.num_periods:,}"
    )
    rows = [
        ("Probabilistic Sharpe ratio", show_share(found.probabilistic_sharpe), "that the true one is above zero"),
        ("Deflated Sharpe ratio", show_share(found.deflated_sharpe), "that it is above the noise ceiling"),
        ("Trials", f"{found.num_trials:,}", "distinct configurations tried on these data, from the ledger"),
        ("Noise ceiling", _ratio(found.noise_ceiling), "expected best Sharpe ratio of as many without skill"),
        ("Spread of Sharpe ratios", _ratio(found.trial_deviation), f"standard deviation {source}"),
        ("Minimum track record", _whole(found.min_track_record), track),
    ]
    if not math.isnan(found.superiority_p_value):
        rows.append(
            (
                "Beats at least one baseline",
                show_p(found.superiority_p_value),
                "p-value of Hansen's SPA test on mean returns: small if at least one baseline, not each, is beaten",
            )
        )
    return Grid(
        caption="Corrected for what was tried", titles=("Figure", "Value", "Meaning"), rows=tuple(rows), words=(0, 2)
    )


def _superiority(found: Significance) -> tuple[str, ...]:
    if math.isnan(found.superiority_p_value):
        return ()
    return (f"Beats at least one baseline in mean return (Hansen's SPA): p-value {show_p(found.superiority_p_value)}.",)


def _ratio(value: float) -> str:
    return DASH if math.isnan(value) else f"{value:.2f}"


def _whole(value: float) -> str:
    return DASH if math.isnan(value) else f"{math.ceil(value):,}"
