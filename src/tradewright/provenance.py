"""Where a run comes from: code, packages, machine, seed, command line and data, for ``provenance.json``."""

import hashlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from tradewright.errors import RunError
from tradewright.output import PROVENANCE, now, read_json, write_json, write_text

PACKAGES = (
    "tradewright",
    "torch",
    "torchrl",
    "tensordict",
    "lightning",
    "numpy",
    "duckdb",
    "hydra-core",
    "omegaconf",
    "transformers",
    "peft",
)
DIFF_LIMIT = 1_000_000
"""Characters of an uncommitted diff that are kept."""

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


def write_provenance(
    directory: Path, *, cfg: DictConfig, origin: Origin, data: Mapping[str, Any], resume: bool
) -> dict[str, Any]:
    """Write ``provenance.json`` (and ``git.diff`` where there are uncommitted changes) and return its content.

    A resumed run keeps the record of its start and adds the time and code of each resumption.

    Args:
        directory: The run directory.
        cfg: The resolved configuration.
        origin: What the command line chose.
        data: What is known of the data; ``dataset`` and ``fingerprint`` at least.
        resume: Whether the run continues an earlier one.

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
        "packages": _versions(),
        "python": platform.python_version(),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": _cores()},
    }


def code_digests(allow: list[str]) -> dict[str, str]:
    """Return a digest of the source of our package and of every allowed one; git may not know where they lie."""
    return _digests(("tradewright", *_packages(allow)))


def own_code_digests(allow: list[str]) -> dict[str, str]:
    """Return a digest of the source of every package that the configuration allows besides ours."""
    return _digests([name for name in _packages(allow) if name != "tradewright"])


def _packages(allow: list[str]) -> list[str]:
    return [entry.rstrip(".").partition(".")[0] for entry in allow]


def _digests(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        root = origin.parent if origin.name == "__init__.py" else origin
        digest = hashlib.sha256()
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            digest.update(str(path.relative_to(origin.parent)).encode() + b"\0" + path.read_bytes())
        found[name] = digest.hexdigest()[:16]
    return found


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _versions() -> dict[str, str | None]:
    """Return the installed version of each package, from the names of the dist-info folders on the path.

    Parsing their metadata, as importlib does, would take as long as a backtest of a rule computes.
    """
    found: dict[str, str] = {}
    for folder in filter(os.path.isdir, sys.path):
        for entry in os.listdir(folder):
            if entry.endswith(".dist-info"):
                name, _, version = entry.removesuffix(".dist-info").partition("-")
                found.setdefault(name.lower().replace("_", "-"), version)
    return {name: found.get(name) for name in PACKAGES}


def _git(directory: Path) -> dict[str, Any] | None:
    """Describe the repository of the working directory; None where there is none or no git."""
    sha = _run_git("rev-parse", "HEAD")
    if sha is None:
        return None
    diff = _run_git("diff", "HEAD") or ""
    if diff:
        write_text(directory / "git.diff", diff[:DIFF_LIMIT])
    return {"sha": sha.strip(), "is_dirty": bool(diff), "is_diff_cut": len(diff) > DIFF_LIMIT}


def _run_git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, errors="replace", timeout=10, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
