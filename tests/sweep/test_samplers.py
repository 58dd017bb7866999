"""Every sampler against problems whose optimum is known, through plain studies; what cannot work is refused."""

import math
import warnings
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import optuna
import pytest
import yaml
from optuna.trial import Trial, TrialState

from tradewright.config.locate import class_attribute
from tradewright.errors import ConfigError
from tradewright.paths import shipped
from tradewright.sweep.optuna_compat import suggest
from tradewright.sweep.samplers import (
    CMAES,
    GP,
    NSGA2,
    NSGA3,
    QMC,
    SAMPLERS,
    TPE,
    Grid,
    Random,
    Sampler,
    check_fit,
)
from tradewright.sweep.space import parse_space

CHOOSING: tuple[type[Sampler], ...] = tuple(one for one in SAMPLERS if not one.has_grid)
FAST = tuple(one for one in CHOOSING if one is not GP)

Objective = Callable[[Trial], float | tuple[float, ...]]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def run(
    sampler: Sampler, objective: Objective, num: int, *, seed: int = 0, directions: Sequence[str] = ("maximize",)
) -> optuna.Study:
    """Return a study whose sampler is new for every trial, as workers do it."""
    study = optuna.create_study(directions=list(directions))
    for number in range(num):
        study.sampler = sampler.make(zlib.crc32(f"{seed}-{number}".encode()))
        trial = study.ask()
        study.tell(trial, objective(trial))
    return study


def mixed(trial: Trial) -> float:
    """One at lr 1e-3, gamma 0.95, n 16, h 3, k b; every distance is in units of the parameter's range."""
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    gamma = trial.suggest_float("gamma", 0.8, 1.0)
    n = trial.suggest_int("n", 1, 64, log=True)
    h = trial.suggest_int("h", 0, 10)
    k = trial.suggest_categorical("k", ["a", "b", "c"])
    smooth = ((math.log10(lr) + 3) / 4) ** 2 + ((gamma - 0.95) / 0.2) ** 2
    return 1 - smooth - (math.log2(n / 16) / 6) ** 2 - ((h - 3) / 10) ** 2 - {"a": 0.3, "b": 0.0, "c": 0.15}[k]


def bowl(trial: Trial) -> float:
    """One at the point (0.2, 0.7, 0.4, 0.9)."""
    point = [trial.suggest_float(name, 0, 1) for name in "abcd"]
    return 1 - sum((own - best) ** 2 for own, best in zip(point, (0.2, 0.7, 0.4, 0.9), strict=True))


def bounded(trial: Trial) -> float:
    """x + y, of which at most 0.5 is allowed: an eighth of the square."""
    total = trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1)
    trial.set_constraint("x + y <= 0.5", total - 0.5)
    return total


def two_bowls(trial: Trial) -> tuple[float, float]:
    """Schaffer's problem with two idle directions: the front is y = z = 0, 0 <= x <= 2, f2 = (2 - sqrt(f1))^2."""
    x = trial.suggest_float("x", -4, 6)
    rest = trial.suggest_float("y", -3, 3) ** 2 + trial.suggest_float("z", -3, 3) ** 2
    return x**2 + rest, (x - 2) ** 2 + rest


def dominated_area(points: Sequence[Sequence[float]], corner: float = 10.0) -> float:
    """The area between points, both coordinates to be small, and the corner (corner, corner)."""
    area, height = 0.0, corner
    for first, second in sorted((float(a), float(b)) for a, b in points if a < corner and b < corner):
        if second < height:
            area += (corner - first) * (height - second)
            height = second
    return area


def front_area(corner: float = 10.0) -> float:
    first = np.linspace(0, corner, 100_001)
    second = np.where(first >= 4, 0.0, (2 - np.sqrt(np.minimum(first, 4))) ** 2)
    return float(np.trapezoid(corner - second, first))


@pytest.mark.parametrize(
    ("sampler", "bound"),
    [(Random(), 0.80), (TPE(), 0.95), (CMAES(), 0.88), (NSGA2(), 0.86), (NSGA3(), 0.86), (QMC(), 0.7)],
)
def test_forty_trials_come_near_the_optimum_of_a_mixed_problem(sampler: Sampler, bound: float) -> None:
    best = [run(sampler, mixed, 40, seed=seed).best_value for seed in range(5)]
    print(f"{sampler.name}: seeds 0..4, best {best}")
    assert all(value <= 1 for value in best)
    assert np.mean(best) > bound


def test_gaussian_process_finds_the_optimum_in_sixteen_trials() -> None:
    study = run(GP(n_startup_trials=8), bowl, 16, seed=0)
    assert study.best_value > 0.99


@pytest.mark.slow
def test_gaussian_process_finds_the_optimum_of_a_mixed_problem() -> None:
    best = [run(GP(), mixed, 30, seed=seed) for seed in range(3)]
    assert min(study.best_value for study in best) > 0.97
    assert {study.best_params["k"] for study in best} == {"b"}


@pytest.mark.parametrize("sampler", [TPE(), CMAES(), NSGA2(), NSGA3()])
def test_what_learns_beats_random_draws_on_a_smooth_problem(sampler: Sampler) -> None:
    def missed(one: Sampler) -> float:
        return float(np.mean([1 - run(one, bowl, 60, seed=seed).best_value for seed in range(5)]))

    own, random = missed(sampler), missed(Random())
    print(f"seeds 0..4: {sampler.name} misses by {own:.4f}, random by {random:.4f}")
    assert own < 0.8 * random


def test_low_discrepancy_sequence_covers_every_cell_where_random_draws_leave_some_empty() -> None:
    def cells(sampler: Sampler) -> set[tuple[int, int]]:
        def objective(trial: Trial) -> float:
            return trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1)

        trials = run(sampler, objective, 65).trials[1:]  # the space is known from the first trial on
        return {(int(8 * trial.params["x"]), int(8 * trial.params["y"])) for trial in trials}

    assert len(cells(QMC())) == 64
    assert len(cells(QMC(scramble=False))) == 64
    assert len(cells(QMC(qmc_type="halton"))) > 48
    assert len(cells(Random())) < 48


@pytest.mark.parametrize("sampler", [TPE(), NSGA2(), NSGA3(), GP(n_startup_trials=7)])
def test_constraints_are_kept_to_by_what_learns_them(sampler: Sampler) -> None:
    num = 14 if isinstance(sampler, GP) else 40

    def excess(one: Sampler, seed: int) -> float:
        late = run(one, bounded, num, seed=seed).trials[num // 2 :]
        return float(np.mean([max(0.0, trial.constraints["x + y <= 0.5"]) for trial in late]))

    seeds = range(1 if isinstance(sampler, GP) else 3)
    own, random = (float(np.mean([excess(one, seed) for seed in seeds])) for one in (sampler, Random()))
    print(f"seeds {list(seeds)}: {sampler.name} breaks the constraint by {own:.3f}, random by {random:.3f}")
    assert own < 0.7 * random
    feasible = [t.value for t in run(sampler, bounded, num).trials if t.constraints["x + y <= 0.5"] <= 0]
    assert 0.3 < max(feasible) <= 0.5


def test_covariance_adaptation_walks_into_what_is_forbidden_and_is_refused_with_constraints() -> None:
    with pytest.warns(UserWarning, match="CmaEsSampler will not use them"):
        late = run(CMAES(), bounded, 40).trials[20:]
    assert np.mean([trial.value for trial in late]) > 1.2
    with pytest.raises(ConfigError, match=r"sweep=cmaes does not see sweep.constraints.* use sweep=tpe, sweep=gp"):
        check_fit(CMAES(), num_objectives=1, has_constraints=True)


@pytest.mark.parametrize(
    ("sampler", "bound"), [(TPE(), 0.9), (NSGA2(), 0.75), (NSGA3(), 0.75), (Random(), 0.5), (QMC(), 0.5)]
)
def test_two_objectives_approach_the_known_front(sampler: Sampler, bound: float) -> None:
    directions = ("minimize", "minimize")
    shares = []
    for seed in range(4):
        study = run(sampler, two_bowls, 80, seed=seed, directions=directions)
        shares.append(dominated_area([trial.values for trial in study.best_trials]) / front_area())
    print(f"{sampler.name}: seeds 0..3, share of the front's area {shares}")
    assert bound < np.mean(shares) <= 1


@pytest.mark.slow
def test_gaussian_process_reaches_the_known_front() -> None:
    study = run(GP(), two_bowls, 40, directions=("minimize", "minimize"))
    assert dominated_area([trial.values for trial in study.best_trials]) / front_area() > 0.97


@pytest.mark.parametrize("cls", CHOOSING)
def test_conditional_parameters_exist_exactly_in_their_branch(cls: type[Sampler]) -> None:
    space = parse_space(
        ["x=interval(0.0,1.0)", "k=a,b"],
        conditional=[
            {"when": {"k": "a"}, "params": {"only_a": "interval(0.0,1.0)"}},
            {"when": {"k": "b"}, "params": {"only_b": "int(interval(1,9))", "also_b": [True, False]}},
        ],
    )
    branches = {"a": {"x", "k", "only_a"}, "b": {"x", "k", "only_b", "also_b"}}

    def objective(trial: Trial) -> float:
        values = {one.name: suggest(trial, one.name, one.distribution()) for one in space.dimensions}
        for condition in space.conditions:
            if all(values[key] == text for key, text in condition.when.items()):
                for one in condition.dimensions:
                    values[one.name] = suggest(trial, one.name, one.distribution())
        return values["x"] + values.get("only_a", 0.5)

    trials = run(cls(), objective, 12 if cls is GP else 24).trials
    assert {trial.params["k"] for trial in trials} == {"a", "b"}
    for trial in trials:
        assert trial.params.keys() == branches[trial.params["k"]]
        assert all(isinstance(trial.params.get(key, 1), int) for key in ("only_b", "also_b"))


def test_only_the_estimator_of_groups_learns_conditional_parameters() -> None:
    """What ``learns_conditions`` says: distance of a conditional parameter to its optimum 0.8, late in the study."""

    def objective(trial: Trial) -> float:
        value = -((trial.suggest_float("x", 0, 1) - 0.3) ** 2)
        if trial.suggest_categorical("k", ["a", "b"]) == "a":
            return value + 0.5 - (trial.suggest_float("only_a", 0, 1) - 0.8) ** 2
        return value - trial.suggest_float("only_b", 0, 1) ** 2

    def distance(sampler: Sampler) -> float:
        late = [trial for seed in range(2) for trial in run(sampler, objective, 60, seed=seed).trials[30:]]
        return float(np.mean([abs(trial.params["only_a"] - 0.8) for trial in late if "only_a" in trial.params]))

    found = {cls.name: distance(cls()) for cls in FAST}
    print(f"seeds 0, 1: {found}")
    expected_of_random = (0.8**2 + 0.2**2) / 2
    for cls in FAST:
        if cls.learns_conditions:
            assert found[cls.name] < 0.5 * expected_of_random
        else:
            assert found[cls.name] > 0.6 * expected_of_random


@pytest.mark.parametrize("cls", CHOOSING)
def test_new_samplers_repeat_nothing_although_each_starts_anew(cls: type[Sampler]) -> None:
    """Trap 5: one seed for all trials would give every trial of a worker the same random point."""

    def points(seed: int) -> list[tuple[float, ...]]:
        study = optuna.create_study()
        for number in range(8):  # eight workers claim before anything has ended
            study.sampler = cls().make(zlib.crc32(f"{seed}-{number}".encode()))
            trial = study.ask()
            trial.suggest_float("x", 0, 1)
            trial.suggest_float("y", 0, 1)
        return [tuple(trial.params.values()) for trial in study.trials]

    assert len(set(points(0))) == 8
    assert points(0) == points(0)
    is_sequence_of_its_own = cls is QMC  # whose seed is an argument: all workers continue one sequence
    assert is_sequence_of_its_own or not set(points(0)) & set(points(1))


@pytest.mark.parametrize("cls", CHOOSING)
def test_failed_and_pruned_trials_disturb_no_sampler(cls: type[Sampler]) -> None:
    study = optuna.create_study(direction="maximize")
    for number in range(12):
        study.sampler = cls().make(number)
        trial = study.ask()
        value = trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 1, 4)
        if number % 3 == 0:
            study.tell(trial, state=TrialState.FAIL)
        elif number % 3 == 1:
            trial.report(value, 0)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, value)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "PRUNED", "COMPLETE"] * 4


def test_grid_chooses_nothing() -> None:
    with pytest.raises(ConfigError, match="sweep=grid: its points are all known"):
        Grid().make(0)


def test_several_objectives_are_refused_where_optuna_itself_raises() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=CMAES().make(0))
    with pytest.raises(ValueError, match="multi-objective"):
        study.optimize(two_bowls, n_trials=3)
    with pytest.raises(ConfigError, match=r"^sweep=cmaes takes one objective, sweep.objective names 2; use sweep=tpe"):
        check_fit(CMAES(), num_objectives=2)
    trial = optuna.create_study(directions=["minimize", "minimize"]).ask()
    with pytest.raises(NotImplementedError, match="multi-objective"):  # raised by Optuna
        trial.report(1.0, 0)
    with pytest.raises(ConfigError, match=r"^pruner: must be none where sweep.objective names 2 metrics"):
        check_fit(TPE(), num_objectives=2, has_pruner=True)


@pytest.mark.parametrize("cls", SAMPLERS)
def test_what_fits_is_not_refused(cls: type[Sampler]) -> None:
    with warnings.catch_warnings():
        assert check_fit(cls(), num_objectives=1, has_pruner=True) == []
        if cls.takes_many_objectives:
            assert check_fit(cls(), num_objectives=3) == []


def test_conditions_are_refused_by_a_grid_and_noted_where_they_are_drawn_at_random() -> None:
    with pytest.raises(ConfigError, match="sweep=grid has no place for a parameter that exists in some jobs only"):
        check_fit(Grid(), num_objectives=1, has_conditions=True)
    noted = {cls.name for cls in CHOOSING if check_fit(cls(), num_objectives=1, has_conditions=True)}
    assert noted == {"cmaes", "gp", "nsga2", "nsga3"}


def test_generations_larger_than_half_the_sweep_are_noted() -> None:
    (note,) = check_fit(NSGA2(population_size=50), num_objectives=2, num_trials=40)
    assert note.startswith("sweep.num_trials: 40 trials are less than two generations")
    assert check_fit(NSGA2(population_size=20), num_objectives=2, num_trials=40) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TPE(n_startup_trials=-1), "n_startup_trials must be >= 0, was -1"),
        (lambda: TPE(n_ei_candidates=0), "n_ei_candidates must be >= 1, was 0"),
        (lambda: TPE(multivariate=False), "group must be false where multivariate is false, was true"),
        (lambda: CMAES(popsize=1), "popsize must be >= 2, was 1"),
        (lambda: CMAES(with_margin=True, lr_adapt=True), "lr_adapt must be false where with_margin is true"),
        (lambda: GP(n_startup_trials=0), "n_startup_trials must be >= 1, was 0"),
        (lambda: NSGA2(population_size=1), "population_size must be >= 2, was 1"),
        (lambda: NSGA2(mutation_prob=1.5), r"mutation_prob must be in \[0, 1\], was 1.5"),
        (lambda: NSGA2(crossover_prob=math.nan), r"crossover_prob must be in \[0, 1\], was nan"),
        (lambda: NSGA3(swapping_prob=-0.1), r"swapping_prob must be in \[0, 1\], was -0.1"),
        (lambda: NSGA3(dividing_parameter=0), "dividing_parameter must be >= 1, was 0"),
        (lambda: QMC(qmc_type="latin"), "qmc_type must be sobol or halton, was 'latin'"),  # type: ignore[arg-type]
        (lambda: QMC(seed=-1), "seed must be >= 0, was -1"),
    ],
)
def test_arguments_out_of_range_are_refused(make: Callable[[], Sampler], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "sampler",
    [
        TPE(multivariate=False, group=False, constant_liar=False),
        CMAES(with_margin=True, popsize=4),
        CMAES(lr_adapt=True, consider_pruned_trials=True),
        NSGA2(mutation_prob=0.5),
        NSGA3(dividing_parameter=2),
        QMC(qmc_type="halton", scramble=False),
    ],
)
def test_every_option_reaches_optuna(sampler: Sampler) -> None:
    assert run(sampler, bowl, 12).best_value > 0


@pytest.mark.parametrize("cls", SAMPLERS)
def test_option_of_the_group_names_its_class_and_facts_are_read_from_source(cls: type[Sampler]) -> None:
    option = yaml.safe_load((shipped("conf") / "sweep" / f"{cls.name}.yaml").read_text())
    target = option["sweep"]["sampler"].pop("_target_")
    assert target == f"{cls.__module__}.{cls.__name__}"
    for fact in ("name", "has_grid", "takes_many_objectives", "takes_conditions"):
        assert class_attribute(target, fact) == getattr(cls, fact)
    arguments = {key: value for key, value in option["sweep"]["sampler"].items() if not str(value).startswith("$")}
    assert vars(cls(**arguments)) == vars(cls())  # what the file says is what a program gets without it
    assert option.get("hydra", {}).get("mode") == (None if cls is Grid else "MULTIRUN")
