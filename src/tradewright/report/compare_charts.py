"""The charts of a comparison: equity, learning, parallel coordinates, trade-off, importance, figures as bars.

Equity is read from ``equity.parquet``, and only of the runs that are drawn.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np

from tradewright.metrics.figures import describe
from tradewright.report.axes import (
    BAD_COLOUR,
    BASELINE_COLOURS,
    DASHES,
    HOLD_COLOUR,
    INK,
    STRATEGY_COLOUR,
    Chart,
    blank,
    mark_x,
    thin,
)
from tradewright.report.compare_importance import draw_importance
from tradewright.report.compare_learning import draw_learning
from tradewright.report.compare_pareto import draw_pareto
from tradewright.report.compare_table import column_title
from tradewright.report.compared_rows import ComparedRow
from tradewright.report.comparison import Comparison
from tradewright.report.content import BUY_AND_HOLD, readable
from tradewright.report.curves import EQUITY, Equity, read_curves, strategy_curve
from tradewright.report.differences import ABSENT
from tradewright.report.settings import is_wide, numbers_of

SHARPE = "test/sharpe"
MAX_LINES = 24
"""Runs drawn as equity curves: more cannot be told apart."""

MAX_BARS = 40
"""Runs drawn as bars."""

POINTS = 500
"""Marks drawn per equity curve."""

MAX_SETTING_AXES = 7
MAX_FIGURE_AXES = 4
"""Parallel axes; more cannot be read."""

LABEL_LENGTH = 46


def draw(comparison: Comparison, ceiling: float = math.nan) -> tuple[list[Chart], list[str]]:
    """Return the charts, and one sentence for every run whose equity could not be drawn.

    Args:
        comparison: What to draw.
        ceiling: Best Sharpe ratio expected of as many trials without skill, drawn beside the runs'; NaN: not.
    """
    names = labels(comparison)
    curves, problems = _curves(comparison, names)
    learning, unread = draw_learning(comparison, names)
    charts = [
        _equity(comparison, curves),
        learning,
        _parallel(comparison),
        draw_pareto(comparison, names),
        draw_importance(comparison),
        *_bars(comparison, names, ceiling),
    ]
    return [chart for chart in charts if chart is not None], [*problems, *unread]


def labels(comparison: Comparison) -> list[str]:
    """Return a short distinct name per run: its settings where they tell the runs apart, else its path."""
    texts = [
        ", ".join(_setting(title, value) for title, value in row.settings.items() if value != ABSENT)
        for row in comparison.runs
    ]
    counts = Counter(texts)
    return [
        text if text and len(text) <= LABEL_LENGTH and counts[text] == 1 else row.label
        for row, text in zip(comparison.runs, texts, strict=True)
    ]


def _setting(title: str, value: str) -> str:
    """Return ``lr 0.01`` for a number or a flag, and a word (``ppo``) alone, as it names itself."""
    is_word = value[:1].isalpha() and value not in ("true", "false", "none", "nan", "inf")
    return value if is_word else f"{title.rpartition('.')[2]} {value}"


def _curves(comparison: Comparison, names: Sequence[str]) -> tuple[dict[str, Equity], list[str]]:
    """Return the equity of the best runs and of buy-and-hold by label; what cannot be read becomes a sentence."""
    curves: dict[str, Equity] = {}
    problems = []
    hold: Equity | None = None
    drawable = [
        (label, record)
        for label, record in zip(names, comparison.records, strict=True)
        if record.metrics and (record.path / EQUITY).is_file()
    ]
    with duckdb.connect(config={"threads": 1}) as connection:
        for label, record in drawable[:MAX_LINES]:
            try:
                found = read_curves(record, connection)
                curves[label] = strategy_curve(record, found)
                hold = found.get(BUY_AND_HOLD) if hold is None else hold
            except (duckdb.Error, LookupError) as error:
                problems.append(f"{label}: its equity is not drawn, {' '.join(str(error).split())}")
    if hold is not None:
        curves[readable(BUY_AND_HOLD)] = hold
    if len(drawable) > MAX_LINES:
        problems.append(f"Equity is drawn for the best {MAX_LINES} of {len(drawable):,} runs.")
    return curves, problems


def _equity(comparison: Comparison, curves: dict[str, Equity]) -> Chart | None:
    if not curves:
        return None
    colours = (STRATEGY_COLOUR, *BASELINE_COLOURS)
    figure = blank("Growth of 1 (equity ÷ start)", "")
    for index, (label, (ts, equity)) in enumerate(curves.items()):
        keep = thin(len(ts), POINTS)
        is_hold = label == readable(BUY_AND_HOLD)
        line = {
            "color": HOLD_COLOUR if is_hold else colours[index % len(colours)],
            "width": 2.0 if is_hold or index == 0 else 1.2,
            "dash": "solid" if is_hold else ("solid", *DASHES)[index // len(colours) % (len(DASHES) + 1)],
        }
        unit = "D" if np.all(ts == ts.astype("datetime64[D]")) else "s"
        x = [str(text) for text in np.datetime_as_string(ts[keep].astype(f"datetime64[{unit}]"))]
        figure.add_scatter(x=x, y=equity[keep] / equity[0], mode="lines", name=label, line=line)
    figure.add_hline(y=1.0, line={"color": "#9ca3af", "width": 1})
    figure.update_layout(
        height=460, hovermode="closest", legend={"orientation": "v", "x": 1.01, "y": 1, "yanchor": "top"}
    )
    return Chart(
        "equity",
        "Equity on the test range",
        f"Equity divided by its start, best run by {column_title(comparison.sort)} first; buy-and-hold in grey.",
        figure,
        has_log_toggle=all(bool(np.all(equity > 0)) for _, equity in curves.values()),
        is_wide=True,
    )


def _parallel(comparison: Comparison) -> Chart | None:
    """Draw one line per finished run through its settings and figures."""
    rows = [
        row
        for row in comparison.runs
        if row.settings
        and not any(math.isnan(row.values.get(key, math.nan)) for key in (comparison.sort, *comparison.metrics))
    ]
    titles = [title for title in comparison.titles if len({row.settings[title] for row in rows}) > 1]
    if len(rows) < 2 or not titles:
        return None
    keys = [key for key in comparison.metrics if key != comparison.sort and len({row.values[key] for row in rows}) > 1]
    dimensions = [setting_axis(title, [row.settings[title] for row in rows]) for title in titles[:MAX_SETTING_AXES]]
    dimensions += [
        {
            "label": column_title(key),
            "values": [row.values[key] for row in rows],
            "tickformat": ".0%" if describe(key).unit == "fraction" else None,
        }
        for key in [*keys[: MAX_FIGURE_AXES - 1], comparison.sort]
    ]
    figure = blank("", "")
    figure.add_parcoords(
        dimensions=dimensions,
        line={
            "color": [row.values[comparison.sort] for row in rows],
            "colorscale": "Viridis",
            "showscale": True,
            "reversescale": True,
            "colorbar": {"title": {"text": column_title(comparison.sort)}, "thickness": 12},
        },
        labelfont={"size": 12, "color": INK},
        tickfont={"size": 11, "color": INK},
        rangefont={"size": 10, "color": "#6b7280"},
    )
    figure.update_layout(height=420, margin={"l": 90, "r": 60, "t": 60, "b": 30})
    left_out = comparison.num_judged - len(rows)
    note = f" {left_out:,} runs with an undefined figure are left out." if left_out > 0 else ""
    return Chart(
        "parallel",
        "Settings and figures of every run",
        f"One line per run; drag along an axis to select, drag a title to move its axis.{note}",
        figure,
        is_wide=True,
    )


def setting_axis(title: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return a parallel axis: linear or logarithmic for numbers, evenly spaced words otherwise."""
    numbers = numbers_of(texts)
    if numbers:
        distinct = sorted(set(numbers))
        names = [f"{number:g}" for number in distinct]
        if is_wide(numbers):
            axis = {"label": f"{title} (log)", "values": [math.log10(number) for number in numbers]}
            ticks = [math.log10(number) for number in distinct]
        else:
            axis, ticks = {"label": title, "values": numbers}, distinct
        return axis | ({"tickvals": ticks, "ticktext": names} if len(distinct) <= 12 else {})
    words = sorted(set(texts))
    places = [words.index(text) for text in texts]
    return {"label": title, "values": places, "tickvals": list(range(len(words))), "ticktext": words}


def _bars(comparison: Comparison, names: Sequence[str], ceiling: float) -> list[Chart]:
    """Draw every figure as one bar per run, best run on top, with the baselines and the noise ceiling as lines."""
    pairs: list[tuple[str, ComparedRow]] = [
        (name, row)
        for name, row in zip(names, comparison.runs, strict=True)
        if not math.isnan(row.values[comparison.sort])
    ][:MAX_BARS]
    if len(pairs) < 2:
        return []
    charts: list[Chart] = []
    for key in comparison.metrics:
        unit = describe(key).unit
        figure = blank("", column_title(key))
        figure.add_bar(
            x=[row.values.get(key) if math.isfinite(row.values.get(key, math.nan)) else None for _, row in pairs],
            y=[name for name, _ in pairs],
            orientation="h",
            marker={"color": STRATEGY_COLOUR, "opacity": 0.8},
            name=column_title(key),
        )
        for baseline in comparison.baselines[:3]:
            if math.isfinite(baseline.values.get(key, math.nan)):
                line = {"color": HOLD_COLOUR, "width": 2, "dash": "dash"}
                note = {"text": baseline.label, "font": {"size": 11, "color": HOLD_COLOUR}, "yref": "paper", "y": 1.0}
                figure.add_vline(x=baseline.values[key], line=line)
                figure.add_annotation(x=baseline.values[key], yanchor="bottom", showarrow=False, **note)
        if key == SHARPE and math.isfinite(ceiling):
            mark_x(figure, ceiling, f"noise ceiling {ceiling:.2f}", BAD_COLOUR, pairs[0][0], dash="dash")
        figure.update_layout(
            height=max(200, 90 + 22 * len(pairs)), showlegend=False, hovermode="closest", margin={"l": 12, "t": 24}
        )
        figure.update_yaxes(autorange="reversed", automargin=True)
        figure.update_xaxes(tickformat=".0%" if unit == "fraction" else None)
        charts.append(
            Chart(f"bar-{len(charts)}", column_title(key), "One bar per run; the line is the baseline.", figure)
        )
    return charts
