"""The leak detector's answer: that nothing of what was checked knows the future, or what does."""

from tradewright.evaluate.evidence import Leak, Leaks
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
    findings = tuple(_sentence(leak) for leak in found.leaks) or (f"No leak in {len(found.checked):,} checks.",)
    return Section(
        title="The future leaks into the past" if found.leaks else "Leaks",
        anchor=KEY,
        link="Leaks",
        findings=findings,
        tone="bad" if found.leaks else "good",
        paragraphs=(METHOD.format(cuts=found.num_cuts),),
        grids=tuple(grid for grid in (_checked(found), _drift(found)) if grid),
        lines=tuple(f"LEAK: {finding}" for finding in findings) if found.leaks else findings,
        is_urgent=bool(found.leaks),
    )


def _sentence(leak: Leak) -> str:
    where = f" of {leak.symbol}" if leak.symbol else ""
    how = "were cut off" if leak.method == "truncation" else "were changed"
    return (
        f"The {leak.kind} {leak.name}{where} at {_time(leak.ts)} changed from {_value(leak.before)} to "
        f"{_value(leak.after)} when only bars after {_time(leak.cut_ts)} {how}."
    )


def _checked(found: Leaks) -> Grid | None:
    if not found.checked:
        return None
    culprits = {leak.name for leak in found.leaks}
    rows = tuple((name, "leaks" if name in culprits else "clean") for name in found.checked)
    classes = {(row, 1): "worst" for row, (name, _) in enumerate(rows) if name in culprits}
    return Grid(caption="Checked", titles=("Value", "Result"), rows=rows, classes=classes, kind="narrow")


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
        kind="narrow",
    )


def _time(ts: object) -> str:
    return str(ts)[:16].replace("T00:00", "").replace("T", " ")


def _value(value: float | str) -> str:
    return f"'{value[:60]}'" if isinstance(value, str) else f"{value:.6g}"
