"""Run what was composed: one job, the jobs of a sweep, or the continuation of a run directory.

The order is always compose, check, rules, and only then the imports of a run; a single run that fails the check leaves
no directory behind. A job of a sweep is checked in its own directory, where its ``log.txt`` says what was wrong.
"""

import copy
import logging
import logging.config
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobStatus, run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from tradewright.config.build import build
from tradewright.config.check import require_valid
from tradewright.config.compose import CONFIG_NAME, Composer
from tradewright.config.explain import HYDRA_ERRORS
from tradewright.config.locate import class_attribute
from tradewright.config.rules import apply_rules, describe
from tradewright.config.seeds import seeds_of_comparison
from tradewright.config.targets import open_own_folder
from tradewright.errors import ConfigError, MisfitError, RunError, TradewrightError
from tradewright.output import CONFIG, STATUS, Status, write_text

log = logging.getLogger("tradewright.jobs")
file_log = logging.getLogger("tradewright.log_file")
"""Reaches only the run's ``log.txt``; the terminal gets one line instead."""

Metrics = dict[str, float]


@dataclass
class Sweep:
    """What a sweep has seen so far."""

    failures: dict[int, BaseException] = field(default_factory=dict)
    num_pruned: int = 0
    reasons: set[str] = field(default_factory=set)
    """Why jobs were left out; each is told once, for its seeds share it."""
    warnings: set[str] = field(default_factory=set)
    num_jobs: int = 0


def run_one(composer: Composer, cfg: DictConfig) -> None:
    """Check a configuration and run it in its own directory, or without one where the task needs none.

    Raises:
        TradewrightError: The configuration or the run failed in a way that its message explains.
    """
    with open_dict(cfg):
        cfg.hydra.mode = RunMode.RUN
        cfg.hydra.run.dir = str(cfg.hydra.run.dir)
        cfg.hydra.runtime.output_dir = os.path.abspath(cfg.hydra.run.dir)
    with current(cfg):
        warnings = verify(without_hydra(cfg))
        tell(warnings)
        if not needs_run_directory(cfg):
            _log_to_terminal()
            execute(without_hydra(cfg), resume=False)
            return
    run_in_directory(composer, cfg, warnings, resume=False)


def run_in_directory(composer: Composer, cfg: DictConfig, warnings: list[str], *, resume: bool) -> None:
    """Run a checked configuration in ``hydra.run.dir``, with its log; raises what the run raised."""
    callbacks = Callbacks(cfg)
    context = HydraContext(config_loader=composer.hydra.config_loader, callbacks=callbacks)

    def task_function(task_cfg: DictConfig) -> Metrics | None:
        for warning in warnings:
            file_log.warning("warning: %s", warning)
        try:
            return execute(task_cfg, resume=resume)
        except (Exception, SystemExit) as error:
            file_log.error("%s", error, exc_info=error)
            if isinstance(error, SystemExit):
                raise _early_exit(error) from error
            raise

    callbacks.on_run_start(config=cfg, config_name=CONFIG_NAME)
    try:
        result = run_job(
            hydra_context=context,
            task_function=task_function,
            config=cfg,
            job_dir_key="hydra.run.dir",
            job_subdir_key=None,
        )
    finally:
        _close_log()
    callbacks.on_run_end(config=cfg, config_name=CONFIG_NAME, job_return=result)
    if result.status is JobStatus.FAILED:
        raise result._return_value  # the property would print Hydra's own line first


def run_many(composer: Composer, overrides: list[str]) -> None:
    """Run every combination of a sweep and compare what ended; a failing job does not stop the later ones.

    Learning algorithms are compared over five seeds unless the command line names its own.

    Raises:
        RunError: Jobs failed, each in a way that its message explains.
        Exception: The first failure that no message explains.
    """
    sweep = Sweep()
    seeds = seeds_of_comparison(overrides)
    if seeds:
        print(f"algorithms are compared over five seeds: {seeds[0]}; name a seed to choose others", file=sys.stderr)
    overrides = [*overrides, *seeds]
    base = composer.compose(overrides, mode=RunMode.MULTIRUN)
    # One directory for all jobs, also when the sweep is over experiments with names of their own.
    directory = str(base.hydra.sweep.dir).replace("\\", "\\\\").replace("'", "\\'")
    texts = [*overrides, f"hydra.sweep.dir='{directory}'"]
    if base.hydra.mode is not RunMode.MULTIRUN:
        texts.append("hydra.mode=MULTIRUN")
    try:
        composer.hydra.multirun(config_name=CONFIG_NAME, task_function=_sweep_job(sweep), overrides=texts)
    except Exception as error:
        if not sweep.failures:
            if isinstance(error, HYDRA_ERRORS):
                raise composer.explain(error, overrides) from error
            raise
    finally:
        _close_log()
    if sweep.num_jobs - len(sweep.failures) - sweep.num_pruned > 1 and needs_run_directory(base):
        _compare(Path(str(base.hydra.sweep.dir)))
    _raise_failures(sweep)
    if sweep.num_pruned == sweep.num_jobs > 0:
        raise ConfigError(f"none of the {sweep.num_jobs} jobs can run: their options do not fit together, see above")


def _compare(directory: Path) -> None:
    """Print the comparison of the runs of a sweep and write its page beside them."""
    from tradewright.task.compare import Compare

    Compare(runs=[str(directory)]).execute(None)


def _sweep_job(sweep: Sweep) -> Callable[[DictConfig], Metrics | None]:
    def task_function(cfg: DictConfig) -> Metrics | None:
        number = int(HydraConfig.get().job.num)
        sweep.num_jobs += 1
        try:
            warnings = verify(cfg)
            tell([warning for warning in warnings if warning not in sweep.warnings])
            sweep.warnings.update(warnings)
            for warning in warnings:
                file_log.warning("warning: %s", warning)
            return execute(cfg, resume=False)
        except MisfitError as error:
            sweep.num_pruned += 1
            _record_pruned(cfg, error)
            if str(error) not in sweep.reasons:
                sweep.reasons.add(str(error))
                log.info("job %d and all like it left out: %s", number, " ".join(str(error).split()))
            return None
        except (Exception, SystemExit) as error:
            _record_failure(sweep, number, cfg, error)
            if isinstance(error, SystemExit):  # let through, it would end the sweep
                raise sweep.failures[number] from error
            raise  # Hydra marks the job as failed and goes on

    return task_function


def _record_pruned(cfg: DictConfig, error: MisfitError) -> None:
    """Leave a job out whose options do not fit together: its directory and the ledger say why.

    It saw no data: it counts as a trial on none, so it deflates no figure.
    """
    from tradewright.ledger import Ledger
    from tradewright.provenance import trial_id

    plain = without_hydra(cfg) if "hydra" in cfg else cfg
    directory = Path(HydraConfig.get().runtime.output_dir)
    write_text(directory / CONFIG, OmegaConf.to_yaml(plain, resolve=True))
    Status(directory).write("pruned", error=str(error))
    content: Any = OmegaConf.to_container(plain, resolve=True)
    ledger = Ledger(Path(str(cfg.output_dir)) / str(cfg.name))
    ledger.record(trial=trial_id(content, ""), data_fingerprint="", run=directory.name, state="pruned")


def _record_failure(sweep: Sweep, number: int, cfg: DictConfig, error: BaseException) -> None:
    """Note a failed job in the sweep, in its own ``log.txt`` and, where it never started, in its ``status.json``."""
    failure = _early_exit(error) if isinstance(error, SystemExit) else error
    sweep.failures[number] = failure
    directory = Path(HydraConfig.get().runtime.output_dir)
    if not (directory / STATUS).is_file():
        write_text(directory / CONFIG, OmegaConf.to_yaml(cfg))
        Status(directory).write("failed", error=f"{type(failure).__name__}: {failure}")
    file_log.error("%s", failure, exc_info=error)
    log.error("job %d failed: %s", number, " ".join(str(failure).split()) or type(failure).__name__)


def _early_exit(error: SystemExit) -> RunError:
    return RunError(f"the job ended itself with exit code {error.code}")


def _raise_failures(sweep: Sweep) -> None:
    if not sweep.failures:
        return
    numbers = ", ".join(str(number) for number in sorted(sweep.failures))
    summary = f"{len(sweep.failures)} of {sweep.num_jobs} jobs failed: {numbers}; see log.txt in their directories"
    for failure in sweep.failures.values():
        if not isinstance(failure, TradewrightError):
            failure.add_note(summary)
            raise failure
    raise RunError(summary)


def verify(cfg: DictConfig) -> list[str]:
    """Check signatures and rules of the current job's configuration; return the warnings.

    Raises:
        ConfigError: All faults, one per line.
        MisfitError: The only faults are options that do not fit together.
    """
    open_own_folder(cfg.get("allow") or [])
    require_valid(cfg)
    findings = apply_rules(describe(cfg, HydraConfig.get()))
    errors = [finding for finding in findings if finding.is_error]
    if errors:
        kind = MisfitError if all(finding.is_misfit for finding in errors) else ConfigError
        raise kind("\n".join(finding.message for finding in errors))
    return [finding.message for finding in findings]


def needs_run_directory(cfg: DictConfig) -> bool:
    """Whether the task leaves a run behind; its class says otherwise with ``needs_run_directory = False``."""
    target = str(cfg.task.get("_target_", "")) if isinstance(cfg.task, DictConfig) else ""
    return class_attribute(target, "needs_run_directory") is not False


def execute(cfg: DictConfig, *, resume: bool) -> Metrics | None:
    """Do the work of a checked configuration; from here on heavy imports are allowed."""
    if not needs_run_directory(cfg):
        task: Any = build(cfg.task, key="task")
        result: Metrics | None = task.execute(cfg)
        return result
    from tradewright.run import run

    return run(cfg, directory=Path(HydraConfig.get().runtime.output_dir), resume=resume)


def tell(warnings: list[str]) -> None:
    """Print warnings on the terminal."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def without_hydra(cfg: DictConfig) -> DictConfig:
    """Return a copy without Hydra's node; it shares the cached run id."""
    copied = copy.deepcopy(cfg)
    with read_write(copied), open_dict(copied):
        del copied["hydra"]
    return copied


@contextmanager
def current(cfg: DictConfig) -> Iterator[None]:
    """Make the configuration the current one of ``${hydra:...}`` and ``choices()``."""
    instance = HydraConfig.instance()
    before = instance.cfg
    instance.set_config(cfg)
    try:
        yield
    finally:
        instance.cfg = before
        OmegaConf.set_readonly(cfg.hydra, False)


def _close_log() -> None:
    """Close the run's ``log.txt``: a handler that stays with its logger would open it again for a later run's words."""
    for logger in (logging.getLogger(), logging.getLogger("tradewright"), file_log):
        for handler in [one for one in logger.handlers if isinstance(one, logging.FileHandler)]:
            logger.removeHandler(handler)
            handler.close()


def _log_to_terminal() -> None:
    """Show our messages and others' warnings; a task without a run directory keeps no log."""
    handler = {"class": "logging.StreamHandler", "formatter": "short", "stream": "ext://sys.stderr"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"short": {"format": "%(message)s"}},
            "handlers": {"terminal": handler},
            "root": {"level": "WARNING", "handlers": ["terminal"]},
            "loggers": {"tradewright": {"level": "INFO"}},
        }
    )
