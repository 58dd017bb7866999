"""Small pictures of a run's equity and drawdown for loggers that show images, drawn by Pillow.

Pillow comes with TensorBoard; plotly would need a browser to draw a file.
Legend: T bars, K points that are drawn.
"""

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tradewright.backtest.result import BacktestResult
from tradewright.metrics.history import Float, Time
from tradewright.report.axes import BASELINE_COLOURS, GRID, HOLD_COLOUR, INK, STRATEGY_COLOUR, thin
from tradewright.report.content import BUY_AND_HOLD, readable

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 44, 30
"""Pixels around the axes."""

SCALE = 2
"""Lines are drawn larger and scaled down, which smooths them."""

FONT_SIZE = 13
MAX_LINES = 4
"""The strategy and three baselines: a small picture holds no more."""

MAX_TICKS = 5
Results = Mapping[tuple[str, str], BacktestResult]


def draw_pictures(results: Results) -> dict[str, bytes]:
    """Return PNG files by tag, e.g. ``test/equity`` and ``test/drawdown``, for every range that was judged.

    Args:
        results: Backtests by range and name; the strategy is the first of its range.
    """
    pictures = {}
    for span in dict.fromkeys(span for span, _ in results):
        own = [(name, result) for (part, name), result in results.items() if part == span]
        hold = [one for one in own[1:] if one[0] == BUY_AND_HOLD]
        others = [one for one in own[1:] if one[0] != BUY_AND_HOLD and not _hides(one[1], hold)]
        shown = [own[0], *hold, *others][:MAX_LINES]
        growth = {readable(name): (result.ts_T, result.equity_T / result.initial_cash) for name, result in shown}
        falls = {name: (ts_T, drawdown(growth_T)) for name, (ts_T, growth_T) in growth.items()}
        pictures[f"{span}/equity"] = draw_lines(f"Growth of 1, {span} range", growth)
        pictures[f"{span}/drawdown"] = draw_lines(f"Drawdown, {span} range", falls, is_percent=True)
    return pictures


def _hides(result: BacktestResult, hold: Sequence[tuple[str, BacktestResult]]) -> bool:
    """Return whether a baseline is buy-and-hold under another name, as equal weights of one instrument are."""
    return any(np.array_equal(result.equity_T, other.equity_T) for _, other in hold)


def drawdown(growth_T: Float) -> Float:
    """Return how far each value is below the highest so far, the start of 1 among them; a fraction <= 0."""
    return growth_T / np.maximum.accumulate(np.maximum(growth_T, 1.0)) - 1.0


def draw_lines(title: str, lines: Mapping[str, tuple[Time, Float]], *, is_percent: bool = False) -> bytes:
    """Return a PNG file of lines over time; undefined values leave gaps.

    Args:
        title: Above the axes.
        lines: Times and values by name, drawn last to first, so that the first is on top.
        is_percent: Whether the values are fractions that read as percent.
    """
    from PIL import Image, ImageDraw, ImageFont  # imported by need: a run without a logger draws nothing

    known = np.concatenate([values[np.isfinite(values)] for _, values in lines.values()])
    ticks = nice_ticks(float(known.min()), float(known.max())) if len(known) else np.array([0.0, 1.0])
    times = [ts.astype("datetime64[s]").astype(np.float64) for ts, _ in lines.values()]
    first, last = min(ts[0] for ts in times), max(ts[-1] for ts in times)
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(FONT_SIZE * SCALE)

    def x_of(seconds: Float) -> Float:
        return SCALE * (LEFT + (WIDTH - LEFT - RIGHT) * (seconds - first) / max(1.0, last - first))

    def y_of(values: Float) -> Float:
        return SCALE * (HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (values - ticks[0]) / (ticks[-1] - ticks[0]))

    draw.text((SCALE * 8, SCALE * 6), title, fill=INK, font=font)
    edge, bottom = SCALE * (WIDTH - RIGHT), SCALE * (HEIGHT - BOTTOM + 6)
    for tick, y in zip(ticks, y_of(ticks), strict=True):
        draw.line([(SCALE * LEFT, y), (edge, y)], fill=GRID, width=SCALE)
        text = f"{tick:.3g}" if not is_percent else f"{tick:.0%}"
        draw.text((SCALE * (LEFT - 6), y), text, fill=INK, font=font, anchor="rm")
    for x, seconds, anchor in ((SCALE * LEFT, first, "la"), (edge, last, "ra")):
        day = str(np.datetime64(int(seconds), "s").astype("datetime64[D]"))
        draw.text((x, bottom), day, fill=INK, font=font, anchor=anchor)
    colours = _colours(list(lines))
    for (name, (_, values)), seconds_T in reversed(list(zip(lines.items(), times, strict=True))):
        keep = thin(len(values), WIDTH - LEFT - RIGHT)
        _polyline(draw, x_of(seconds_T[keep]), y_of(values[keep]), colours[name])
    place = SCALE * LEFT
    for name, colour in colours.items():
        draw.line([(place, SCALE * 32), (place + SCALE * 18, SCALE * 32)], fill=colour, width=3 * SCALE)
        draw.text((place + SCALE * 24, SCALE * 32), name, fill=INK, font=font, anchor="lm")
        place += round(SCALE * 40 + draw.textlength(name, font=font))
    buffer = io.BytesIO()
    image.resize((WIDTH, HEIGHT), Image.Resampling.BOX).save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def _polyline(draw: "ImageDraw", x_K: Float, y_K: Float, colour: str) -> None:
    """Draw the parts of a line between undefined values."""
    is_known_K = np.isfinite(y_K)
    for part in np.split(np.arange(len(y_K)), np.flatnonzero(np.diff(is_known_K)) + 1):
        if len(part) > 1 and is_known_K[part[0]]:
            points = [(float(x), float(y)) for x, y in zip(x_K[part], y_K[part], strict=True)]
            draw.line(points, fill=colour, width=2 * SCALE, joint="curve")


def _colours(names: Sequence[str]) -> dict[str, str]:
    """Return the colours of the report: the strategy blue, buy-and-hold grey."""
    free = iter(BASELINE_COLOURS)
    hold = readable(BUY_AND_HOLD)
    return {
        name: STRATEGY_COLOUR if place == 0 else HOLD_COLOUR if name == hold else next(free)
        for place, name in enumerate(names)
    }


def nice_ticks(low: float, high: float) -> Float:
    """Return a few round numbers from at or below ``low`` to at or above ``high``.

    >>> nice_ticks(0.93, 1.42).tolist()
    [0.8, 1.0, 1.2, 1.4, 1.6]
    """
    spread = high - low or max(abs(high), 1.0)
    raw = spread / (MAX_TICKS - 1)
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(base * factor for factor in (1, 2, 5, 10) if base * factor >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return np.round(np.arange(first, max(last, first + 1) + 1) * step, 12)
