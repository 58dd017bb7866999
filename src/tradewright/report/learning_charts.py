"""The charts of training: one per learning curve, and all terms of the reward in one.

Legend: K points that are drawn.
"""

from collections.abc import Mapping

import numpy as np

from tradewright.metrics.history import Float
from tradewright.report.axes import (
    BASELINE_COLOURS,
    DASHES,
    INK,
    MAX_POINTS,
    STRATEGY_COLOUR,
    Chart,
    blank,
    thin,
)
from tradewright.report.content import Curve, readable

TERMS = "train/reward/"
"""Curves of the reward's terms, means per step; they add up to ``SUM``."""
SUM = "train/mean_reward"

CHOSEN_BY = "validation/"
MAX_CURVES = 12
"""Learning curves drawn; the rest is in TensorBoard."""

COLOURS = (STRATEGY_COLOUR, *BASELINE_COLOURS)
MIN_MARKERS = 40
"""Points from which on a line is drawn without markers."""


def learning(curves: Mapping[str, Curve]) -> tuple[Chart, ...]:
    """Draw each learning curve of two points or more on its own axes, at most ``MAX_CURVES`` of them.

    The terms of the reward share one chart, with their sum; the curves that the agent was chosen by come next.
    """
    lines = {name: _values(curve) for name, curve in curves.items() if len(np.asarray(curve[0])) > 1}
    terms = {name: lines.pop(name) for name in tuple(lines) if name.startswith(TERMS)}
    charts = [] if not terms else [_terms(terms, lines.pop(SUM, None))]
    ordered = sorted(lines.items(), key=lambda item: not item[0].startswith(CHOSEN_BY))
    for name, line in ordered[: MAX_CURVES - len(charts)]:
        charts.append(_single(f"curve-{len(charts)}", name, *line))
    return tuple(charts)


def _values(curve: Curve) -> tuple[Float, Float]:
    """Return steps and values ``[K]``, thinned."""
    steps_K, values_K = (np.asarray(numbers, dtype=np.float64) for numbers in curve)
    keep = thin(len(steps_K), MAX_POINTS // 4)
    return steps_K[keep], values_K[keep]


def _mode(steps_K: Float) -> str:
    return "lines+markers" if len(steps_K) < MIN_MARKERS else "lines"


def _single(key: str, name: str, steps_K: Float, values_K: Float) -> Chart:
    figure = blank("", "Step")
    figure.add_scatter(
        x=steps_K,
        y=values_K,
        mode=_mode(steps_K),
        line={"color": STRATEGY_COLOUR, "width": 1.5},
        name=readable(name),
    )
    figure.update_layout(showlegend=False, height=230)
    distinct = np.unique(values_K[np.isfinite(values_K)])
    if len(distinct) == 1:  # plotly would draw a constant 3e-4 on an axis from -1 to 1
        margin = 0.1 * abs(float(distinct[0])) or 1.0
        figure.update_yaxes(range=[distinct[0] - margin, distinct[0] + margin])
    return Chart(key, readable(name), "", figure)


def _terms(terms: Mapping[str, tuple[Float, Float]], total: tuple[Float, Float] | None) -> Chart:
    """Draw every term that was ever paid, the largest first, and their sum; name the others."""
    sizes = {name: float(np.abs(values_K).mean()) for name, (_, values_K) in terms.items()}
    shown = sorted((name for name in terms if sizes[name] > 0), key=lambda name: -sizes[name])
    figure = blank("Mean reward per step", "Step")
    for place, name in enumerate(shown):
        steps_K, values_K = terms[name]
        lap, colour = divmod(place, len(COLOURS))
        dash = "solid" if not lap else DASHES[(lap - 1) % len(DASHES)]
        figure.add_scatter(
            x=steps_K,
            y=values_K,
            name=readable(name.removeprefix(TERMS)),
            mode=_mode(steps_K),
            line={"color": COLOURS[colour], "width": 1.5, "dash": dash},
        )
    if total is not None:
        figure.add_scatter(x=total[0], y=total[1], name="sum", mode=_mode(total[0]), line={"color": INK, "width": 2.5})
    figure.add_hline(y=0.0, line={"color": "#9ca3af", "width": 1})
    about = "What each term of the reward paid per step of the newest rollout, scaled and weighted"
    idle = [readable(name.removeprefix(TERMS)) for name in terms if name not in shown]
    about += f"; never paid: {', '.join(idle)}." if idle else "."
    return Chart("reward-terms", "Reward by term", about, figure, is_wide=True)
