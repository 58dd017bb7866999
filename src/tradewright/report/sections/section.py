"""``Section``: one part of a report as plain values, rendered by every format in its own way.

A section is made by one module of this package from what the run left; the templates know sections, not evidence, so
they do not grow with it. Charts are drawn on demand, because only a page shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

    from tradewright.report.axes import Chart

Tone = Literal["plain", "good", "warning", "bad"]
Place = tuple[int, int]

MAX_OPEN_ROWS = 12
"""Rows of a table beyond which it is folded on a page."""


def no_charts() -> tuple[Chart, ...]:
    """Draw nothing."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table of texts.

    Args:
        titles: Column titles.
        rows: Texts, as many per row as there are titles.
        caption: One line above the table.
        classes: Style by (row, column): ``own`` (bold), ``best`` (green) or ``worst`` (red).
        shades: CSS background by (row, column).
        groups: Heading before a row, by row.
        words: Columns that hold words and are aligned left.
        kind: ``wide``; ``narrow`` stands beside its like; ``heat`` is centred; ``tall`` scrolls and sorts on a click;
            ``stacked`` shows the lines of a cell below each other, ``texts`` wraps long texts besides.
    """

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    classes: Mapping[Place, str] = field(default_factory=dict)
    shades: Mapping[Place, str] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)
    words: tuple[int, ...] = (0,)
    kind: Literal["wide", "narrow", "heat", "tall", "stacked", "texts"] = "wide"

    @property
    def is_folded(self) -> bool:
        """Whether a page shows it only on a click."""
        return len(self.rows) > MAX_OPEN_ROWS and self.kind in ("wide", "narrow") and not self.groups


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of a report.

    Args:
        title: Heading.
        anchor: Its address on a page, unique.
        link: Its name in the page's navigation; the title by default.
        findings: What the section comes down to: sentences in a box of the colour of ``tone``.
        tone: Whether the findings are good news.
        paragraphs: How it was found and how to read it.
        grids: Tables.
        notes: Small print below the tables.
        lines: What the terminal prints of it; nothing by default.
        draw: Draws the charts.
        num_columns: Charts beside each other on a wide screen.
        is_urgent: Whether it stands above all others.
    """

    title: str
    anchor: str
    link: str = ""
    findings: tuple[str, ...] = ()
    tone: Tone = "plain"
    paragraphs: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
    notes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    draw: Callable[[], tuple[Chart, ...]] = no_charts
    num_columns: int = 2
    is_urgent: bool = False


def show_day(ts: np.datetime64) -> str:
    """Return a time as a date."""
    return str(ts.astype("datetime64[D]"))
