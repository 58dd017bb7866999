"""Samplers: the nodes ``sweep.sampler``, which choose the parameters of the next trial from those before it.

A sampler is made anew for every trial, from a seed of that trial: its memory is the study, so any number of processes
share it and a sweep that goes on repeats nothing. Argument names are Optuna's.
"""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal

from tradewright.errors import ConfigError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Sampler(ABC):
    """Base of the samplers."""

    name: ClassVar[str]
    """Option of group ``sweep`` that uses it."""
    has_grid: ClassVar[bool] = False
    """Tries every combination instead of choosing."""
    takes_many_objectives: ClassVar[bool] = True
    takes_conditions: ClassVar[bool] = True
    """Whether a parameter may exist in some trials only."""
    learns_conditions: ClassVar[bool] = False
    """Whether such a parameter is chosen from what was seen, not at random."""
    ignores_constraints: ClassVar[bool] = False
    """Whether it walks into what the constraints forbid; one that chooses at random does not walk."""
    is_random: ClassVar[bool] = False
    """Whether it learns nothing from earlier trials."""

    @abstractmethod
    def make(self, seed: int) -> "BaseSampler":
        """Return Optuna's sampler for one trial.

        Args:
            seed: Of this trial; two trials of one study must not share it.
        """


class Grid(Sampler):
    """Every combination of the values, once."""

    name: ClassVar[str] = "grid"
    has_grid: ClassVar[bool] = True
    takes_conditions: ClassVar[bool] = False
    is_random: ClassVar[bool] = True

    def make(self, seed: int) -> "BaseSampler":
        """Refuse: a grid's points are queued with their parameters.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("sweep=grid: its points are all known at the start; it chooses none while it runs")


class Random(Sampler):
    """Independent uniform draws, uniform in the logarithm where a parameter is logarithmic."""

    name: ClassVar[str] = "random"
    is_random: ClassVar[bool] = True

    def make(self, seed: int) -> "BaseSampler":
        """Return the sampler of one trial."""
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)


class TPE(Sampler):
    """Tree-structured Parzen estimator: prefers where densities of good trials exceed those of bad ones.

    Args:
        n_startup_trials: Random trials at first, >= 0.
        n_ei_candidates: Candidates of which the most promising becomes a trial, >= 1.
        multivariate: Model parameters jointly.
        group: Model the parameters of every branch of a conditional space jointly; needs ``multivariate``.
        constant_liar: Treat running trials as bad ones, so that parallel workers do not crowd in one place.

    Raises:
        ValueError: A value is out of range.

    Source: Bergstra et al., "Algorithms for hyper-parameter optimization", 2011; Watanabe, arXiv:2304.11127.
    """

    name: ClassVar[str] = "tpe"
    learns_conditions: ClassVar[bool] = True

    def __init__(
        self,
        *,
        n_startup_trials: int = 10,
        n_ei_candidates: int = 24,
        multivariate: bool = True,
        group: bool = True,
        constant_liar: bool = True,
    ) -> None:
        _require_least(n_startup_trials=(n_startup_trials, 0), n_ei_candidates=(n_ei_candidates, 1))
        if group and not multivariate:
            raise ValueError("group must be false where multivariate is false, was true")
        self.n_startup_trials, self.n_ei_candidates = n_startup_trials, n_ei_candidates
        self.multivariate, self.group, self.constant_liar = multivariate, group, constant_liar

    def make(self, seed: int) -> "BaseSampler":
        """Return the sampler of one trial."""
        from optuna.samplers import TPESampler

        with warnings.catch_warnings():
            _accept_experimental()
            return TPESampler(seed=seed, **vars(self))


class CMAES(Sampler):
    """Covariance matrix adaptation: follows a valley of numeric parameters; draws categories at random.

    Args:
        n_startup_trials: Random trials at first, >= 0.
        popsize: Trials per generation, >= 2; None: 4 + 3 ln(number of parameters).
        with_margin: Keep steps of integers from dying out.
        lr_adapt: Adapt the learning rate, for noisy or rugged objectives; excludes ``with_margin``.
        consider_pruned_trials: Learn from pruned trials by their last reported value.

    Raises:
        ValueError: A value is out of range.

    Source: Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772.
    """

    name: ClassVar[str] = "cmaes"
    takes_many_objectives: ClassVar[bool] = False
    ignores_constraints: ClassVar[bool] = True

    def __init__(
        self,
        *,
        n_startup_trials: int = 1,
        popsize: int | None = None,
        with_margin: bool = False,
        lr_adapt: bool = False,
        consider_pruned_trials: bool = False,
    ) -> None:
        _require_least(n_startup_trials=(n_startup_trials, 0), popsize=(popsize, 2))
        if with_margin and lr_adapt:
            raise ValueError("lr_adapt must be false where with_margin is true, was true")
        self.n_startup_trials, self.popsize = n_startup_trials, popsize
        self.with_margin, self.lr_adapt = with_margin, lr_adapt
        self.consider_pruned_trials = consider_pruned_trials

    def make(self, seed: int) -> "BaseSampler":
        """Return the sampler of one trial."""
        from optuna.samplers import CmaEsSampler

        with warnings.catch_warnings():
            _accept_experimental()
            return CmaEsSampler(seed=seed, warn_independent_sampling=False, **vars(self))


class GP(Sampler):
    """Gaussian process: the fewest trials to the best ones, for a second of computing per trial.

    Args:
        n_startup_trials: Random trials at first, >= 1.
        deterministic_objective: The same parameters give the same value, without noise; trainings do not.

    Raises:
        ValueError: A value is out of range.

    Source: Jones et al., "Efficient global optimization of expensive black-box functions", 1998.
    """

    name: ClassVar[str] = "gp"

    def __init__(self, *, n_startup_trials: int = 10, deterministic_objective: bool = False) -> None:
        _require_least(n_startup_trials=(n_startup_trials, 1))
        self.n_startup_trials, self.deterministic_objective = n_startup_trials, deterministic_objective

    def make(self, seed: int) -> "BaseSampler":
        """Return the sampler of one trial."""
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, warn_independent_sampling=False, **vars(self))


class NSGA2(Sampler):
    """Genetic algorithm that sorts trials by dominance and crowding: spreads over the Pareto front.

    Args:
        population_size: Trials per generation, >= 2; the first one is random, so ``num_trials`` must be several times
            as many.
        mutation_prob: Of a parameter, in [0, 1]; None: 1 / number of parameters.
        crossover_prob: Of two parents instead of one, in [0, 1].
        swapping_prob: Of taking a parameter from the second parent, in [0, 1].

    Raises:
        ValueError: A value is out of range.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002.
    """

    name: ClassVar[str] = "nsga2"

    def __init__(
        self,
        *,
        population_size: int = 10,
        mutation_prob: float | None = None,
        crossover_prob: float = 0.9,
        swapping_prob: float = 0.5,
    ) -> None:
        _require_least(population_size=(population_size, 2))
        _require_fraction(mutation_prob=mutation_prob, crossover_prob=crossover_prob, swapping_prob=swapping_prob)
        self.population_size, self.mutation_prob = population_size, mutation_prob
        self.crossover_prob, self.swapping_prob = crossover_prob, swapping_prob

    def make(self, seed: int) -> "BaseSampler":
        """Return the sampler of one trial."""
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(seed=seed, **vars(self))


class NSGA3(NSGA2):
    """NSGA-II with reference directions instead of crowding: for three objectives and more.

    Args:
        population_size: As for NSGA-II.
        mutation_prob: As for NSGA-II.
        crossover_prob: As for NSGA-II.
        swapping_prob: As for NSGA-II.
        dividing_parameter: Parts into which every axis of the reference directions is divided, >= 1.

    Raises:
        ValueError: A value is out of range.

    Source: Deb and Jain, "An evolutionary many-objective optimization algorithm", 2014.
    """

    name: ClassVar[str] = "nsga3"

    def __init__(
        self,
        *,
        population_size: int = 10,
        mutation_prob: float | None = None,
        crossover_prob: float = 0.9,
        swapping_prob: float = 0.5,
        dividing_parameter: int = 3,
    ) -> None:
        super().__init__(
            population_size=population_size,
            mutation_prob=mutation_prob,
            crossover_prob=crossover_prob,
            swapping_prob=swapping_prob,
        )
        _require_least(dividing_parameter=(dividing_parameter, 1))
        self.dividing_parameter = dividing_parameter

    def make(self, seed: int) -> "BaseSampler":
        """Return the sampler of one trial."""
        from optuna.samplers import NSGAIIISampler

        with warnings.catch_warnings():
            _accept_experimental()
            return NSGAIIISampler(seed=seed, **vars(self))


class QMC(Sampler):
    """Low-discrepancy sequence: covers the space more evenly than random draws; learns nothing.

    Args:
        qmc_type: ``sobol`` (best with 2^n trials) or ``halton``.
        scramble: Randomise the sequence, which keeps its evenness and avoids its regular start.
        seed: Of the scrambling, >= 0; one for all trials, or they would not be one sequence.

    Raises:
        ValueError: A value is out of range.

    Source: Bergstra and Bengio, "Random search for hyper-parameter optimization", 2012.
    """

    name: ClassVar[str] = "qmc"
    is_random: ClassVar[bool] = True

    def __init__(self, *, qmc_type: Literal["sobol", "halton"] = "sobol", scramble: bool = True, seed: int = 0) -> None:
        if qmc_type not in ("sobol", "halton"):
            raise ValueError(f"qmc_type must be sobol or halton, was {qmc_type!r}")
        _require_least(seed=(seed, 0))
        self.qmc_type, self.scramble, self.seed = qmc_type, scramble, seed

    def make(self, seed: int) -> "BaseSampler":
        """Return the sampler of one trial; ``seed`` is that of what the sequence does not cover.

        Those are trials before the first has ended, and parameters that exist in some trials only.
        """
        from optuna.samplers import QMCSampler, RandomSampler

        with warnings.catch_warnings():
            _accept_experimental()
            return QMCSampler(
                qmc_type=self.qmc_type,
                scramble=self.scramble,
                seed=self.seed,
                independent_sampler=RandomSampler(seed=seed),
                warn_asynchronous_seeding=False,
                warn_independent_sampling=False,
            )


SAMPLERS: tuple[type[Sampler], ...] = (Grid, Random, TPE, CMAES, GP, NSGA2, NSGA3, QMC)


def check_fit(
    sampler: Sampler,
    *,
    num_objectives: int,
    has_pruner: bool = False,
    has_constraints: bool = False,
    has_conditions: bool = False,
    num_trials: int | None = None,
) -> list[str]:
    """Refuse what cannot work before anything starts.

    Args:
        sampler: Chosen sampler.
        num_objectives: Metrics that are optimised, >= 1.
        has_pruner: Jobs may be stopped early.
        has_constraints: There are constraints.
        has_conditions: Some parameters exist in some trials only.
        num_trials: Of the sweep; None: not known.

    Returns:
        Warnings, one line each: it works, but not as one would think.

    Raises:
        ConfigError: One line that says what to use instead.
    """
    own = f"sweep={sampler.name}"
    if num_objectives > 1 and not sampler.takes_many_objectives:
        able = _options(lambda one: one.takes_many_objectives and not one.is_random)
        raise ConfigError(f"{own} takes one objective, sweep.objective names {num_objectives}; use {able}")
    if num_objectives > 1 and has_pruner:
        raise ConfigError(
            f"pruner: must be none where sweep.objective names {num_objectives} metrics, because none of them alone"
            " says that a job is behind; use pruner=none or one objective"
        )
    if has_constraints and sampler.ignores_constraints:
        able = _options(lambda one: not one.ignores_constraints and not one.is_random)
        raise ConfigError(f"{own} does not see sweep.constraints and walks into what they forbid; use {able}")
    if has_conditions and not sampler.takes_conditions:
        able = _options(lambda one: one.takes_conditions)
        raise ConfigError(f"{own} has no place for a parameter that exists in some jobs only; use {able}")
    if isinstance(sampler, CMAES) and find_spec("cmaes") is None:
        raise ConfigError(f"{own} needs the package cmaes, which is not installed; pip install cmaes")
    found = []
    if has_conditions and not (sampler.learns_conditions or sampler.is_random):
        found.append(f"{own}: conditional parameters are drawn at random; sweep=tpe learns them too")
    if isinstance(sampler, NSGA2) and num_trials is not None and num_trials < 2 * sampler.population_size:
        found.append(
            f"sweep.num_trials: {num_trials} trials are less than two generations of"
            f" sweep.sampler.population_size = {sampler.population_size}, and the first is random"
        )
    return found


def _options(accepts: Callable[[type[Sampler]], bool]) -> str:
    names = [f"sweep={one.name}" for one in SAMPLERS if not one.has_grid and accepts(one)]
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _accept_experimental() -> None:
    """Say nothing of what Optuna calls experimental: it is ours to choose, and tested."""
    from optuna.exceptions import ExperimentalWarning

    warnings.simplefilter("ignore", ExperimentalWarning)


def _require_least(**bounds: tuple[int | None, int]) -> None:
    for key, (value, least) in bounds.items():
        if value is not None and value < least:
            raise ValueError(f"{key} must be >= {least}, was {value}")


def _require_fraction(**values: float | None) -> None:
    for key, value in values.items():
        if value is not None and not (math.isfinite(value) and 0 <= value <= 1):
            raise ValueError(f"{key} must be in [0, 1], was {value}")
