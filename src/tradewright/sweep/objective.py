"""What a sweep optimises and what a trial must satisfy: figures of the validation range, read from ``metrics.json``.

The test range is scored once, after everything has been chosen; a metric from it is refused here.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig, OmegaConf

from tradewright.errors import ConfigError, RunError, suggest
from tradewright.metrics.figures import ANSWERED, FIGURES, JUDGED, PLAYED, describe
from tradewright.output import METRICS, STATUS, read_json, read_metrics

VALIDATION = "validation/"
Direction = Literal["maximize", "minimize"]
DIRECTIONS: tuple[Direction, ...] = ("maximize", "minimize")
BY_MODE: Mapping[str, Direction] = {"max": "maximize", "min": "minimize"}
BOUND = re.compile(r"\s*(<=|>=)\s*(\S+)\s*")


@dataclass(frozen=True)
class Objectives:
    """What is optimised.

    Args:
        metrics: Direction by ``validation/*`` metric, in order.
    """

    metrics: Mapping[str, Direction]

    @classmethod
    def of(cls, value: object, cfg: DictConfig) -> "Objectives":
        """Return the objectives of ``sweep.objective``.

        Args:
            value: None: the metric that chooses the checkpoint; a metric, whose better direction is known; or
                direction by metric.
            cfg: The composed configuration, for ``callbacks.best``.

        Raises:
            ConfigError: Not a figure of the validation range, or its direction is not known.
        """
        if value is None:
            return cls(_of_checkpoint(cfg))
        if isinstance(value, str):
            _require_validation("sweep.objective", value)
            return cls({value: _known_direction(value)})
        if not isinstance(value, Mapping) or not value:
            raise ConfigError(
                f"sweep.objective: expected a validation/* metric or {{metric: maximize or minimize}}, was {value!r}"
            )
        for metric, way in value.items():
            _require_validation("sweep.objective", metric)
            if way not in DIRECTIONS:
                raise ConfigError(f"sweep.objective: {metric} must be maximize or minimize, was {way!r}")
        return cls(dict(value))

    @property
    def directions(self) -> list[Direction]:
        """The directions in order, as a study takes them."""
        return list(self.metrics.values())


@dataclass(frozen=True)
class Constraint:
    """A bound that a trial's figure must keep.

    Args:
        metric: A ``validation/*`` metric.
        operator: ``<=`` or ``>=``.
        bound: Finite.
    """

    metric: str
    operator: Literal["<=", ">="]
    bound: float

    def violation(self, value: float) -> float:
        """Return by how much the figure breaks the bound; <= 0 where it keeps it."""
        return value - self.bound if self.operator == "<=" else self.bound - value

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {self.bound:g}"


def parse_constraints(constraints: Mapping[str, object]) -> tuple[Constraint, ...]:
    """Return the constraints of ``sweep.constraints``, ``{validation/max_drawdown: "<= 0.25"}``.

    Raises:
        ConfigError: Not a figure of the validation range, or no bound.
    """
    return tuple(_constraint(metric, text) for metric, text in constraints.items())


def _constraint(metric: str, text: object) -> Constraint:
    _require_validation("sweep.constraints", metric)
    found = BOUND.fullmatch(str(text))
    try:
        bound = float(found[2]) if found else math.nan
    except ValueError:
        bound = math.nan
    if found is None or not math.isfinite(bound):
        raise ConfigError(f'sweep.constraints: {metric} must be a bound such as "<= 0.25" or ">= 30", was {text!r}')
    return Constraint(metric, "<=" if found[1] == "<=" else ">=", bound)


@dataclass(frozen=True)
class Outcome:
    """What the runs of one trial say.

    Args:
        state: ``failed`` also where a run has not ended.
        values: Of the objectives in order, means over the seeds, finite; None unless done.
        constraints: Violation by metric and operator; the trial is feasible where all are <= 0.
        reason: Why there are no values, one line.
    """

    state: Literal["done", "pruned", "failed"]
    values: tuple[float, ...] | None = None
    constraints: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    @classmethod
    def failed(cls, reason: str) -> "Outcome":
        """Return the outcome of a trial that has no values."""
        return cls("failed", reason=reason)


class _NoFigure(Exception):
    """A metric is missing, or is not a number."""


def read_outcome(
    directories: Sequence[Path], objectives: Objectives, constraints: Sequence[Constraint] = ()
) -> Outcome:
    """Return what the runs of one trial left in their directories, one per seed.

    One that failed decides over one that was pruned, after which the others need not have begun; figures count where
    all are done.
    """
    states = [(path, *_state(path)) for path in directories]
    for worst in ("failed", "pruned", "unfinished"):
        for path, state, reason in states:
            if state == worst:
                return Outcome(
                    "pruned" if state == "pruned" else "failed",
                    reason=reason if len(directories) == 1 else f"seed {path.name}: {reason}",
                )
    try:
        metrics = [(path, read_metrics(path)) for path in directories]
        values = tuple(_mean(metrics, metric) for metric in objectives.metrics)
        violations = {str(one): one.violation(_mean(metrics, one.metric)) for one in constraints}
    except (_NoFigure, RunError, ValueError, TypeError, AttributeError) as error:  # whatever a job left in its file
        return Outcome.failed(" ".join(str(error).split()))
    return Outcome("done", values, violations)


def _state(directory: Path) -> tuple[Literal["done", "pruned", "failed", "unfinished"], str]:
    """Return how a run ended, and why."""
    path = directory / STATUS
    if not path.is_file():
        return "unfinished", f"{path}: no such file, the run did not start"
    try:
        status = read_json(path)
    except RunError as error:
        return "failed", str(error)
    if not isinstance(status, dict):
        return "failed", f"{path}: expected keys and values"
    reason = " ".join(str(status.get("error") or "").split())
    match status.get("state"):
        case "done":
            return "done", ""
        case "pruned":
            return "pruned", reason
        case "failed":
            return "failed", reason or "failed without a word"
        case state:
            return "unfinished", f"{path}: the run has not ended, it is {state!r}"


def _mean(runs: Sequence[tuple[Path, Mapping[str, float]]], metric: str) -> float:
    """Return the mean of a metric over runs.

    Raises:
        _NoFigure: One lacks it, or it is not a finite number.
    """
    for path, metrics in runs:
        if metric not in metrics:
            known = [name for name in metrics if name.startswith(VALIDATION)]
            raise _NoFigure(f"{path / METRICS} has no {metric!r}{suggest(metric, known)}")
        if not math.isfinite(metrics[metric]):
            raise _NoFigure(f"{path / METRICS}: {metric} is not a finite number; nothing was traded, or it diverged")
    return math.fsum(metrics[metric] for _, metrics in runs) / len(runs)


def _of_checkpoint(cfg: DictConfig) -> dict[str, Direction]:
    """Return the metric that chooses the checkpoint."""
    monitor = OmegaConf.select(cfg, "callbacks.best.monitor")
    mode = OmegaConf.select(cfg, "callbacks.best.mode", default="max")
    if not isinstance(monitor, str):
        raise ConfigError("sweep.objective: must be given where callbacks.best, whose monitor it would be, is off")
    _require_validation("callbacks.best.monitor", monitor)
    if mode not in BY_MODE:
        raise ConfigError(f"callbacks.best.mode: expected max or min, was {mode!r}")
    return {monitor: BY_MODE[mode]}


def _known_direction(metric: str) -> Direction:
    better = describe(metric).better
    if better:
        return "maximize" if better > 0 else "minimize"
    raise ConfigError(
        f"sweep.objective: whether more of {metric} is better is not known; use"
        f" 'sweep.objective={{{metric}:maximize}}' or minimize"
    )


def _require_validation(key: str, metric: object) -> None:
    """Refuse what is no figure of the validation range, and a name that is nearly one."""
    if not isinstance(metric, str) or not metric.startswith(VALIDATION):
        raise ConfigError(f"{key}: must be a validation/* metric, was {metric!r}; the test range is scored once")
    known = [VALIDATION + name for name in (*FIGURES, *JUDGED, *PLAYED, *ANSWERED)]
    if metric not in known and get_close_matches(metric, known, n=1, cutoff=0.85):
        raise ConfigError(f"{key}: no metric {metric!r}{suggest(metric, known)}")
