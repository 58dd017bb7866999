"""Pruners on curves whose order is known: they end what is behind and nothing else."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from tradewright.config.build import build
from tradewright.paths import shipped
from tradewright.sweep.pruners import Hyperband, Median, Pruner

EPOCHS = 9


def pruned_at(pruner: Pruner, levels: list[float], *, direction: str = "maximize") -> list[int | None]:
    """Return the epoch at which each of several flat curves was ended, None where it never was."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction=direction, pruner=pruner.make(), study_name="curves")
    found: list[int | None] = []
    for level in levels:
        trial = study.ask()
        ended = None
        for epoch in range(EPOCHS):
            trial.report(level, epoch)
            if trial.should_prune():
                ended = epoch
                break
        study.tell(trial, None if ended is not None else level, state=TrialState.PRUNED if ended is not None else None)
        found.append(ended)
    return found


def test_median_ends_what_is_below_the_median_of_those_before_after_the_warm_up() -> None:
    found = pruned_at(Median(n_startup_trials=3, n_warmup_steps=4), [1.0, 2.0, 3.0, 1.5, 2.5, 1.9])
    assert found == [None, None, None, 4, None, 4]


def test_median_follows_the_direction_of_the_study() -> None:
    found = pruned_at(Median(n_startup_trials=3, n_warmup_steps=2), [1.0, 2.0, 3.0, 1.5, 2.5], direction="minimize")
    assert found == [None, None, None, None, 2]


def test_median_looks_only_at_its_intervals_and_where_enough_jobs_were() -> None:
    assert pruned_at(Median(n_startup_trials=1, n_warmup_steps=2, interval_steps=3), [2.0, 1.0]) == [None, 2]
    assert pruned_at(Median(n_startup_trials=1, n_warmup_steps=1, interval_steps=3), [2.0, 1.0])[1] == 1
    assert pruned_at(Median(n_startup_trials=1, n_warmup_steps=0, n_min_trials=3), [2.0, 1.0, 1.0]) == [None] * 3


def test_hyperband_ends_most_of_what_is_worse_than_the_first_and_nothing_that_is_better() -> None:
    falling = pruned_at(Hyperband(max_resource=EPOCHS), [float(-number) for number in range(30)])
    num_pruned = sum(epoch is not None for epoch in falling)
    print(f"ended {num_pruned} of 30 falling ones at {falling}")
    assert num_pruned > 15
    assert all(epoch in (1, 3) for epoch in falling if epoch is not None)  # min_resource * reduction_factor^k
    assert pruned_at(Hyperband(max_resource=EPOCHS), [float(number) for number in range(30)]) == [None] * 30


def test_hyperband_without_known_length_ends_nothing_before_one_job_has_ended() -> None:
    study = optuna.create_study(direction="maximize", pruner=Hyperband().make())
    for level in range(10, 0, -1):  # all of them run at the same time
        trial = study.ask()
        for epoch in range(EPOCHS):
            trial.report(float(level), epoch)
            assert not trial.should_prune()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Median(n_startup_trials=-1), "n_startup_trials must be >= 0, was -1"),
        (lambda: Median(n_warmup_steps=-1), "n_warmup_steps must be >= 0, was -1"),
        (lambda: Median(interval_steps=0), "interval_steps must be >= 1, was 0"),
        (lambda: Median(n_min_trials=0), "n_min_trials must be >= 1, was 0"),
        (lambda: Hyperband(min_resource=0), "min_resource must be >= 1, was 0"),
        (lambda: Hyperband(min_resource=4, max_resource=3), "max_resource must be auto or >= min_resource = 4, was 3"),
        (lambda: Hyperband(max_resource="all"), "max_resource must be auto or .* was all"),  # type: ignore[arg-type]
        (lambda: Hyperband(reduction_factor=1), "reduction_factor must be >= 2, was 1"),
        (lambda: Hyperband(bootstrap_count=2), "bootstrap_count must be 0 where max_resource is auto"),
    ],
)
def test_arguments_out_of_range_are_refused(make: Callable[[], Pruner], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("option", "kind"), [("median", Median), ("hyperband", Hyperband)])
def test_options_build_what_a_program_gets_without_arguments(option: str, kind: type[Pruner]) -> None:
    node: dict[str, Any] = yaml.safe_load((shipped("conf") / "pruner" / f"{option}.yaml").read_text())
    built = build(node, key="pruner")
    assert type(built) is kind
    assert vars(built) == vars(kind())
