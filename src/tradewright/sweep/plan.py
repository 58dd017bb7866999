"""``Plan``: a sweep before it starts: what varies, where it lies, and everything that is refused before anything runs.

A sweep is known by what it searches: the configuration that all jobs share, the space, the sampler, the objective, and
by what it rests on: the code of one's own packages and the content of the bars. Its name, unless given, is a hash of
that, so the same command continues what was begun.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from tradewright.config.build import build
from tradewright.config.root import new_run_id
from tradewright.errors import ConfigError
from tradewright.sweep.job import Launcher
from tradewright.sweep.objective import Constraint, Objectives, parse_constraints
from tradewright.sweep.origin import bars_of, code_of
from tradewright.sweep.pruners import pruner_warnings
from tradewright.sweep.samplers import check_fit
from tradewright.sweep.space import SETTINGS, Space
from tradewright.sweep.storage import FILE, storage_url
from tradewright.sweep.sweep import GRACE_S, Sweep

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

NOT_SHARED = (*SETTINGS, "hydra", "output_dir", "store", "resume", "report", "logger")
"""Root keys that do not make another sweep."""
Compose = Callable[[list[str]], DictConfig]


@dataclass(frozen=True)
class Plan:
    """Everything about a sweep that does not change while it runs.

    Args:
        sweep: Its settings.
        space: What varies.
        points: Texts by name of every point of a grid; None: a sampler chooses.
        num_slots: Jobs, or trials of several seeds.
        objectives: What is optimised.
        constraints: What a trial must satisfy.
        seeds: Run seeds of a trial, one run each.
        pruner: Configuration of the pruner; None: no job is stopped early.
        launcher: Runs the jobs.
        directory: Folder of the sweep, absolute.
        url: Of the queue.
        study: Name of the study in it.
        description: What the sweep is known by.
        warnings: What works otherwise than one would think.
    """

    sweep: Sweep
    space: Space
    points: list[dict[str, str]] | None
    num_slots: int
    objectives: Objectives
    constraints: tuple[Constraint, ...]
    seeds: tuple[int, ...]
    pruner: dict[str, Any] | None
    launcher: Launcher
    directory: Path
    url: str
    study: str
    description: dict[str, dict[str, str]]
    warnings: tuple[str, ...] = ()

    @property
    def grace_s(self) -> float:
        """Seconds without a sign of life after which a worker's jobs are taken over."""
        least = self.launcher.least_grace_s
        return self.sweep.grace_s or (least + GRACE_S if least else GRACE_S)

    @property
    def is_queue_apart(self) -> bool:
        """Whether the queue lies elsewhere, so that it outlives the folder and other machines may know it."""
        return self.url != f"sqlite:///{(self.directory / FILE).absolute()}"

    def slot_directories(self, slot: int) -> list[Path]:
        """Return the run directories of a slot, one per seed."""
        folder = self.directory / str(slot)
        return [folder] if len(self.seeds) == 1 else [folder / str(seed) for seed in self.seeds]

    def sampler_for(self, slot: int) -> "BaseSampler | None":
        """Return a fresh sampler for a slot: a seed that stays the same would repeat its points; None for a grid."""
        if self.points is not None:
            return None
        return self.sweep.sampler.make(zlib.crc32(f"{self.sweep.seed}-{slot}".encode()))


def make_plan(
    base: DictConfig, space: Space, compose: Compose, *, directory: str | None, has_runs: bool = True
) -> Plan:
    """Return the plan of a sweep.

    Args:
        base: What every job shares, composed; its node ``sweep`` and the groups beside it say how.
        space: What varies.
        compose: Composes some overrides; raises what is wrong with them.
        directory: Folder that the command line chose; None: by the sweep's name below the experiment's folder.
        has_runs: Jobs leave runs behind; others have nothing to go on with and are done anew by every command.

    Raises:
        ConfigError: Something in it cannot work.
    """
    sweep: Sweep = build(base.sweep, key="sweep")
    launcher: Launcher = build(base.launcher, key="launcher")
    _require_grace(sweep, launcher)
    pruner = None if base.pruner is None else OmegaConf.to_container(base.pruner, resolve=True)
    assert pruner is None or isinstance(pruner, dict)
    if pruner is not None:
        build(base.pruner, key="pruner")
    objectives = Objectives.of(sweep.objective, base)
    constraints = parse_constraints(sweep.constraints)
    warnings = check_fit(
        sweep.sampler,
        num_objectives=len(objectives.metrics),
        has_pruner=pruner is not None,
        has_constraints=bool(constraints),
        has_conditions=bool(space.conditions),
        num_trials=sweep.num_trials,
    )
    points = space.grid() if sweep.sampler.has_grid else None
    if points is None and not space.all_dimensions:
        raise ConfigError(
            "sweep: nothing varies; give a key several values (lora.r=8,16), an interval"
            " ('algorithm.lr=tag(log,interval(1e-5,1e-2))') or a ready space (space=ppo)"
        )
    if sweep.seeds > 1 and "seed" in space.keys:
        raise ConfigError("sweep.seeds: every trial has its own seeds already; drop seed from what varies")
    branches = [compose(branch) for branch in space.branches()]
    warnings += pruner_warnings(pruner, branches, varied=space.keys, seeds=sweep.seeds)
    description = describe(base, space, sweep, pruner, objectives)
    if has_runs:
        description |= {"code": code_of(branches[0]), "bars": bars_of(branches, space, compose)}
    known = f"sweep-{hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:8]}"
    name = sweep.name or (known if has_runs else new_run_id())
    folder = Path(directory or Path(str(base.output_dir)) / str(base.name) / name).absolute()
    first = int(base.seed)
    return Plan(
        sweep=sweep,
        space=space,
        points=points,
        num_slots=len(points) if points is not None else int(sweep.num_trials or 0),
        objectives=objectives,
        constraints=constraints,
        seeds=tuple(range(first, first + sweep.seeds)),
        pruner=None if pruner is None else {str(key): value for key, value in pruner.items()},
        launcher=launcher,
        directory=folder,
        url=storage_url(sweep.storage, folder),
        study=f"{base.name}/{name}",
        description=description,
        warnings=tuple(warnings),
    )


def _require_grace(sweep: Sweep, launcher: Launcher) -> None:
    """Refuse a takeover of jobs that may still run: two processes would write to one run directory."""
    least = launcher.least_grace_s
    if sweep.grace_s is not None and sweep.grace_s <= least:
        raise ConfigError(
            f"sweep.grace_s must be > {least:g} with launcher={type(launcher).__name__.lower()}, was"
            f" {sweep.grace_s:g}: a job may run that long after its worker has died; drop it or raise it"
        )


def describe(
    base: DictConfig, space: Space, sweep: Sweep, pruner: Mapping[Any, Any] | None, objectives: Objectives
) -> dict[str, dict[str, str]]:
    """Return what a sweep is known by, as lines by part and key; the number of its jobs is no part of it."""
    shared = OmegaConf.to_container(base, resolve=False)
    assert isinstance(shared, dict)
    lines = dict(_leaves({key: value for key, value in shared.items() if key not in NOT_SHARED}, ""))
    search = {
        "sampler": f"{type(sweep.sampler).__name__} {_line(vars(sweep.sampler))}",
        "seed": str(sweep.seed),
        "seeds": str(sweep.seeds),
        "objective": ", ".join(f"{metric} {way}" for metric, way in objectives.metrics.items()),
        "constraints": _line(sweep.constraints),
        "pruner": _line(dict(pruner or {})),
    }
    return {"configuration": lines, "space": space.describe(), "sweep": search}


def _leaves(node: Any, path: str) -> list[tuple[str, str]]:
    """Return every leaf of nested plain values by its dotted key; interpolations stay as they are written."""
    if isinstance(node, Mapping) and node:
        return [leaf for key, value in node.items() for leaf in _leaves(value, f"{path}.{key}" if path else str(key))]
    return [(path, _line(node))]


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
