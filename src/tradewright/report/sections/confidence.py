"""Whether the strategy is right as often as it is sure: the part of the decisions section about confidence.

Legend: K bins of confidence.
"""

import numpy as np

from tradewright.metrics.calibration import Calibration
from tradewright.report.axes import STRATEGY_COLOUR, Chart, blank
from tradewright.report.sections.section import Grid


def describe(calibration: Calibration) -> tuple[str, ...]:
    """Return the calibration in words; nothing without a decision that can be checked."""
    number = calibration.num_decisions
    if not number:
        return ()
    used = calibration.num_K > 0
    weights = calibration.num_K[used] / number
    mean, right = float(weights @ calibration.confidence_K[used]), float(weights @ calibration.accuracy_K[used])
    return (
        f"Confidence: {mean:.1%} sure on average and right in {right:.1%} of {number:,} decisions; expected "
        f"calibration error {100 * calibration.error:.1f} points.",
        "A decision is right if the next bar's close moved the way of the position; bars without a move do not count.",
    )


def tabulate(calibration: Calibration) -> tuple[Grid, ...]:
    """Return the reliability table; nothing without a decision that can be checked."""
    if not calibration.num_decisions:
        return ()
    rows = tuple(
        (
            _bin(place, len(calibration.num_K)),
            f"{number:,}",
            f"{confidence:.1%}",
            f"{accuracy:.1%}",
            f"{100 * (accuracy - confidence):+.1f}",
        )
        for place, (number, confidence, accuracy) in enumerate(
            zip(calibration.num_K, calibration.confidence_K, calibration.accuracy_K, strict=True)
        )
        if number
    )
    titles = ("Confidence", "Decisions", "Mean", "Right", "Difference, points")
    return (Grid(caption="Reliability", titles=titles, rows=rows, kind="narrow"),)


def _bin(place: int, number: int) -> str:
    return f"{place / number:.0%} to {(place + 1) / number:.0%}"


def draw(calibration: Calibration) -> tuple[Chart, ...]:
    """Draw how sure the strategy was, and how often it was right; nothing without a decision that can be checked."""
    return (_histogram(calibration), _diagram(calibration)) if calibration.num_decisions else ()


def _histogram(calibration: Calibration) -> Chart:
    number = len(calibration.num_K)
    figure = blank("Decisions", "Confidence")
    figure.add_bar(
        x=(np.arange(number) + 0.5) / number,
        y=calibration.num_K,
        width=np.full(number, 1.0 / number),
        marker={"color": STRATEGY_COLOUR, "opacity": 0.75, "line": {"color": "white", "width": 1}},
    )
    figure.update_layout(showlegend=False, hovermode="closest", bargap=0, height=300)
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    return Chart("confidence", "Confidence of the decisions", "How often the strategy was how sure.", figure)


def _diagram(calibration: Calibration) -> Chart:
    used = calibration.num_K > 0
    size = 7 + 17 * np.sqrt(calibration.num_K[used] / calibration.num_K.max())
    figure = blank("Share that was right", "Mean confidence of the bin", percent=True)
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": "#9ca3af", "dash": "dot", "width": 1}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=calibration.confidence_K[used],
        y=calibration.accuracy_K[used],
        mode="lines+markers",
        marker={"size": size, "color": STRATEGY_COLOUR, "opacity": 0.8},
        line={"color": STRATEGY_COLOUR, "width": 1},
        customdata=calibration.num_K[used],
        hovertemplate="%{x:.1%} sure, %{y:.1%} right, %{customdata} decisions<extra></extra>",
    )
    figure.update_layout(showlegend=False, hovermode="closest", height=300)
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    figure.update_yaxes(range=[0, 1])
    about = (
        "On the dotted line it is right as often as it is sure; below it, too sure. Larger dots hold more decisions."
    )
    return Chart("reliability", "Reliability", about, figure)
