"""The leak detector's answer: that nothing of what was checked knows the future, or what does."""

from tradewright.evaluate.evidence import Leaks
from tradewright.evaluate.leaks import describe
from tradewright.metrics.figures import DASH
from tradewright.report.content import ReportContent
from tradewright.report.sections.section import Grid, Section

KEY = "leaks"
METHOD = (
    "Each value is computed again with the bars after a cut removed (truncation) or changed (perturbation), at {cuts} "
    "random cuts; one that changes before the cut has seen the future."
)


def build(content: ReportContent) -> Section | None:
    """Return the section, or None where leaks were not looked for."""
    found = content.find(KEY, Leaks)
    if found is None:
        return None
    findings = (*(f"{describe(leak)}." for leak in found.leaks), *(f"No verdict: {fault}" for fault in found.faults))
    is_clean = not findings
    clean = f"No leak in {', '.join(found.checked)}." if found.checked else "Nothing was checked for leaks."
    return Section(
        title="The future leaks into the past" if found.leaks else "Leaks",
        anchor=KEY,
        link="Leaks",
        findings=findings or (clean,),
        tone=("good" if found.checked else "warning") if is_clean else "bad" if found.leaks else "warning",
        paragraphs=(METHOD.format(cuts=found.num_cuts),),
        grids=tuple(grid for grid in (_drift(found),) if grid),
        lines=(clean,) if is_clean else tuple(f"LEAK: {line}" for line in findings),
        is_urgent=not is_clean,
    )


def _drift(found: Leaks) -> Grid | None:
    bars = sorted({warm_up for by_bars in found.drift.values() for warm_up in by_bars})
    if not bars:
        return None
    rows = tuple(
        (name, *(f"{by_bars[warm_up]:.2g}" if warm_up in by_bars else DASH for warm_up in bars))
        for name, by_bars in sorted(found.drift.items(), key=lambda item: -max(item[1].values(), default=0.0))
    )
    return Grid(
        caption="Warm-up: relative drift of the last value when it is computed from so many bars only",
        titles=("Feature", *(f"{warm_up:,} bars" for warm_up in bars)),
        rows=rows,
    )
