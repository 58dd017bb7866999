"""Run what was composed: one job, or the continuation of a run directory.

The order is always compose, check, rules, and only then the imports of a run; a single run that fails the check leaves
no directory behind. A job of a sweep is checked in its own directory, where its ``log.txt`` says what was wrong.
"""

import copy
import logging
import logging.config
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
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
from tradewright.config.locate import class_attribute
from tradewright.config.rules import apply_rules, describe
from tradewright.config.targets import open_own_folder
from tradewright.errors import BusyError, ConfigError, MisfitError, PrunedError, RunError, TradewrightError
from tradewright.output import CONFIG, STATUS, Status, make_folder, write_text
from tradewright.sweep.space import SETTINGS, is_setting

file_log = logging.getLogger("tradewright.log_file")
"""Reaches only the run's ``log.txt``; the terminal gets one line instead."""

Metrics = dict[str, float]


def run_one(composer: Composer, cfg: DictConfig) -> None:
    """Check a configuration and run it in its own directory, or without one where the task needs none.

    Raises:
        TradewrightError: The configuration or the run failed in a way that its message explains.
    """
    with open_dict(cfg):
        cfg.hydra.mode = RunMode.RUN
        cfg.hydra.run.dir = str(cfg.hydra.run.dir)
        cfg.hydra.runtime.output_dir = os.path.abspath(cfg.hydra.run.dir)
    idle = [text for text in cfg.hydra.overrides.task if is_setting(str(text))]
    drop_settings(cfg)
    with current(cfg):
        warnings = verify(without_hydra(cfg))
        warnings += [f"{text} has no effect on a single run: it says how a sweep (-m) runs" for text in idle]
        tell(warnings)
        if not needs_run_directory(cfg):
            log_to_terminal()
            execute(without_hydra(cfg), resume=False)
            return
    directory = Path(cfg.hydra.run.dir)
    is_below = directory.absolute().is_relative_to(Path(str(cfg.output_dir)).absolute())
    make_folder(directory, key="output_dir" if is_below else "hydra.run.dir")
    run_in_directory(composer, cfg, lambda _: warnings, resume=False)


def run_in_directory(
    composer: Composer,
    cfg: DictConfig,
    prepare: Callable[[DictConfig], list[str]],
    *,
    resume: bool,
    swept: Sequence[str] = (),
) -> None:
    """Run a configuration in ``hydra.run.dir``, with its log; raises what the run raised.

    Args:
        composer: Set Hydra up.
        cfg: The configuration with Hydra's node.
        prepare: Called first, with the log open and the configuration without Hydra's node; returns its warnings.
        resume: Continue from the directory's newest checkpoint.
        swept: Names of every key that the run's sweep varies.
    """
    callbacks = Callbacks(cfg)
    context = HydraContext(config_loader=composer.hydra.config_loader, callbacks=callbacks)

    def task_function(task_cfg: DictConfig) -> Metrics | None:
        try:
            for warning in prepare(task_cfg):
                file_log.warning("warning: %s", warning)
            return execute(task_cfg, resume=resume, swept=swept)
        except (BusyError, MisfitError, PrunedError):
            raise
        except (Exception, SystemExit) as error:
            failure = _early_exit(error) if isinstance(error, SystemExit) else error
            file_log.error("%s", failure, exc_info=error)
            if failure is not error:
                raise failure from error
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


def record_pruned(cfg: DictConfig | None, error: MisfitError, directory: Path) -> None:
    """Leave a job out whose options do not fit together: its directory and the ledger say why.

    It saw no data: it counts as a trial on none, so it deflates no figure.
    """
    from tradewright.ledger import Ledger
    from tradewright.provenance import trial_id

    assert cfg is not None
    plain = without_hydra(cfg) if "hydra" in cfg else cfg
    write_text(directory / CONFIG, OmegaConf.to_yaml(plain, resolve=True))
    Status(directory).write("pruned", error=str(error))
    content: Any = OmegaConf.to_container(plain, resolve=True)
    ledger = Ledger(Path(str(cfg.output_dir)) / str(cfg.name))
    ledger.record(trial=trial_id(content, ""), data_fingerprint="", run=ledger.name_of(directory), state="pruned")


def record_failure(cfg: DictConfig | None, error: BaseException, directory: Path) -> str:
    """Note a failed job in its own ``log.txt`` and, where it never started, in its ``status.json``; return the error.

    Args:
        cfg: Its configuration; None: it could not be composed.
        error: What ended it.
        directory: Its run directory.
    """
    failure = _early_exit(error) if isinstance(error, SystemExit) else error
    text = " ".join(str(failure).split()) or type(failure).__name__
    if not (directory / STATUS).is_file():
        write_text(directory / CONFIG, "" if cfg is None else OmegaConf.to_yaml(without_hydra(cfg)))
        Status(directory).write("failed", error=f"{type(failure).__name__}: {failure}")
    if cfg is None:
        with (directory / "log.txt").open("a", encoding="utf-8") as log_file:
            log_file.write(f"{text}\n")
    return text if isinstance(failure, TradewrightError) else f"{type(failure).__name__}: {text}"


def _early_exit(error: SystemExit) -> RunError:
    return RunError(f"the job ended itself with exit code {error.code}")


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


def execute(cfg: DictConfig, *, resume: bool, swept: Sequence[str] = ()) -> Metrics | None:
    """Do the work of a checked configuration; from here on heavy imports are allowed."""
    if not needs_run_directory(cfg):
        task: Any = build(cfg.task, key="task")
        result: Metrics | None = task.execute(cfg)
        return result
    from tradewright.run import run

    directory = Path(HydraConfig.get().runtime.output_dir)
    if not swept:
        return run(cfg, directory=directory, resume=resume)
    from tradewright.provenance import run_origin

    return run(cfg, directory=directory, resume=resume, origin=replace(run_origin(directory), swept=tuple(swept)))


def tell(warnings: list[str]) -> None:
    """Print warnings on the terminal."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def drop_settings(cfg: DictConfig) -> None:
    """Take out what says how a sweep runs: it is part of no run."""
    with read_write(cfg), open_dict(cfg):
        for key in SETTINGS:
            if key in cfg:
                del cfg[key]


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


def log_to_terminal() -> None:
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
