"""Where a run comes from: code, packages, machine, seed, command line and data, for ``provenance.json``."""

import hashlib
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from tradewright.errors import RunError
from tradewright.ledger import Repeated
from tradewright.output import PROVENANCE, now, read_json, write_json, write_text
from tradewright.surroundings import DIFF, code_digests, git_state, machine, own_code_digests, package_versions

NOT_A_CHOICE = (
    "sweep",
    "pruner",
    "space",
    "launcher",
    "seed",
    "name",
    "output_dir",
    "store",
    "resume",
    "report",
    "logger",
    "task",
    "backtest.compiled",
    "data.store",
    "evaluate.baselines",
    "evaluate.significance",
    "evaluate.universe",
    "evaluate.num_random",
    "evaluate.shuffled_control",
    "evaluate.analytic_reference",
    "evaluate.seed",
    "callbacks.last",
    "callbacks.progress",
    "callbacks.health",
    "callbacks.throughput",
    "callbacks.curves",
    "callbacks.leaks",
)
"""Keys that do not make a different trial: how it is obtained, shown and tested, where results go, and the seed."""


def trial_id(config: Mapping[str, Any], data_fingerprint: str, own_code: Mapping[str, str] | None = None) -> str:
    """Return the identity of a trial: its configuration without the seed, and the data it saw.

    Args:
        config: The resolved configuration as plain dictionaries.
        data_fingerprint: Of the panel.
        own_code: Digests of the packages that the configuration allows besides ours: another rule in the same file is
            another trial.
    """
    kept = {key: value for key, value in config.items() if key not in NOT_A_CHOICE}
    for dotted in NOT_A_CHOICE:
        group, _, key = dotted.partition(".")
        if key and isinstance(kept.get(group), Mapping):
            kept[group] = {k: v for k, v in kept[group].items() if k != key}
    facts = [kept, data_fingerprint, *([dict(own_code)] if own_code else [])]
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Origin:
    """What the command line chose.

    Args:
        choices: Option of each config group.
        overrides: The words.
        swept: Names of every key that the run's sweep varies, also those that this run lacks.
    """

    choices: Mapping[str, str]
    overrides: list[str]
    swept: tuple[str, ...] = ()


def run_origin(directory: Path, *, is_current: bool = True) -> Origin:
    """Return the origin of the current Hydra job, or of a run directory's ``.hydra`` folder.

    Both are empty for a run that was started from Python without Hydra.

    Args:
        directory: The run directory.
        is_current: Whether the current job is meant, if there is one; else the folder is read.
    """
    if is_current and HydraConfig.initialized():
        hydra = HydraConfig.get()
    elif (directory / ".hydra" / "hydra.yaml").is_file():
        hydra = OmegaConf.load(directory / ".hydra" / "hydra.yaml").hydra
    else:
        return Origin({}, [])
    chosen = OmegaConf.to_container(hydra.runtime.choices)
    assert isinstance(chosen, dict)
    choices = {str(group): str(option) for group, option in chosen.items() if not str(group).startswith("hydra/")}
    overrides = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(overrides, list)
    return Origin(choices, [str(override) for override in overrides])


def repeated_run(record: Mapping[str, Any]) -> Repeated | None:
    """Return the run that a record's run repeats; None where it is no repetition."""
    found = record.get("replay_of")
    return None if found is None else Repeated(str(found["run"]), str(found["trial"]))


def write_provenance(
    directory: Path,
    *,
    cfg: DictConfig,
    origin: Origin,
    data: Mapping[str, Any],
    resume: bool,
    repeats: Repeated | None = None,
) -> dict[str, Any]:
    """Write ``provenance.json`` (and ``git.diff`` where there are uncommitted changes) and return its content.

    A resumed run keeps the record of its start and adds the time and code of each resumption.

    Args:
        directory: The run directory.
        cfg: The resolved configuration.
        origin: What the command line chose.
        data: What is known of the data; ``dataset`` and ``fingerprint`` at least.
        resume: Whether the run continues an earlier one.
        repeats: The run that this one repeats.

    Raises:
        RunError: A resumed run finds other data than it started with.
    """
    path = directory / PROVENANCE
    if resume and path.is_file():
        record = read_json(path)
        if record["data"]["fingerprint"] != data["fingerprint"]:
            raise RunError(
                f"{directory}: the bars of '{data['dataset']}' have changed since this run started; its figures would"
                " mix two data sets. Start a new run, or ingest the old bars again"
            )
        code = code_digests(list(cfg.get("allow") or []))
        record.setdefault("resumed", []).append({"at": now(), "code": code, "git": _git(directory)})
    else:
        record = _new_record(directory, cfg, origin, data)
        if repeats is not None:
            record["replay_of"] = asdict(repeats)
    write_json(path, record)
    return record


def _new_record(directory: Path, cfg: DictConfig, origin: Origin, data: Mapping[str, Any]) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    allow = list(cfg.get("allow") or [])
    code, own_code = code_digests(allow), own_code_digests(allow)
    return {
        "created_at": now(),
        "command_line": ["tradewright", *sys.argv[1:]],
        "choices": dict(origin.choices),
        "overrides": origin.overrides,
        "seed": cfg.seed,
        "trial": trial_id({str(key): value for key, value in plain.items()}, data["fingerprint"], own_code),
        "data": dict(data),
        "code": code,
        "git": _git(directory),
        "packages": package_versions(),
        "python": platform.python_version(),
        "machine": machine(),
    }


def _git(directory: Path) -> dict[str, Any] | None:
    """Describe the repository of the working directory and keep its uncommitted changes; None where there is none."""
    state, diff = git_state()
    if diff:
        write_text(directory / DIFF, diff)
    return state
