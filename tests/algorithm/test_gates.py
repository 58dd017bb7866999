"""Learning gates: known tasks at known budgets, median of three seeds, scored on the real Gymnasium environment.

The best checkpoint by validation episodes plays 100 test episodes. Every gate is an experiment that users can run.
Run them with ``pytest -m slow tests/algorithm/test_gates.py -s``; they take about half an hour on one core.
Published figures: rl-baselines3-zoo, benchmark.md (150,000 evaluation steps); stable-baselines3 2.9.2 run here.
"""

import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from tradewright.cli import main
from tradewright.output import read_metrics

SEEDS = (0, 1, 2)

GATES = [
    pytest.param("cartpole_ppo", 475.0, "zoo 500 +- 0", id="ppo-cartpole-100k"),
    pytest.param("cartpole_dqn", 475.0, "stable-baselines3 18.9, 500, 500 at 50k", id="dqn-cartpole-61k"),
    pytest.param("pendulum_sac", -200.0, "zoo -157 +- 89 at 20k, stable-baselines3 -139", id="sac-pendulum-5k"),
    pytest.param("pendulum_ppo", -250.0, "zoo -172 +- 104, stable-baselines3 -159, -207", id="ppo-pendulum-100k"),
]
BESIDE = [
    pytest.param("cartpole_a2c", 400.0, "zoo 500 +- 0", id="a2c-cartpole-500k"),
    pytest.param("pendulum_td3", -250.0, "zoo -152 +- 86", id="td3-pendulum-20k"),
    pytest.param("cartpole_discrete_sac", 300.0, "none published", id="discrete-sac-cartpole-61k"),
]
"""Beside published figures; the bound only says that something was learnt."""


@pytest.fixture
def median_return(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., float]:
    """Train one experiment with every seed and return the median of the mean test returns."""
    monkeypatch.chdir(tmp_path)

    def score(experiment: str, published: str) -> float:
        found = []
        for seed in SEEDS:
            assert main([f"experiment={experiment}", f"seed={seed}", "report=none"]) == 0
            newest = max(tmp_path.glob(f"outputs/{experiment}/*/metrics.json"), key=lambda path: path.stat().st_mtime)
            found.append(read_metrics(newest.parent)["test/mean_return"])
        median = statistics.median(found)
        print(f"{experiment}: {', '.join(f'{value:.1f}' for value in found)}, median {median:.1f}; {published}")
        return median

    return score


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "least", "published"), GATES)
def test_gate_is_passed(
    experiment: str, least: float, published: str, median_return: Callable[[str, str], float]
) -> None:
    assert median_return(experiment, published) >= least


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "least", "published"), BESIDE)
def test_return_stands_beside_published_ones(
    experiment: str, least: float, published: str, median_return: Callable[[str, str], float]
) -> None:
    assert median_return(experiment, published) >= least
