"""Every section that a run has something to say in, in reading order."""

from tradewright.report.content import ReportContent
from tradewright.report.sections import (
    answers,
    costs,
    course,
    decisions,
    degenerate,
    figures,
    filtered,
    folds,
    forecasts,
    leaks,
    random_entry,
    significance,
    trades,
    universe,
)
from tradewright.report.sections.section import Section

EVIDENCE = (
    answers.build,
    forecasts.build,
    significance.build,
    random_entry.build,
    folds.build,
    universe.build,
    degenerate.build,
    filtered.build,
    leaks.build,
)
"""Builders of the sections that the terminal has lines of; each returns None without its evidence."""


def gather(content: ReportContent, max_trades: int) -> tuple[Section, ...]:
    """Return the sections of a report, urgent ones first.

    Args:
        content: What to show.
        max_trades: Closed trades listed.
    """
    sections = (
        course.build_course(content),
        significance.build(content),
        random_entry.build(content),
        course.build_months(content),
        course.build_drawdowns(content),
        figures.build_statistics(content),
        folds.build(content),
        universe.build(content),
        answers.build(content),
        forecasts.build(content),
        decisions.build(content),
        filtered.build(content),
        trades.build(content, max_trades),
        costs.build(content),
        figures.build_learning(content.curves),
        figures.build_ranges(content),
        degenerate.build(content),
        leaks.build(content),
    )
    return tuple(sorted((section for section in sections if section), key=_urgency))


def terminal_lines(content: ReportContent) -> tuple[tuple[str, str], ...]:
    """Return what the terminal prints of the evidence: tone and line, urgent ones first."""
    found = [section for section in (build(content) for build in EVIDENCE) if section]
    found.sort(key=_urgency)
    return tuple((section.tone, line) for section in found for line in section.lines)


def _urgency(section: Section) -> tuple[bool, bool]:
    """Return what sorts urgent sections first, bad news before warnings."""
    return not section.is_urgent, section.is_urgent and section.tone != "bad"
