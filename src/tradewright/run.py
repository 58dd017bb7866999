"""The spine: one run from a checked configuration to a judged, reported, comparable run directory.

Order: run directory -> data -> strategy (trained, loaded or a rule), chosen by validation -> judged once on the test
range beside the baselines -> metrics, trades, report. Nothing heavy is imported here: a task that trains does that.
"""

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tradewright.callbacks.session import Session, session_group, session_parameters
from tradewright.config.build import build
from tradewright.evaluate.backtest import Judgement
from tradewright.ledger import Ledger
from tradewright.output import CHECKPOINTS, CONFIG, METRICS, Status, write_json, write_manifest, write_text
from tradewright.provenance import Origin, run_origin, write_provenance
from tradewright.report.content import ReportContent
from tradewright.report.export import export_results
from tradewright.report.report import Report
from tradewright.report.terminal import print_summary, write_summary
from tradewright.task.context import Context

log = logging.getLogger(__name__)


def run(cfg: DictConfig, *, directory: Path, resume: bool = False, origin: Origin | None = None) -> dict[str, float]:
    """Execute one run and return its metrics.

    Args:
        cfg: The resolved, checked configuration.
        directory: The run directory; created if missing.
        resume: Continue from the directory's newest checkpoint.
        origin: What the command line chose; None: the current Hydra job's.

    Returns:
        The content of ``metrics.json``; undefined figures are NaN.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_text(directory / CONFIG, OmegaConf.to_yaml(cfg, resolve=True))
    origin = origin or run_origin(directory)
    with Status(directory):
        task = build(cfg.task, key="task")
        bench = task.market(cfg)
        provenance = write_provenance(directory, cfg=cfg, origin=origin, panel=bench.panel, resume=resume)
        evaluation, report = build(cfg.evaluate, key="evaluate"), build(cfg.report, key="report")
        context = Context(
            cfg=cfg, directory=directory, resume=resume, origin=origin, bench=bench, evaluation=evaluation
        )
        with _session(context, provenance) as session:
            strategy = task.strategy(context)
            judgement = evaluation.judge(bench, strategy)
            if session is not None:
                session.metrics = judgement.metrics
            if task.is_trial:
                _ledger(context).record(
                    trial=provenance["trial"],
                    data_fingerprint=bench.panel.fingerprint,
                    run=directory.name,
                    state="done",
                )
            _record(context, judgement, provenance, task.curves, report)
    return judgement.metrics


def _session(context: Context, provenance: dict[str, Any]) -> Session | nullcontext[None]:
    """Return the record for TensorBoard's comparison, unless no TensorBoard logger is configured."""
    if "tensorboard" not in context.cfg.logger:
        return nullcontext()
    parameters = session_parameters(context.cfg, context.origin.choices, context.origin.overrides)
    group = session_group(provenance["trial"], context.bench.panel.fingerprint)
    return Session(context.directory, parameters, group)


def _ledger(context: Context) -> Ledger:
    return Ledger(Path(context.cfg.output_dir) / context.cfg.name)


def _record(
    context: Context, judgement: Judgement, provenance: dict[str, Any], curves: dict[str, Any], report: Report
) -> None:
    """Write everything a judged run leaves behind, and print the summary."""
    directory, panel = context.directory, context.bench.panel
    export_results(directory, judgement.results, formats=report.formats)
    content = _content(context, judgement, provenance, curves, num_trials=_ledger(context).count(panel.fingerprint))
    path = report.write(directory, content)
    write_json(directory / METRICS, judgement.metrics)
    write_summary(directory, content, report=path)
    places = {"bars": f"{context.cfg.store}/bars", "features": f"{context.cfg.store}/features"}
    write_manifest(directory, {**places, "checkpoints": CHECKPOINTS, "report": path.name if path else ""})
    print_summary(content, report=path)


def _content(
    context: Context, judgement: Judgement, provenance: dict[str, Any], curves: dict[str, Any], *, num_trials: int
) -> ReportContent:
    bench, cfg = context.bench, context.cfg
    results = judgement.results
    notes = [bench.panel.note] if bench.panel.note else []
    notes.append(f"Trials of experiment '{cfg.name}' on these data so far: {num_trials} (trials.jsonl).")
    return ReportContent(
        title=f"{next(name for _, name in results)} on {bench.panel.dataset}",
        experiment=cfg.name,
        run=context.directory.name,
        command=" ".join(provenance["command_line"]),
        config_yaml=(context.directory / CONFIG).read_text(),
        provenance=provenance,
        results=tuple(result for (span, _), result in results.items() if span == "test"),
        metrics=judgement.metrics,
        notes=tuple(notes),
        validation=next(result for (span, _), result in results.items() if span == "validation"),
        curves=curves,
        periods={
            name: (bench.panel.ts_T[rows.start], bench.panel.ts_T[rows.stop - 1])
            for name, rows in vars(bench.ranges).items()
        },
        risk_free=context.evaluation.risk_free,
    )
