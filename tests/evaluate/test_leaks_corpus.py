"""The detector against the corpora: every planted leak is caught, clean functions are not blamed."""

import warnings

import pytest
from clean_corpus_more import CLEAN
from leak_corpus import Case
from leak_corpus_decisions import LEAKS
from leak_environments import CLEAN_ENVIRONMENTS, ENVIRONMENT_LEAKS, check_simulator

SEEDS = range(5)
ENVIRONMENT_SEEDS = range(2)
"""A rollout costs a hundred times a feature; the slow form takes as many seeds as for the others."""
MANY_SEEDS = range(100, 130)
FAMILIES = {"feature", "normaliser", "label", "resampling", "join", "split", "environment", "strategy", "prompt"}
MAX_FALSE_ALARMS = 0.01


def missed(cases: list[Case], seeds: range) -> list[str]:
    """Return the cases and seeds in which the detector found nothing; print how many there were."""
    found = {f"{case.name} (seed {seed})": case.find(seed) for case in cases for seed in seeds}
    silent = [name for name, check in found.items() if not check.leaks]
    print(f"{len(found) - len(silent)} of {len(found)} planted leaks caught: {len(cases)} leaks, seeds {seeds}")
    return silent


def alarms(finders, seeds: range) -> tuple[list[str], int]:
    """Return what was blamed, and how many checks there were."""
    num_checks, blamed = 0, []
    for name, find in finders:
        for seed in seeds:
            for check in find(seed):
                num_checks += 1
                if not check.is_clean:
                    culprits = [leak.name for leak in check.leaks]
                    blamed.append(f"{name} (seed {seed}): {culprits or check.faults}")
    print(f"{len(blamed)} false alarms in {num_checks} checks = {len(blamed) / num_checks:.2%}, seeds {seeds}")
    return blamed, num_checks


def clean_environments():
    for name, (cls, env, panel) in CLEAN_ENVIRONMENTS.items():
        yield name, lambda seed, cls=cls, env=env, panel=panel: [check_simulator(cls, panel(seed), seed, env=env)]


def test_corpora_are_as_large_as_promised() -> None:
    cases = [*LEAKS, *ENVIRONMENT_LEAKS]
    assert len({case.name for case in cases}) == len(cases) >= 40
    assert {case.family for case in cases} == FAMILIES
    names = [name for name, _ in CLEAN]
    assert len(set(names)) == len(names) >= 100


def test_every_planted_leak_is_caught() -> None:
    assert missed(LEAKS, SEEDS) == []


def test_every_leak_planted_in_an_environment_is_caught() -> None:
    assert missed(ENVIRONMENT_LEAKS, ENVIRONMENT_SEEDS) == []


def test_clean_functions_are_not_blamed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blamed, num_checks = alarms(CLEAN, range(1))
    assert len(blamed) <= MAX_FALSE_ALARMS * num_checks, blamed


def test_clean_environments_are_not_blamed() -> None:
    assert alarms(list(clean_environments()), range(1))[0] == []


@pytest.mark.slow
def test_every_planted_leak_is_caught_over_many_seeds() -> None:
    assert missed([*LEAKS, *ENVIRONMENT_LEAKS], MANY_SEEDS) == []


@pytest.mark.slow
def test_clean_functions_are_not_blamed_over_many_seeds() -> None:
    blamed, num_checks = alarms([*CLEAN, *clean_environments()], MANY_SEEDS)
    assert len(blamed) <= MAX_FALSE_ALARMS * num_checks, blamed
