"""The warning that a strategy decides nothing, no section where it does; and the cautions, which are notes."""

from tradewright.evaluate.evidence import Degenerate
from tradewright.report.content import ReportContent
from tradewright.report.sections.section import Section

KEY = "degenerate"


def build(content: ReportContent) -> Section | None:
    """Return the warning, or None for a strategy without finding."""
    found = content.find(KEY, Degenerate)
    if found is None or not found.findings:
        return None
    return Section(
        title="This strategy decides little",
        anchor=KEY,
        link="Warning",
        findings=found.findings,
        tone="warning",
        paragraphs=("Figures say something about skill only where a strategy chose something.",),
        lines=tuple(f"Warning: {finding}" for finding in found.findings),
        is_urgent=True,
    )


def cautions(content: ReportContent) -> tuple[str, ...]:
    """Return what to keep in mind about the trades of a strategy that may well be sane."""
    found = content.find(KEY, Degenerate)
    return found.cautions if found else ()
