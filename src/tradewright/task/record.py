"""Writes everything that a judged run leaves behind, and prints its summary."""

from typing import Any

import numpy as np

from tradewright.config.locate import class_attribute
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.evaluate.bench import Judgement
from tradewright.evaluate.evidence import Folds, Significance, UpperLine
from tradewright.output import CHECKPOINTS, CONFIG, METRICS, write_curves, write_json, write_manifest
from tradewright.report.content import ReportContent
from tradewright.report.export import export_results
from tradewright.report.report import Report
from tradewright.report.terminal import print_summary, write_summary
from tradewright.task.context import Context
from tradewright.task.task import Task

SATURDAY = 5
WEEKEND_SHARE = 0.05
"""A stray weekend session is no seven-day market; every seventh bar is."""
WEEKDAY_CALENDARS = {"equity", "forex", "futures"}


def record(context: Context, judgement: Judgement, provenance: dict[str, Any], task: Task, report: Report) -> None:
    """Write trades, equity, report, figures and manifest; print the summary."""
    directory = context.directory
    export_results(directory, judgement.results, formats=report.formats)
    write_curves(directory, task.curves)
    content = _content(context, judgement, provenance, task)
    path = report.write(directory, content)
    write_json(directory / METRICS, judgement.metrics)
    write_summary(directory, content, report=path)
    store = context.cfg.store
    places = {"bars": f"{store}/bars", "features": f"{store}/features", "checkpoints": CHECKPOINTS}
    write_manifest(directory, {**places, "report": path.name if path else ""})
    print_summary(content, report=path)


def _content(context: Context, judgement: Judgement, provenance: dict[str, Any], task: Task) -> ReportContent:
    bench, cfg, results = context.bench, context.cfg, judgement.results
    tested = [result for (span, _), result in results.items() if span == "test"]
    return ReportContent(
        title=f"{tested[0].name} on {bench.panel.dataset}",
        experiment=cfg.name,
        run=context.directory.name,
        command=" ".join(provenance["command_line"]),
        config_yaml=(context.directory / CONFIG).read_text(),
        provenance=provenance,
        results=tuple(tested),
        metrics=judgement.metrics,
        notes=_notes(context, judgement, task),
        validation=next((result for (span, _), result in results.items() if span == "validation"), None),
        curves=task.curves,
        periods={} if "folds" in judgement.evidence else _periods(bench.panel, vars(bench.ranges)),
        risk_free=context.evaluation.risk_free,
        evidence={**judgement.evidence, **task.evidence},
    )


def _notes(context: Context, judgement: Judgement, task: Task) -> tuple[str, ...]:
    bench, evidence = context.bench, judgement.evidence
    panel = bench.panel
    notes = [panel.note] if panel.note else []
    is_joint = class_attribute(str(context.cfg.env._target_), "is_joint") is True
    if bench.features is not None and len(panel.symbols) > 1 and not is_joint:
        notes.append(
            f"The agent saw each of the {len(panel.symbols)} instruments in an account of its own with an equal part of"
            " the capital; all are judged in one joint account, whose weights drift from what it saw."
        )
    notes += weekend_hint(panel)
    upper_line = evidence.get("upper_line")
    if isinstance(upper_line, UpperLine):
        notes.append(upper_line.note)
    significance, folds = evidence.get("significance"), evidence.get("folds")
    if isinstance(significance, Significance):
        notes.append(f"Trials of experiment '{context.cfg.name}' on these data: {significance.num_trials}.")
    if isinstance(folds, Folds) and folds.kind != "walk_forward":
        notes.append("Folds train on bars before and after those they are judged on: nobody could have traded this.")
    return (*notes, *task.notes)


def weekend_hint(panel: Panel) -> list[str]:
    """Return a sentence where bars lie on weekends although the calendar has none, so that ratios are off."""
    weekday_T = (panel.ts_T.astype("datetime64[D]").astype(np.int64) + 3) % 7
    calendars = {instrument.calendar for instrument in panel.instruments}
    share = float(np.mean(weekday_T == SATURDAY))
    if calendars & WEEKDAY_CALENDARS and share > WEEKEND_SHARE:
        return [
            f"{share:.0%} of the bars lie on Saturdays, but ratios are annualised with {panel.periods_per_year:g} days"
            " a year: set data.calendar=crypto if the market never closes."
        ]
    return []


def _periods(panel: Panel, ranges: dict[str, Any]) -> dict[str, tuple[np.datetime64, np.datetime64]]:
    return {
        name: (panel.ts_T[rows.start], panel.ts_T[rows.stop - 1])
        for name, rows in ranges.items()
        if isinstance(rows, Range)
    }
