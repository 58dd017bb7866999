"""``compare.html``: the comparison as one self-contained page beside the runs."""

import math
from pathlib import Path

from markupsafe import Markup

from tradewright.output import write_text
from tradewright.report import compare_charts
from tradewright.report.axes import payload
from tradewright.report.compare_table import (
    SEEDS_CAPTION,
    cautions,
    column_title,
    difference_caption,
    reasons,
    show_cell,
    show_duration,
)
from tradewright.report.comparison import Comparison
from tradewright.report.page import plotly_script, render
from tradewright.report.sections.section import Section

COMPARE_PAGE = "compare.html"
MAX_LISTED = 1_000
"""Runs listed on the page."""


def write_page(comparison: Comparison, folder: Path, section: Section | None = None, ceiling: float = math.nan) -> Path:
    """Write the page into ``folder`` and return its path.

    Args:
        comparison: The runs.
        folder: Folder of the page.
        section: What of it is beyond chance.
        ceiling: Best Sharpe ratio expected of as many trials without skill, drawn beside those of the runs.
    """
    charts, problems = compare_charts.draw(comparison, ceiling)
    evidence = section.draw() if section else ()
    runs = comparison.runs[:MAX_LISTED]
    links = [_link(row.path, folder) for row in runs]
    path = folder / COMPARE_PAGE
    page = render(
        "compare.html.j2",
        comparison=comparison,
        folder=folder.name or str(folder),
        runs=list(zip(runs, links, strict=True)),
        best=comparison.best(runs),
        best_groups=comparison.best(comparison.groups),
        charts=charts,
        section=section,
        evidence=evidence,
        payload=Markup(payload([*charts, *evidence])),
        notes=[*cautions(comparison), *problems],
        column_title=column_title,
        show_cell=show_cell,
        seeds_caption=SEEDS_CAPTION,
        show_duration=show_duration,
        show_value=_show_value,
        reasons=reasons(runs),
        difference_caption=difference_caption(comparison),
        script=plotly_script(folder, shared=False),
    )
    write_text(path, page)
    return path


def _show_value(value: float) -> str:
    """Return the number that the table is sorted by, an empty text where it is undefined."""
    return f"{value:.9g}" if math.isfinite(value) else ""


def _link(run: Path | None, folder: Path) -> str:
    """Return the run's report relative to the page, or an empty text if it has none."""
    if run is None:
        return ""
    report = run / "report.html"
    inside = report.is_file() and run.absolute().is_relative_to(folder.absolute())
    return report.absolute().relative_to(folder.absolute()).as_posix() if inside else ""
