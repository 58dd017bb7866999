"""Pruners: the nodes of group ``pruner``, which end a job whose validation figure falls behind that of the others."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import DictConfig, OmegaConf

from tradewright.config.locate import class_attribute

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


class Pruner(ABC):
    """Base of the pruners; a step is an epoch of training, counted from 0."""

    @abstractmethod
    def make(self) -> "BasePruner":
        """Return Optuna's pruner."""


class Median(Pruner):
    """Ends a job whose best figure so far is below the median of the others' at the same epoch.

    Args:
        n_startup_trials: Jobs that must have ended before any is pruned, >= 0.
        n_warmup_steps: Epochs at the start of a job in which it is left alone, >= 0.
        interval_steps: Epochs between two looks, >= 1.
        n_min_trials: Jobs that must have reached an epoch before it prunes there, >= 1.

    Raises:
        ValueError: A value is out of range.

    Source: Golovin et al., "Google Vizier: a service for black-box optimization", 2017.
    """

    def __init__(
        self, *, n_startup_trials: int = 5, n_warmup_steps: int = 3, interval_steps: int = 1, n_min_trials: int = 1
    ) -> None:
        for key, value, least in (
            ("n_startup_trials", n_startup_trials, 0),
            ("n_warmup_steps", n_warmup_steps, 0),
            ("interval_steps", interval_steps, 1),
            ("n_min_trials", n_min_trials, 1),
        ):
            if value < least:
                raise ValueError(f"{key} must be >= {least}, was {value}")
        self.n_startup_trials, self.n_warmup_steps = n_startup_trials, n_warmup_steps
        self.interval_steps, self.n_min_trials = interval_steps, n_min_trials

    def make(self) -> "BasePruner":
        """Return Optuna's pruner."""
        from optuna.pruners import MedianPruner

        return MedianPruner(
            self.n_startup_trials, self.n_warmup_steps, self.interval_steps, n_min_trials=self.n_min_trials
        )


class Hyperband(Pruner):
    """Halves again and again: of the jobs at an epoch only the best 1 / ``reduction_factor`` go on.

    Jobs are spread over brackets that begin to prune early or late.

    Args:
        min_resource: First epoch at which a job may be pruned, >= 1.
        max_resource: Epochs of a whole job; ``auto``: those of the longest job that ended, and none is pruned before.
        reduction_factor: Of every so many jobs one goes on, >= 2.
        bootstrap_count: Jobs that must have reached an epoch before it prunes there, >= 0; needs ``max_resource``.

    Raises:
        ValueError: A value is out of range.

    Source: Li et al., "Hyperband", 2018; Li et al., "A system for massively parallel hyperparameter tuning", 2020.
    """

    def __init__(
        self,
        *,
        min_resource: int = 1,
        max_resource: int | Literal["auto"] = "auto",
        reduction_factor: int = 3,
        bootstrap_count: int = 0,
    ) -> None:
        if min_resource < 1:
            raise ValueError(f"min_resource must be >= 1, was {min_resource}")
        if max_resource != "auto" and not (isinstance(max_resource, int) and max_resource >= min_resource):
            raise ValueError(f"max_resource must be auto or >= min_resource = {min_resource}, was {max_resource}")
        if reduction_factor < 2:
            raise ValueError(f"reduction_factor must be >= 2, was {reduction_factor}")
        if bootstrap_count < 0 or (bootstrap_count and max_resource == "auto"):
            raise ValueError(f"bootstrap_count must be 0 where max_resource is auto, else >= 0, was {bootstrap_count}")
        self.min_resource, self.max_resource = min_resource, max_resource
        self.reduction_factor, self.bootstrap_count = reduction_factor, bootstrap_count

    def make(self) -> "BasePruner":
        """Return Optuna's pruner."""
        from optuna.pruners import HyperbandPruner

        return HyperbandPruner(self.min_resource, self.max_resource, self.reduction_factor, self.bootstrap_count)


def pruner_warnings(
    pruner: Mapping[Any, Any] | None, jobs: Sequence[DictConfig], *, varied: Sequence[str], seeds: int
) -> list[str]:
    """Return what a pruner does less than one would think, one line each.

    Only a training on the run's own ranges reports while it runs. Of several seeds of a trial the first alone reports:
    a trial has one figure per epoch in the queue, the median of the others' first seeds is no yardstick for another
    seed, and a trial whose mean is good would be lost to one unlucky seed.

    Args:
        pruner: Its configuration; None: there is none.
        jobs: Configurations of jobs, one per branch of the space.
        varied: Keys that the sweep varies.
        seeds: Runs per trial.
    """
    if pruner is None:
        return []
    own = f"pruner={str(pruner.get('_target_', '')).rpartition('.')[2].lower()}"
    trained = [job for job in jobs if class_attribute(str(job.task.get("_target_", "")), "learns") is True]
    if not trained and "task" not in varied:
        return [f"{own} has no effect: nothing is trained, so that no job reports a figure before its end"]
    folded = [job for job in trained if OmegaConf.select(job, "evaluate.folds") is not None]
    if trained and len(folded) == len(trained) and not {"evaluate", "evaluate.folds"} & set(varied):
        return [f"{own} has no effect: the fits of a cross-validated run (evaluate.folds) are compared with nothing"]
    if seeds > 1:
        return [f"{own} stops a trial during its first seed only; the others of sweep.seeds={seeds} run to their end"]
    return []
