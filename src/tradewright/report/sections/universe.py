"""Directional accuracy over many instruments, always beside its base rate and the noise floor; never a pass mark.

Markets drift, so that always guessing the more frequent direction is right more than half of the time, and a few
hundred bars scatter by several points: an accuracy says nothing without both.
"""

import math
from functools import partial

from tradewright.evaluate.evidence import Universe
from tradewright.metrics.calibration import binomial_interval
from tradewright.metrics.figures import DASH, describe, show
from tradewright.report.axes import GOOD_COLOUR, HOLD_COLOUR, STRATEGY_COLOUR, Chart, blank
from tradewright.report.chance import show_share
from tradewright.report.content import ReportContent
from tradewright.report.sections.section import Grid, Section

KEY = "universe"
CONFIDENCE = 0.95
FIGURES = ("sharpe", "total_return", "max_drawdown", "num_trades")


def build(content: ReportContent) -> Section | None:
    """Return the section, or None where one data set was judged as a whole."""
    found = content.find(KEY, Universe)
    if found is None:
        return None
    floors = {symbol: noise_floor(found, symbol) for symbol in found.accuracy}
    finding = _finding(found, floors)
    return Section(
        title="Accuracy by instrument",
        anchor=KEY,
        link="Accuracy",
        findings=(finding,),
        paragraphs=(
            "Accuracy is the share of bars with a position whose next return has the position's sign. The base rate is "
            "what always guessing the more frequent direction reaches, the noise floor the "
            f"{CONFIDENCE:.0%} binomial interval around it for as many bars. Accuracy is neither profit nor a pass "
            "mark: being right on small moves and wrong on large ones loses money.",
        ),
        grids=tuple(grid for grid in (_accuracy(found, floors), _backtests(found)) if grid),
        lines=(f"Accuracy: {finding}",),
        draw=partial(_charts, found, floors),
    )


def noise_floor(found: Universe, symbol: str) -> tuple[float, float]:
    """Return the interval in which the accuracy of guesses at the base rate falls; NaN where it is undefined."""
    number, rate = found.num_decided.get(symbol, 0), found.base_rate.get(symbol, math.nan)
    if number == 0 or math.isnan(rate):
        return math.nan, math.nan
    return binomial_interval(number, rate, CONFIDENCE)


def _finding(found: Universe, floors: dict[str, tuple[float, float]]) -> str:
    defined = [symbol for symbol, value in found.accuracy.items() if not math.isnan(value)]
    if not defined:
        return "No instrument had a position, so there is no accuracy."
    accuracy = sum(found.accuracy[symbol] for symbol in defined) / len(defined)
    rate = sum(found.base_rate[symbol] for symbol in defined) / len(defined)
    text = f"{accuracy:.1%} on average over {len(defined):,} instruments, where a constant guess reaches {rate:.1%}"
    judged = [symbol for symbol in defined if not math.isnan(floors[symbol][1])]
    if judged:
        above = sum(found.accuracy[symbol] > floors[symbol][1] for symbol in judged)
        by_chance = len(judged) * (1.0 - CONFIDENCE) / 2.0
        text += (
            f"; {above} of {len(judged):,} lie above their noise floor, where guesses at the base rate would put about "
            f"{by_chance:.1f}"
        )
    return f"{text}."


def _accuracy(found: Universe, floors: dict[str, tuple[float, float]]) -> Grid:
    rows, classes = [], {}
    for place, (symbol, value) in enumerate(sorted(found.accuracy.items(), key=lambda item: _descending(item[1]))):
        low, high = floors[symbol]
        rate = found.base_rate.get(symbol, math.nan)
        if value > high:
            classes[place, 2] = "best"
        edge = value - rate
        rows.append(
            (
                symbol,
                f"{found.num_decided[symbol]:,}" if symbol in found.num_decided else DASH,
                show_share(value),
                show_share(rate),
                DASH if math.isnan(edge) else f"{100 * edge:+.1f}",
                DASH if math.isnan(low) else f"{low:.1%} to {high:.1%}",
            )
        )
    titles = ("Instrument", "Bars", "Accuracy", "Base rate", "Difference, points", "Noise floor")
    return Grid(caption="Accuracy, best first", titles=titles, rows=tuple(rows), classes=classes)


def _descending(value: float) -> float:
    return math.inf if math.isnan(value) else -value


def _backtests(found: Universe) -> Grid | None:
    keys = [key for key in FIGURES if any(key in figures for figures in found.metrics.values())]
    if not keys:
        return None
    rows = tuple(
        (symbol, *(show(key, figures.get(key, math.nan)) for key in keys)) for symbol, figures in found.metrics.items()
    )
    titles = ("Instrument", *(describe(key).title for key in keys))
    return Grid(caption="Each instrument backtested alone", titles=titles, rows=rows)


def _charts(found: Universe, floors: dict[str, tuple[float, float]]) -> tuple[Chart, ...]:
    symbols = sorted(
        (symbol for symbol, value in found.accuracy.items() if not math.isnan(value)), key=lambda s: -found.accuracy[s]
    )
    if not symbols:
        return ()
    rates = [found.base_rate.get(symbol, math.nan) for symbol in symbols]
    values = [found.accuracy[symbol] for symbol in symbols]
    figure = blank("Share of bars", "", percent=True)
    figure.add_scatter(
        x=symbols,
        y=rates,
        mode="markers",
        name="base rate and noise floor",
        marker={"color": HOLD_COLOUR, "size": 12, "symbol": "line-ew-open", "line": {"width": 2}},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [floors[symbol][1] - rate for symbol, rate in zip(symbols, rates, strict=True)],
            "arrayminus": [rate - floors[symbol][0] for symbol, rate in zip(symbols, rates, strict=True)],
            "color": "rgba(107, 114, 128, 0.4)",
            "thickness": 6,
            "width": 0,
        },
    )
    is_above = [value > floors[symbol][1] for symbol, value in zip(symbols, values, strict=True)]
    figure.add_scatter(
        x=symbols,
        y=values,
        mode="markers",
        name="accuracy",
        marker={"size": 8, "color": [GOOD_COLOUR if above else STRATEGY_COLOUR for above in is_above]},
    )
    figure.update_layout(hovermode="x", height=340)
    figure.update_xaxes(type="category", showgrid=False, automargin=True, tickfont={"size": 10})
    about = "Dots inside the grey bars are what guesses at the base rate give; green dots lie above."
    return (Chart("accuracy", "Accuracy against the base rate", about, figure, is_wide=True),)
