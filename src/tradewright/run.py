"""The spine: one run from a checked configuration to a judged, reported, comparable run directory.

Order: run directory -> data or environment -> strategy (trained, loaded or a rule), chosen by validation -> judged once
on the test range beside the baselines, or by episodes -> metrics, trades, report. Nothing heavy is imported here: a
task that trains does that.
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tradewright.callbacks.session import Session, session_group, session_parameters
from tradewright.config.build import build
from tradewright.errors import PrunedError
from tradewright.ledger import Ledger, Repeated
from tradewright.output import CONFIG, Status, hold, write_text
from tradewright.provenance import Origin, repeated_run, run_origin, write_provenance
from tradewright.report.pictures import draw_pictures
from tradewright.task.context import BaseContext
from tradewright.task.judging import judge
from tradewright.task.task import Task


def run(
    cfg: DictConfig,
    *,
    directory: Path,
    resume: bool = False,
    origin: Origin | None = None,
    repeats: Repeated | None = None,
) -> dict[str, float]:
    """Execute one run and return its metrics.

    Args:
        cfg: The resolved, checked configuration.
        directory: The run directory; created if missing.
        resume: Continue from the directory's newest checkpoint.
        origin: What the command line chose; None: the current Hydra job's.
        repeats: The run that this one repeats: only the trials that it knew of count, and it is tried only once.

    Returns:
        The content of ``metrics.json``; undefined figures are NaN.
    """
    directory.mkdir(parents=True, exist_ok=True)
    origin = origin or run_origin(directory)
    with hold(directory), Status(directory):
        task: Task = build(cfg.task, key="task")
        cfg = task.configured(cfg)
        write_text(directory / CONFIG, OmegaConf.to_yaml(cfg, resolve=True))
        context = task.context(cfg, directory=directory, resume=resume, origin=origin)
        facts = context.facts
        provenance = write_provenance(directory, cfg=cfg, origin=origin, data=facts, resume=resume, repeats=repeats)
        repeats = repeated_run(provenance)  # also of a repetition that is resumed
        report = build(cfg.report, key="report")
        ledger = Ledger(Path(cfg.output_dir) / cfg.name)
        trial, data, name = provenance["trial"], context.fingerprint, ledger.name_of(directory)
        with _session(context, provenance) as session, _wandb(context) as online:
            try:
                present = trial if repeats is None else repeats.trial
                judged = judge(task, context, ledger.trials(data, present=present, until=repeats))
            except PrunedError:  # validation has judged it: whoever looks at the others' figures must count it
                ledger.record(trial=trial, data_fingerprint=data, run=name, state="pruned")
                raise
            if session is not None:
                session.metrics = judged.metrics
                session.pictures = draw_pictures(judged.results)
            if online is not None:
                online.metrics = judged.metrics
            if task.is_trial and (repeats is None or repeats.trial != trial):
                sharpe = judged.metrics.get("test/sharpe")
                ledger.record(trial=trial, data_fingerprint=data, run=name, state="done", sharpe=sharpe)
            judged.record(provenance, report)
    return judged.metrics


def _session(context: BaseContext, provenance: dict[str, Any]) -> Session | nullcontext[None]:
    """Return the record for TensorBoard's comparison, unless no TensorBoard logger is configured.

    A repetition has none: it would count twice in the mean over seeds.
    """
    if context.cfg.logger.get("tensorboard") is None or repeated_run(provenance) is not None:
        return nullcontext()
    origin = context.origin
    parameters = session_parameters(context.cfg, origin.choices, origin.overrides, origin.swept)
    group = session_group(provenance["trial"], context.fingerprint)
    return Session(context.directory, parameters, group)


def _wandb(context: BaseContext) -> AbstractContextManager[Any]:
    """Return what ends the record of Weights & Biases, unless that logger is not configured."""
    node = context.cfg.logger.get("wandb")
    if node is None:
        return nullcontext()
    from tradewright.callbacks.weights_and_biases import Record

    return Record(lambda: build(node, key="logger.wandb", directory=context.directory))
