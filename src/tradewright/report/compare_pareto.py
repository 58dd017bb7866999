"""The trade-off between two figures: every configuration as a point, and those that no other one beats in both.

A configuration that was run with several seeds is one point, the mean over them: the luckiest seed is no trade-off.
Legend: S points.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.metrics.figures import describe, show
from tradewright.metrics.history import Float
from tradewright.report.axes import BASELINE_COLOURS, HOLD_COLOUR, STRATEGY_COLOUR, Chart, blank
from tradewright.report.compare_table import column_title
from tradewright.report.compared_rows import ComparedRow
from tradewright.report.comparison import Comparison
from tradewright.report.differences import ABSENT

DRAWDOWN, RETURN = "max_drawdown", "total_return"
FRONT_COLOUR = BASELINE_COLOURS[0]
MAX_NAMED = 8
"""Points of the front up to which each is named beside its mark."""

NAME_LENGTH = 28


def default_pair(sort: str) -> tuple[str, str]:
    """Return the sort figure and the drawdown of the same range; the return, where the runs are sorted by drawdown."""
    span, _, name = sort.rpartition("/")
    return f"{span}/{RETURN if name == DRAWDOWN else name}", f"{span}/{DRAWDOWN}"


def pareto_front(first_S: Float, second_S: Float) -> npt.NDArray[np.bool_]:
    """Return which points no other point beats, i.e. is at least as good in both figures and better in one.

    Args:
        first_S: Figure of each point, higher is better.
        second_S: Another one, higher is better.

    Returns:
        Shape ``[S]``; equal points are on the front together.
    """
    order = np.lexsort((-second_S, -first_S))  # the best first figure first, ties by the second
    highest_S = np.maximum.accumulate(second_S[order])
    before_S = np.concatenate(([-np.inf], highest_S[:-1]))
    is_new_S = second_S[order] > before_S
    front_S = np.zeros(len(first_S), dtype=bool)
    front_S[order] = is_new_S
    for place, previous in zip(order[1:], order[:-1], strict=True):  # twins share the fate of the first of them
        if first_S[place] == first_S[previous] and second_S[place] == second_S[previous]:
            front_S[place] = front_S[previous]
    return front_S


def draw_pareto(comparison: Comparison, names: Sequence[str]) -> Chart | None:
    """Return the chart, None where no two points have both figures or one of the figures has no better direction.

    Args:
        comparison: The runs; ``trade_off`` names the figures.
        names: What to call each run.
    """
    if comparison.trade_off is None:
        return None
    horizontal, vertical = comparison.trade_off
    better = describe(horizontal).better, describe(vertical).better
    points = _points(comparison, names)
    if len(points) < 2 or 0 in better:
        return None
    x_S, y_S = (np.array([row.values[key] for _, row in points]) for key in (horizontal, vertical))
    front_S = pareto_front(better[0] * x_S, better[1] * y_S)
    ahead = np.flatnonzero(front_S)
    ahead = ahead[np.lexsort((y_S[ahead], x_S[ahead]))]
    hover = [
        f"{_escape(name)}<br>{column_title(horizontal)} {show(horizontal, row.values[horizontal])}"
        f"<br>{column_title(vertical)} {show(vertical, row.values[vertical])}"
        for name, row in points
    ]
    figure = blank(column_title(vertical), column_title(horizontal))
    faint = {"color": STRATEGY_COLOUR, "size": 7, "opacity": 0.45}
    _add(figure, "behind the front", np.flatnonzero(~front_S), (x_S, y_S), hover, faint)
    _add(figure, "Pareto front", ahead, (x_S, y_S), hover, {"color": FRONT_COLOUR, "size": 10})
    texts = [_short(points[place][0]) for place in ahead] if len(ahead) <= MAX_NAMED else None
    figure.data[-1].update(
        mode="lines+markers+text" if texts else "lines+markers",
        line={"color": FRONT_COLOUR, "width": 1.5, "dash": "dot"},
        text=texts,
        textposition=["top center" if place % 2 else "bottom center" for place in range(len(ahead))],  # less overlap
        textfont={"size": 11},
        cliponaxis=False,
    )
    for row in comparison.baselines[:3]:
        if all(math.isfinite(row.values.get(key, math.nan)) for key in (horizontal, vertical)):
            marker = {"color": HOLD_COLOUR, "size": 11, "symbol": "diamond"}
            figure.add_scatter(
                x=[row.values[horizontal]], y=[row.values[vertical]], mode="markers", name=row.label, marker=marker
            )
    figure.update_xaxes(tickformat=_format(horizontal))
    figure.update_yaxes(tickformat=_format(vertical), automargin=True)
    figure.update_layout(height=420, hovermode="closest", margin={"r": 60, "b": 48})
    return Chart("pareto", "Pareto front", _describe(comparison, len(ahead), points, better), figure, is_wide=True)


def _points(comparison: Comparison, names: Sequence[str]) -> list[tuple[str, ComparedRow]]:
    """Return name and row of every configuration that has both figures."""
    if comparison.groups:
        named = [(_settings(row), row) for row in comparison.groups]
    else:
        named = list(zip(names, comparison.runs, strict=True))
    keys = comparison.trade_off or ()
    return [(name, row) for name, row in named if all(math.isfinite(row.values.get(key, math.nan)) for key in keys)]


def _settings(row: ComparedRow) -> str:
    return ", ".join(value for value in row.settings.values() if value != ABSENT) or row.label


def _short(name: str) -> str:
    return _escape(name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…")


def _escape(text: str) -> str:
    """Return a text that plotly shows as it is: it would take tags for its own markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _format(key: str) -> str | None:
    return ".0%" if describe(key).unit == "fraction" else None


def _add(
    figure: Any,
    name: str,
    places: npt.NDArray[np.int64],
    figures: tuple[Float, Float],
    hover: Sequence[str],
    marker: dict[str, Any],
) -> None:
    x_S, y_S = figures
    texts = [hover[place] for place in places]
    figure.add_scatter(
        x=x_S[places], y=y_S[places], mode="markers", name=name, marker=marker, hovertext=texts, hoverinfo="text"
    )


def _describe(
    comparison: Comparison, num_ahead: int, points: Sequence[tuple[str, ComparedRow]], better: tuple[int, int]
) -> str:
    wishes = [
        f"{'higher' if sign > 0 else 'lower'} {column_title(key)}"
        for sign, key in zip(better, comparison.trade_off or (), strict=True)
    ]
    verb = "is" if num_ahead == 1 else "are"
    about = (
        f"{num_ahead:,} of {len(points):,} configurations {verb} beaten by no other in both figures: "
        f"{' and '.join(wishes)} are better."
    )
    if any(row.num_runs > 1 for _, row in points):
        about += " Configurations with several seeds are the means over them."
    return about
