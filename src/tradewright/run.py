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
from tradewright.ledger import Ledger
from tradewright.output import CONFIG, Status, hold, write_text
from tradewright.provenance import Origin, run_origin, write_provenance
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
    trials_until: str | None = None,
) -> dict[str, float]:
    """Execute one run and return its metrics.

    Args:
        cfg: The resolved, checked configuration.
        directory: The run directory; created if missing.
        resume: Continue from the directory's newest checkpoint.
        origin: What the command line chose; None: the current Hydra job's.
        trials_until: Name of a run of the experiment: only the trials that it knew of count, as its repetition needs.

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
        provenance = write_provenance(directory, cfg=cfg, origin=origin, data=context.facts, resume=resume)
        report = build(cfg.report, key="report")
        ledger = Ledger(Path(cfg.output_dir) / cfg.name)
        trial, data = provenance["trial"], context.fingerprint
        with _session(context, provenance) as session, _wandb(context) as online:
            try:
                judged = judge(task, context, ledger.trials(data, present=trial, until=trials_until))
            except PrunedError:  # validation has judged it: whoever looks at the others' figures must count it
                ledger.record(trial=trial, data_fingerprint=data, run=directory.name, state="pruned")
                raise
            if session is not None:
                session.metrics = judged.metrics
                session.pictures = draw_pictures(judged.results)
            if online is not None:
                online.metrics = judged.metrics
            if task.is_trial:
                sharpe = judged.metrics.get("test/sharpe")
                ledger.record(trial=trial, data_fingerprint=data, run=directory.name, state="done", sharpe=sharpe)
            judged.record(provenance, report)
    return judged.metrics


def _session(context: BaseContext, provenance: dict[str, Any]) -> Session | nullcontext[None]:
    """Return the record for TensorBoard's comparison, unless no TensorBoard logger is configured."""
    if context.cfg.logger.get("tensorboard") is None:
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
