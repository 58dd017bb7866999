"""The charts of significance: Sharpe ratios and differences with their intervals, and the noise ceiling."""

import math

import numpy as np

from tradewright.evaluate.evidence import Interval, Significance
from tradewright.metrics.deflated import noise_ceiling
from tradewright.report.axes import BAD_COLOUR, HOLD_COLOUR, INK, STRATEGY_COLOUR, Chart, blank, mark_x
from tradewright.report.content import ReportContent, readable

ROW_PIXELS = 46
"""Height of one row of a forest plot."""


def draw_significance(content: ReportContent, found: Significance) -> tuple[Chart, ...]:
    """Draw what the evidence of significance has values for."""
    sharpes = {
        name: found.intervals[name]["sharpe"] for name in content.names if "sharpe" in found.intervals.get(name, {})
    }
    charts = []
    if sharpes:
        about = f"Dots are Sharpe ratios, bars their {found.confidence:.0%} intervals."
        if found.num_trials > 1:
            about += f" The red line is what the best of {found.num_trials:,} without skill would be expected to show."
        ceiling = found.noise_ceiling if found.num_trials > 1 else math.nan
        charts.append(forest("forest", "Sharpe ratios", about, sharpes, own=content.strategy.name, ceiling=ceiling))
    others = {other.name: other.sharpe for other in found.comparisons if other.name not in content.twins}
    if others:
        charts.append(
            forest(
                "differences",
                "Difference from each baseline",
                "Sharpe ratio of the strategy minus that of the baseline on the same bars; where the bar crosses zero, "
                "they cannot be told apart.",
                others,
            )
        )
    sharpe = content.figures(content.strategy.name).get("sharpe", math.nan)
    if math.isfinite(found.trial_deviation) and math.isfinite(sharpe):
        charts.append(_ceiling(found, sharpe))
    return tuple(charts)


def _ceiling(found: Significance, sharpe: float) -> Chart:
    """Draw the noise ceiling against the number of trials, and where this strategy stands."""
    last = max(1_000, 10 * found.num_trials)
    trials = np.unique(np.geomspace(1, last, 60).round().astype(int))
    figure = blank("Sharpe ratio", "Trials")
    figure.add_scatter(
        x=trials,
        y=[noise_ceiling(int(number), found.trial_deviation) for number in trials],
        mode="lines",
        name="best without skill",
        line={"color": BAD_COLOUR, "width": 2, "dash": "dash"},
        hovertemplate="%{x:,} trials: %{y:.2f}<extra></extra>",
    )
    figure.add_scatter(
        x=[1, last],
        y=[sharpe, sharpe],
        mode="lines",
        name="this strategy",
        line={"color": STRATEGY_COLOUR, "width": 2},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[found.num_trials],
        y=[sharpe],
        mode="markers",
        name=f"{found.num_trials:,} made",
        marker={"color": STRATEGY_COLOUR, "size": 11},
        hovertemplate="%{x:,} trials made, Sharpe ratio %{y:.2f}<extra></extra>",
    )
    figure.update_layout(hovermode="closest", height=300)
    figure.update_xaxes(type="log", dtick=1, tickformat=",d")
    about = "The best of so many trials without skill is expected on the red line; a dot below it needs no skill."
    return Chart("ceiling", "What luck would show", about, figure, is_wide=True)


def forest(
    key: str,
    title: str,
    description: str,
    intervals: dict[str, Interval],
    own: str = "",
    ceiling: float = math.nan,
) -> Chart:
    """Draw estimates with their intervals, one row each, and the noise ceiling as a line if there is one."""
    figure = blank("", "Sharpe ratio" if own else "Difference of Sharpe ratios")
    names = [readable(name) for name in intervals]
    values = [interval.value for interval in intervals.values()]
    figure.add_scatter(
        x=values,
        y=names,
        mode="markers",
        marker={"size": 10, "color": [STRATEGY_COLOUR if name == own else HOLD_COLOUR for name in intervals]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [interval.high - interval.value for interval in intervals.values()],
            "arrayminus": [interval.value - interval.low for interval in intervals.values()],
            "thickness": 2,
            "width": 6,
            "color": INK,
        },
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    mark_x(figure, 0.0, "", "#9ca3af", names[0], width=1)
    if not math.isnan(ceiling):
        mark_x(figure, ceiling, f"noise ceiling {ceiling:.2f}", BAD_COLOUR, names[0], dash="dash")
    figure.update_layout(
        showlegend=False, hovermode="closest", height=96 + ROW_PIXELS * len(names), margin={"l": 110, "t": 26}
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    return Chart(key, title, description, figure)
