"""The significance page of a comparison as a section: tables, sentences and charts."""

import math
from dataclasses import replace
from functools import partial

from tradewright.evaluate.evidence import Comparison
from tradewright.metrics.figures import DASH, show
from tradewright.report.axes import Chart
from tradewright.report.chance import is_degenerate, show_bounds, show_p, show_share, show_signed
from tradewright.report.content import BUY_AND_HOLD, readable
from tradewright.report.recommendation import Recommendation, is_worthy
from tradewright.report.sections.section import Grid, Section
from tradewright.report.sections.significance_charts import forest
from tradewright.report.standings import MAX_PAIRED, MIN_OVERFITTING, Standing, Standings

TITLE, ANCHOR = "Significance and recommendation", "significance"
MAX_DRAWN = 24
"""Runs drawn: more cannot be told apart."""

ROW_PIXELS = 26
"""Height of one of them."""

MAX_OPEN = 12
"""Rows of a table beyond which it scrolls."""

MAX_LISTED = 200
"""Runs listed."""

BEYOND, WORSE, DIFFER = "beyond chance", "worse than holding", "differ"
STYLES = {BEYOND: "best", WORSE: "worst"}


def significance_section(found: Standings | None, advice: Recommendation) -> Section:
    """Return the section of a comparison.

    Args:
        found: The comparable runs, or None.
        advice: The recommendation.
    """
    if found is None:
        return Section(title=TITLE, anchor=ANCHOR, findings=advice.sentences, lines=advice.sentences, tone="warning")
    first, last = (str(ts.astype("datetime64[D]")) for ts in found.span)
    num = len(found.runs)
    return Section(
        title=TITLE,
        anchor=ANCHOR,
        findings=advice.sentences,
        tone="good" if advice.run else "warning",
        paragraphs=(
            f"{num:,} {'run' if num == 1 else 'runs'} judged on the same {found.num_returns:,} returns from {first} to "
            f"{last} at the same costs. Differences of Sharpe ratios by a paired block bootstrap "
            f"({found.num_resamples:,} resamples, {found.confidence:.0%} intervals), p-values corrected for the number "
            "of comparisons in each table.",
        ),
        grids=tuple(
            grid for grid in (_runs(found), _pairs(found), _facts(found), _repeated(found), _excluded(found)) if grid
        ),
        notes=_notes(found)[:1] if found.repeated else (),
        lines=(*advice.sentences, *_notes(found)),
        draw=partial(_charts, found),
        num_columns=1,
    )


def _runs(found: Standings) -> Grid:
    rows, classes = [], {}
    for place, run in enumerate(found.runs[:MAX_LISTED]):
        finding = _verdict(run, found)
        rows.append((run.label, show("sharpe", run.sharpe), *_hold(run), show_share(run.deflated_sharpe), finding))
        if finding in STYLES:
            classes[place, 7] = STYLES[finding]
    left = len(found.runs) - len(rows)
    return Grid(
        caption=f"Every run against {readable(BUY_AND_HOLD)}" + (f" (best {len(rows)}, {left:,} more)" if left else ""),
        titles=("Run", "Sharpe", "Difference", "Interval", "p-value", "Corrected", "Deflated Sharpe", "Finding"),
        rows=tuple(rows),
        classes=classes,
        words=(0, 7),
        kind="tall" if len(rows) > MAX_OPEN else "wide",
    )


def _hold(run: Standing) -> tuple[str, ...]:
    return (DASH, DASH, DASH, DASH) if run.hold is None else _cells(run.hold)


def _cells(one: Comparison) -> tuple[str, ...]:
    return show_signed(one.sharpe.value), show_bounds(one.sharpe), show_p(one.p_value), show_p(one.adjusted_p_value)


def _verdict(run: Standing, found: Standings) -> str:
    """Return what may be said about one run in a few words."""
    if run.hold is None or math.isnan(run.hold.adjusted_p_value):
        return "cannot be judged"
    if run.hold.sharpe.low == run.hold.sharpe.high:
        return "the same"
    if is_worthy(run, found.confidence):
        return BEYOND
    if run.hold.adjusted_p_value > 1.0 - found.confidence:
        return "may be chance"
    if run.hold.sharpe.value < 0:
        return WORSE
    if is_degenerate(run.record.metrics):
        return "decides little or nothing"
    return "explained by the number of trials"


def _pairs(found: Standings) -> Grid | None:
    if not found.pairs:
        return None
    rows, classes = [], {}
    for place, (label, one) in enumerate(found.pairs):
        finding = _pair_finding(one, found.confidence)
        rows.append((label, one.name, *_cells(one), finding))
        if finding == DIFFER:
            classes[place, 6] = "best"
    is_whole = len(rows) == math.comb(len(found.runs), 2)
    return Grid(
        caption="Runs against each other" if is_whole else f"The best {MAX_PAIRED} runs against each other",
        titles=("Run", "Against", "Difference", "Interval", "p-value", "Corrected", "Finding"),
        rows=tuple(rows),
        classes=classes,
        words=(0, 1, 6),
        kind="tall" if len(rows) > MAX_OPEN else "wide",
    )


def _pair_finding(one: Comparison, confidence: float) -> str:
    if one.adjusted_p_value <= 1.0 - confidence:
        return DIFFER
    if one.sharpe.low == one.sharpe.high:
        return "the same"
    return "not tested" if math.isnan(one.adjusted_p_value) else "may be chance"


def _facts(found: Standings) -> Grid:
    source = "across the recorded trials" if found.deviation_source == "trials" else "of returns without skill"
    superior = [run.label for run in found.runs if run.is_superior]
    rows = [
        ("Trials", f"{found.num_trials:,}", "distinct configurations on these data, from the ledgers and these runs"),
        (
            "Noise ceiling",
            show("sharpe", found.noise_ceiling),
            f"expected best Sharpe ratio of as many without skill, by the deviation {source}",
        ),
    ]
    if len(found.runs) >= MIN_OVERFITTING:
        rows.append(
            (
                "Overfitting",
                show_share(found.overfitting.probability),
                "probability that the best of these runs on one half of the time is below the median on the other",
            )
        )
    if not math.isnan(found.superiority_p_value):
        rows.append(
            (
                "Superior predictive ability",
                show_p(found.superiority_p_value),
                f"p-value that no run earns more than {readable(BUY_AND_HOLD)} (Hansen)",
            )
        )
        names = ", ".join(superior[:6]) + (f" and {len(superior) - 6:,} more" if len(superior) > 6 else "")
        found_by = f"runs that earn more: {names}" if superior else "runs that earn more"
        rows.append(("StepM", f"{len(superior):,}", found_by))
    return Grid(caption="All runs together", titles=("Figure", "Value", "Meaning"), rows=tuple(rows), words=(0, 2))


def _notes(found: Standings) -> tuple[str, ...]:
    """Return the sentences about runs that were left out."""
    notes = []
    if found.repeated:
        num, (label, kept) = len(found.repeated), found.repeated[0]
        runs = "run repeats" if num == 1 else "runs repeat"
        others = "" if num == 1 else f" and {num - 1:,} more"
        notes.append(
            f"{num:,} {runs} the returns of another and {'is' if num == 1 else 'are'} left out of the tests: {label} "
            f"equals {kept}{others}."
        )
    if found.excluded:
        num, (label, reason) = len(found.excluded), found.excluded[0]
        runs, others = ("run", "") if num == 1 else ("runs", f" and {num - 1:,} more")
        notes.append(f"{num:,} finished {runs} cannot be compared with the others: {label}, {reason}{others}.")
    return tuple(notes)


def _repeated(found: Standings) -> Grid | None:
    if not found.repeated:
        return None
    return Grid(
        caption="Runs left out because they repeat another",
        titles=("Run", "Has the returns of"),
        rows=found.repeated,
        words=(0, 1),
    )


def _excluded(found: Standings) -> Grid | None:
    if not found.excluded:
        return None
    return Grid(
        caption="Finished runs that cannot be compared with these",
        titles=("Run", "Reason"),
        rows=found.excluded,
        words=(0, 1),
    )


def _charts(found: Standings) -> tuple[Chart, ...]:
    holds = {
        run.label: run.hold.sharpe
        for run in found.runs[:MAX_DRAWN]
        if run.hold is not None and math.isfinite(run.hold.sharpe.low)
    }
    if not holds:
        return ()
    about = (
        f"Sharpe ratio minus that of {readable(BUY_AND_HOLD)} on the same bars, {found.confidence:.0%} intervals; "
        "where one crosses zero, the two cannot be told apart."
    )
    chart = forest("against-hold", f"Difference from {readable(BUY_AND_HOLD)}", about, holds)
    chart.figure.update_layout(height=96 + ROW_PIXELS * len(holds))
    chart.figure.update_yaxes(automargin=True)
    return (replace(chart, is_wide=True),)
