"""Sweeps as the command line runs them: from words to a plan, workers on its queue, and one comparison at the end.

What a sweep is lies in the package ``sweep``; here it meets Hydra, which composes jobs, and ``jobs``, which runs one.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from tradewright.config.check import require_valid
from tradewright.config.compose import CONFIG_NAME, Composer, open_hydra
from tradewright.config.explain import HYDRA_ERRORS
from tradewright.config.locate import class_attribute
from tradewright.config.seeds import seeds_of_comparison
from tradewright.errors import BusyError, ConfigError, MisfitError, PrunedError, RunError
from tradewright.jobs import (
    current,
    drop_settings,
    log_to_terminal,
    needs_run_directory,
    record_failure,
    record_pruned,
    run_in_directory,
    verify,
    without_hydra,
)
from tradewright.output import make_folder
from tradewright.sweep.job import STORAGE_VARIABLE, Ended, Job
from tradewright.sweep.plan import Plan, make_plan
from tradewright.sweep.pruning import pruning
from tradewright.sweep.space import SETTINGS, parse_space
from tradewright.sweep.storage import without_secret
from tradewright.sweep.words import numbers

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from tradewright.sweep.queue import Queue
    from tradewright.sweep.worker import Tally

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
"""Variables by which torchrun and its like number the processes of one training."""


def run_many(composer: Composer, words: list[str]) -> None:
    """Run a sweep, or go on with it, and compare what ended; a failing job does not stop the later ones.

    Learning algorithms are compared over five seeds unless the command line names its own or a sampler chooses.

    Raises:
        ConfigError: The sweep cannot work, or none of its jobs can.
        RunError: More jobs failed than ``sweep.max_failure_rate`` allows.
        KeyboardInterrupt: It was stopped.
    """
    _require_one_process()
    base = composer.compose(words, mode=RunMode.MULTIRUN)
    choices = base.hydra.runtime.choices
    if choices["hydra/sweeper"] != "study" or choices["hydra/launcher"] != "basic":
        raise ConfigError("hydra/sweeper and hydra/launcher: sweeps run through sweep=... and launcher=...; drop them")
    if _has_grid(base) and base.sweep.seeds == 1:
        seeds = seeds_of_comparison(words)
        if seeds:
            print(f"algorithms are compared over five seeds: {seeds[0]}; name a seed to choose others", file=sys.stderr)
        words = [*words, *seeds]
    texts = words if base.hydra.mode is RunMode.MULTIRUN else [*words, "hydra.mode=MULTIRUN"]
    sweeper: Any = _Sweeper(composer, words)
    try:
        composer.hydra.multirun(config_name=CONFIG_NAME, task_function=sweeper, overrides=texts)
    except HYDRA_ERRORS as error:
        raise composer.explain(error, words) from error


def _has_grid(base: DictConfig) -> bool:
    return class_attribute(str(base.sweep.sampler.get("_target_", "")), "has_grid") is True


def _require_one_process() -> None:
    """Refuse a sweep in a process of a distributed training: every rank would start it again."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and any(name in os.environ for name in RANKS):
        raise ConfigError(
            "-m: this is one of several processes of one training; start the sweep once and let every job use the"
            " devices (trainer=ddp)"
        )


class _Sweeper:
    """What Hydra calls a task function: our sweeper asks it for ``sweep``."""

    def __init__(self, composer: Composer, words: list[str]) -> None:
        self.composer, self.words = composer, words

    def sweep(self, config: DictConfig, arguments: list[str], params: dict[str, Any]) -> None:
        """Plan the sweep, work on it, and say how it ended."""
        plan = plan_of(self.composer, config, self.words, params)
        is_chosen = any(word.startswith("hydra.sweep.dir=") for word in self.words)
        make_folder(plan.directory, key="hydra.sweep.dir" if is_chosen else "output_dir")
        work(self.composer, plan, has_runs=needs_run_directory(config))


def plan_of(composer: Composer, base: DictConfig, words: list[str], params: dict[str, Any]) -> Plan:
    """Return the plan of a command line.

    Args:
        composer: Composes the jobs.
        base: The configuration that all jobs share, Hydra's node included.
        words: The command line.
        params: ``hydra.sweeper.params`` of an experiment.
    """
    require_valid(OmegaConf.create({key: base[key] for key in SETTINGS if key != "space" and base[key] is not None}))
    ready = OmegaConf.to_container(base.space, resolve=True) if base.space is not None else {}
    assert isinstance(ready, dict)
    unknown = ready.keys() - {"params", "conditional"}
    if unknown:
        raise ConfigError(f"space.{min(map(str, unknown))}: no such key; space has params and conditional")
    space = parse_space(
        words,
        params={**_plain(params), **(ready.get("params") or {})},
        conditional=ready.get("conditional"),
        loader=composer.hydra.config_loader,
    )
    chooses_folder = any(word.startswith("hydra.sweep.dir=") for word in words)

    def checked(overrides: list[str]) -> DictConfig:
        """Compose a job and refuse what no job of the sweep could run with."""
        cfg = composer.compose(overrides)
        drop_settings(cfg)
        with current(cfg), contextlib.suppress(MisfitError):  # other options may fit
            verify(without_hydra(cfg))
        return cfg

    directory = str(base.hydra.sweep.dir) if chooses_folder else None
    return make_plan(without_hydra(base), space, checked, directory=directory, has_runs=needs_run_directory(base))


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    """Return values of YAML as plain lists and scalars."""
    content = OmegaConf.to_container(OmegaConf.create(params), resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def work(composer: Composer, plan: Plan, *, has_runs: bool) -> None:
    """Work on a planned sweep until it has ended, compare its runs, and raise what the exit code tells."""
    from tradewright.sweep.storage import close_storage, open_storage

    log_to_terminal()
    for warning in plan.warnings:
        _say(f"warning: {warning}")
    plan.directory.mkdir(parents=True, exist_ok=True)
    storage = open_storage(plan.url)
    try:
        tally, before, counts, lost = _empty(composer, plan, storage)
    finally:
        close_storage(storage)
    failures = lost if has_runs else tally.failures
    if tally.is_interrupted:
        _say(f"stopped; the same command goes on with sweep {plan.directory.name}")
        raise KeyboardInterrupt
    if has_runs and counts["done"] + counts["failed"] > 1:
        _compare(plan.directory)
    waiting = plan.num_slots - sum(counts[state] for state in ("done", "pruned", "failed"))
    if waiting > 0:
        _say(f"{waiting} jobs are left: sweep.timeout_s is over; the same command goes on with them")
    if before >= plan.num_slots:
        _say("nothing was left to do; sweep.name=<another> runs it again")
    _raise_failures(plan, failures, len(tally.misfits))


def _empty(
    composer: Composer, plan: Plan, storage: "BaseStorage"
) -> "tuple[Tally, int, dict[str, int], dict[int, str]]":
    """Work until the queue is empty.

    Returns:
        What was seen, how many jobs had ended before, how many have now, and the errors of all that failed, by slot.
    """
    from tradewright.sweep.lease import Worker as Identity
    from tradewright.sweep.queue import Queue, open_study
    from tradewright.sweep.results import failed_slots
    from tradewright.sweep.worker import Worker

    study = open_study(storage, plan.study, plan.objectives.directions, plan.description)
    queue = Queue(
        study,
        plan.space,
        num_slots=plan.num_slots,
        points=plan.points,
        sampler_for=plan.sampler_for,
        worker=Identity.current(),
        grace_s=plan.grace_s,
    )
    _repeat(plan, queue)
    before = sum(queue.counts()[state] for state in ("done", "pruned", "failed"))
    if before:
        _say(f"sweep {plan.directory.name}: {before} of {plan.num_slots} jobs have ended already")
    place = {"conf": composer.conf, "extra": composer.extra, "cwd": os.getcwd()}
    worker = Worker(plan, queue, run=run_job, place=place, say=_say)
    with _named_in_environment(plan.url):
        tally = worker.work()
    return tally, before, queue.counts(), failed_slots(plan, queue)


def _repeat(plan: Plan, queue: "Queue") -> None:
    """Queue again what has ended and is to be run again: jobs without their folders, and failed ones where asked.

    Raises:
        RunError: This is not the folder that the workers of the sweep share.
    """
    from tradewright.sweep.results import gone

    records = queue.records()
    lost = gone(plan, records)
    if lost:
        is_one = len(lost) == 1
        what = "its folder is gone, it is run again" if is_one else "their folders are gone, they are run again"
        _say(f"job{'' if is_one else 's'} {numbers(one['slot'] for one in lost)}: {what}")
        queue.repeat(lost)
    if not plan.sweep.retry_failed:
        return
    known = {one["slot"] for one in lost}
    failed = [
        one for one in records if one["state"] == "failed" and one["slot"] not in known and one["slot"] < plan.num_slots
    ]
    if failed:
        is_one = len(failed) == 1
        what = "it had failed and is tried again" if is_one else "they had failed and are tried again"
        _say(f"job{'' if is_one else 's'} {numbers(one['slot'] for one in failed)}: {what}")
        queue.repeat(failed)


@contextmanager
def _named_in_environment(url: str) -> Iterator[None]:
    """Let jobs find the queue: its URL may hold a password, so that it stands in no file and no job's description."""
    before = os.environ.get(STORAGE_VARIABLE)
    os.environ[STORAGE_VARIABLE] = url
    try:
        yield
    finally:
        if before is None:
            del os.environ[STORAGE_VARIABLE]
        else:
            os.environ[STORAGE_VARIABLE] = before


def _compare(directory: Path) -> None:
    """Print the comparison of the runs of a sweep and write its page beside them."""
    from tradewright.task.compare import Compare

    Compare(runs=[str(directory)]).execute(None)


def _raise_failures(plan: Plan, failures: dict[int, str], num_misfits: int) -> None:
    if failures and len(failures) / plan.num_slots > plan.sweep.max_failure_rate:
        raise RunError(
            f"{len(failures)} of {plan.num_slots} jobs failed: {numbers(failures)}; see log.txt in their directories;"
            " sweep.retry_failed=true tries them again"
        )
    if num_misfits == plan.num_slots:
        raise ConfigError(f"none of the {num_misfits} jobs can run: their options do not fit together, see above")


def _say(text: str) -> None:
    print(without_secret(text), file=sys.stderr, flush=True)


def run_job(job: Job) -> Ended:
    """Do one job in its directory; whatever happens, say how it ended."""
    composer = open_hydra(conf=job.conf, extra=job.extra)
    warnings: list[str] = []

    def prepare(cfg: DictConfig) -> list[str]:
        warnings.extend(verify(cfg))
        return warnings

    cfg: DictConfig | None = None
    directory = Path(job.directory)
    try:
        cfg = composer.compose(list(job.overrides))
        with open_dict(cfg):
            cfg.hydra.mode = RunMode.RUN
            cfg.hydra.run.dir = job.directory
            cfg.hydra.runtime.output_dir = job.directory
            cfg.hydra.job.num = job.number
            cfg.hydra.job.id = str(job.number)
        drop_settings(cfg)
        with pruning(job.pruning):
            run_in_directory(composer, cfg, prepare, resume=job.resume, swept=job.swept)
    except BusyError as error:  # an attempt whose worker has just been killed is ending
        return Ended("interrupted", str(error), tuple(warnings))
    except MisfitError as error:
        record_pruned(cfg, error, directory)
        return Ended("pruned", str(error), tuple(warnings), is_misfit=True)
    except PrunedError as error:
        return Ended("pruned", str(error), tuple(warnings))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - nothing that a job does may end the sweep
        return Ended("failed", record_failure(cfg, error, directory), tuple(warnings))
    return Ended("done", warnings=tuple(warnings))
