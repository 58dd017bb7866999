"""``report=html``: one self-contained page that a person can judge a run by; it asks nothing from the network."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tradewright.metrics.figures import describe, show
from tradewright.output import write_text
from tradewright.report import tables
from tradewright.report.axes import Chart, fill_rows, payload
from tradewright.report.content import BUY_AND_HOLD, ReportContent
from tradewright.report.conventions import CONVENTIONS
from tradewright.report.page import plotly_script, render
from tradewright.report.plain_content import PlainContent
from tradewright.report.report import Report
from tradewright.report.sections.gather import gather
from tradewright.report.sections.section import Section
from tradewright.report.verdict import judge

REPORT = "report.html"
CARDS = ("total_return", "cagr", "sharpe", "max_drawdown", "num_trades", "total_fees")


class HtmlReport(Report):
    """Write ``report.html``."""

    def write(self, directory: Path, content: ReportContent) -> Path:
        """Write the page and return its path.

        Args:
            directory: The run directory.
            content: What to show.
        """
        path = directory / REPORT
        script = plotly_script(directory, shared=self.plotly == "shared")
        write_text(path, self.render(content, script))
        return path

    def render(self, content: ReportContent, script: Markup) -> str:
        """Return the page as text.

        Args:
            content: What to show.
            script: The element that loads plotly.
        """
        return render(
            "report.html.j2",
            content=content,
            verdict=judge(content),
            cards=cards(content),
            period=tables.period(content.strategy),
            conventions=CONVENTIONS,
            **_parts(gather(content, self.max_trades), content.provenance, script),
        )

    def write_plain(self, directory: Path, content: PlainContent) -> Path:
        """Write the page of a run without backtests and return its path."""
        path = directory / REPORT
        script = plotly_script(directory, shared=self.plotly == "shared")
        parts = _parts(content.sections(), content.provenance, script)
        write_text(path, render("plain.html.j2", content=content, **parts))
        return path


def _parts(sections: Iterable[Section], provenance: Any, script: Markup) -> dict[str, Any]:
    """Return what every page is filled with: sections that say something, their charts, provenance and the script."""
    drawn = [(section, _drawn(section)) for section in sections]
    shown = [(section, charts) for section, charts in drawn if charts or section.grids or section.findings]
    return {
        "sections": shown,
        "payload": Markup(payload([chart for _, charts in shown for chart in charts])),
        "provenance": flatten(provenance),
        "script": script,
    }


def _drawn(section: Section) -> tuple[Chart, ...]:
    charts = section.draw()
    return fill_rows(charts) if section.num_columns == 2 else charts


@dataclass(frozen=True)
class Card:
    """One headline figure with buy-and-hold's beneath."""

    label: str
    value: str
    versus: str


def cards(content: ReportContent) -> list[Card]:
    """Return the headline figures of the strategy beside those of buy-and-hold."""
    mine = content.figures(content.strategy.name)
    is_compared = BUY_AND_HOLD in content.names[1:]
    theirs = content.figures(BUY_AND_HOLD) if is_compared else {}
    return [
        Card(
            describe(key).label,
            show(key, mine[key]),
            f"buy and hold {show(key, theirs[key])}" if key in theirs else "",
        )
        for key in CARDS
        if key in mine
    ]


def flatten(values: Any, prefix: str = "") -> dict[str, str]:
    """Return nested mappings as dotted keys with texts, for a two-column table."""
    if not isinstance(values, dict):
        return {prefix: str(values)}
    out: dict[str, str] = {}
    for key, value in values.items():
        out |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return out
