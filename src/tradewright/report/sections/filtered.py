"""What the filters of risk did: which decisions became no order, or a smaller one, and why."""

from collections.abc import Sequence

import numpy as np

from tradewright.evaluate.evidence import Filtered
from tradewright.metrics.figures import DASH
from tradewright.report.content import ReportContent
from tradewright.report.sections.section import Grid, Section
from tradewright.risk.decisions import Blocked, count_reasons

KEY = "filtered"
WORDS = {
    "confidence": "less sure than the threshold: HOLD",
    "hours": "outside the market hours",
    "min_volatility": "volatility too low, or not known yet",
    "max_volatility": "volatility too high",
    "liquidity_impact": "the last swap took too much of the pool",
    "position_limit": "the position is at its limit",
    "nothing_held": "nothing is held that could be sold",
    "slippage": "the order would move the pool's price too far",
}
MAX_ROWS = 100
"""Decisions listed one by one; the table of reasons counts them all."""


def build(content: ReportContent) -> Section | None:
    """Return the section, or None where the strategy has no filters."""
    found = content.find(KEY, Filtered)
    if found is None:
        return None
    blocked = found.blocked
    line = _line(blocked)
    return Section(
        title="Filters",
        anchor=KEY,
        findings=(line,),
        paragraphs=(
            "Filters stand between a decision and its order; each sees what is known at the decision, in the order: "
            "confidence, hours, volatility, liquidity impact, position, slippage. The first that refuses is named.",
        ),
        grids=(_reasons(blocked), _list(blocked)) if blocked else (),
        notes=(f"The first {MAX_ROWS} of {len(blocked):,} are listed.",) if len(blocked) > MAX_ROWS else (),
        lines=(line,),
    )


def _line(blocked: Sequence[Blocked]) -> str:
    if not blocked:
        return "Filters: every decision to trade became an order."
    cut = sum(one.allowed > 0 for one in blocked)
    top = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in count_reasons(blocked).items())
    return f"Filters: {len(blocked) - cut:,} decisions blocked and {cut:,} cut ({top})."


def _reasons(blocked: Sequence[Blocked]) -> Grid:
    rows = tuple(
        (
            reason.replace("_", " "),
            f"{count:,}",
            f"{sum(one.action == 'BUY' for one in blocked if one.reason == reason):,}",
            f"{sum(one.action == 'SELL' for one in blocked if one.reason == reason):,}",
            WORDS[reason],
        )
        for reason, count in count_reasons(blocked).items()
    )
    return Grid(
        caption="Blocked and cut decisions by reason",
        titles=("Filter", "Decisions", "Buys", "Sells", "Meaning"),
        rows=rows,
        words=(0, 4),
    )


def _list(blocked: Sequence[Blocked]) -> Grid:
    rows = tuple(
        (
            str(one.ts.astype("datetime64[s]")).replace("T", " "),
            one.action,
            f"{one.size:.1%}",
            f"{one.allowed:.1%}",
            one.reason.replace("_", " "),
            _number(one.value),
            _number(one.limit),
        )
        for one in blocked[:MAX_ROWS]
    )
    titles = ("Bar (UTC)", "Decision", "Size", "Allowed", "Filter", "Found", "Limit")
    return Grid(caption="Decisions", titles=titles, rows=rows, words=(0, 1, 4), kind="tall")


def _number(value: float) -> str:
    return DASH if np.isnan(value) else f"{value:.4g}"
