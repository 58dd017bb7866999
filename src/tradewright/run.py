"""The spine: one run from a checked configuration to a judged, reported, comparable run directory.

Order: run directory -> data -> strategy (trained, loaded or a rule), chosen by validation -> judged once on the test
range beside the baselines -> metrics, trades, report. Nothing heavy is imported here: a task that trains does that.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tradewright.callbacks.session import Session, session_group, session_parameters
from tradewright.config.build import build
from tradewright.ledger import Ledger
from tradewright.output import CONFIG, Status, hold, write_text
from tradewright.provenance import Origin, run_origin, write_provenance
from tradewright.task.context import Context
from tradewright.task.fitting import Fitting
from tradewright.task.record import record
from tradewright.task.task import Task


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
    origin = origin or run_origin(directory)
    with hold(directory), Status(directory):
        task: Task = build(cfg.task, key="task")
        cfg = task.configured(cfg)
        write_text(directory / CONFIG, OmegaConf.to_yaml(cfg, resolve=True))
        bench = task.market(cfg)
        provenance = write_provenance(directory, cfg=cfg, origin=origin, panel=bench.panel, resume=resume)
        evaluation, report = build(cfg.evaluate, key="evaluate"), build(cfg.report, key="report")
        context = Context(
            cfg=cfg, directory=directory, resume=resume, origin=origin, bench=bench, evaluation=evaluation
        )
        ledger = Ledger(Path(cfg.output_dir) / cfg.name)
        trial, data = provenance["trial"], bench.panel.fingerprint
        with _session(context, provenance) as session:
            judgement = evaluation.judge(bench, Fitting(task, context), ledger.trials(data, present=trial))
            if session is not None:
                session.metrics = judgement.metrics
            if task.is_trial:
                sharpe = judgement.metrics["test/sharpe"]
                ledger.record(trial=trial, data_fingerprint=data, run=directory.name, state="done", sharpe=sharpe)
            record(context, judgement, provenance, task, report)
    return judgement.metrics


def _session(context: Context, provenance: dict[str, Any]) -> Session | nullcontext[None]:
    """Return the record for TensorBoard's comparison, unless no TensorBoard logger is configured."""
    if "tensorboard" not in context.cfg.logger:
        return nullcontext()
    parameters = session_parameters(context.cfg, context.origin.choices, context.origin.overrides)
    group = session_group(provenance["trial"], context.bench.panel.fingerprint)
    return Session(context.directory, parameters, group)
