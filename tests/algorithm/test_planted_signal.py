"""The planted-signal market: agents near the oracle on bars they did not see, beside what knows nothing.

The bounds are those of the study of this stack (SAC, PPO, double DQN and the analytic gradient on such a market, whose
oracle reached 5.25): 4.3 for PPO and SAC, 3.5 for DQN, 4.8 for the analytic gradient with the Sharpe objective. DQN is
held to it where it may go short (``discrete5``); the long-only ``discrete9`` is held to the same share of the long-only
oracle, which itself stays below 3.6: whoever may only buy can use half of the signal.
The full form takes some minutes per algorithm: ``pytest -m slow tests/algorithm/test_planted_signal.py -s``.
"""

import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from planted import Oracle, RandomWeights, accounts_sharpe, best_oracle, planted_bench, train_on

from tradewright.evaluate.bench import Bench
from tradewright.strategy.buy_and_hold import BuyAndHold
from tradewright.strategy.policy import Policy

SEEDS = (0, 1, 2)
ORACLE = 5.25
"""Of the study; ours is computed beside every figure."""
WINDOW = {"window": 8}
"""As the study's; the signal stands in the newest bar, all else is noise that must be unlearnt."""
SOFT = {"gamma": 0.9, "updates_per_iteration": 16}
"""Half the gradient steps of the option, and a discount that looks about as far as the signal lasts. Seed 0 reached
4.63 with the option as it is, and 4.86 with these."""
DEEP_Q = {"gamma": 0.9}
"""Seed 0 reached 3.48 with the option as it is, and 3.65 with this."""
CASES = [
    pytest.param(
        "apg", "continuous", {"num_envs": 64, "total_frames": 491_520, "iterations_per_epoch": 20}, 4.8, id="apg"
    ),
    pytest.param("ppo", "continuous", {"lr": 1e-3}, 4.3, id="ppo"),
    pytest.param("sac", "continuous", SOFT, 4.3, id="sac"),
    pytest.param("dqn", "discrete5", DEEP_Q, 3.5, id="dqn-discrete5"),
    pytest.param("dqn", "discrete9", DEEP_Q, None, id="dqn-discrete9"),
]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """128 instruments: 1,500 bars to train on, 300 to choose on, 900 to judge on."""
    return planted_bench(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def oracles(market: Bench) -> dict[str, Oracle]:
    """The best oracles by environment."""
    both, long_only = best_oracle(market), best_oracle(market, lowest_weight=0.0)
    return {"continuous": both, "discrete5": both, "discrete9": long_only}


@pytest.mark.slow
def test_oracle_is_that_of_the_study_and_what_knows_nothing_earns_nothing(market: Bench, oracles: dict) -> None:
    both, long_only = (accounts_sharpe(market, oracles[env], market.ranges.test) for env in ("continuous", "discrete9"))
    random = accounts_sharpe(market, RandomWeights(), market.ranges.test)
    held = accounts_sharpe(market, BuyAndHold(), market.ranges.test)
    print(f"oracle {both:.2f}, long only {long_only:.2f}, random {random:.2f}, buy and hold {held:.2f}")
    assert both == pytest.approx(ORACLE, abs=0.15)
    assert long_only < 3.7
    assert random < -0.7
    assert abs(held) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "env", "keys", "least"), CASES)
def test_agent_comes_near_the_oracle(
    market: Bench, oracles: dict, tmp_path: Path, algorithm: str, env: str, keys: dict[str, Any], least: float | None
) -> None:
    """Median of three training seeds on one market."""
    rows = market.ranges.test
    oracle = accounts_sharpe(market, oracles[env], rows)
    found, begun = [], time.process_time()
    for seed in SEEDS:
        agent = train_on(market, tmp_path / str(seed), algorithm=algorithm, env=env, seed=seed, env_keys=WINDOW, **keys)
        found.append(accounts_sharpe(market, Policy(agent=agent), rows))
        print(f"{algorithm} {env} seed {seed}: {found[-1]:.2f}", flush=True)
    spent_s = (time.process_time() - begun) / len(SEEDS)
    median = statistics.median(found)
    print(f"{algorithm} {env} {keys}: median {median:.2f}, oracle {oracle:.2f}, {spent_s:.0f} CPU s each")
    assert median > (3.5 / ORACLE * oracle if least is None else least)
    assert median < oracle + 0.1


@pytest.mark.parametrize("objective", ["sharpe", "log_return"])
def test_analytic_gradient_comes_near_the_oracle(tmp_path: Path, objective: str) -> None:
    """The small form: 32 instruments, a quarter of the training."""
    bench = planted_bench(tmp_path, num_symbols=32, train=800, validation=100, test=500)
    agent = train_on(
        bench,
        tmp_path / "run",
        algorithm="apg",
        env="continuous",
        seed=0,
        env_keys={"window": 2},
        objective=objective,
        num_envs=64,
        horizon_bars=32,
        total_frames=64 * 32 * 60,
        iterations_per_epoch=30,
        lr=5e-3,
    )
    rows = bench.ranges.test
    found = accounts_sharpe(bench, Policy(agent=agent), rows)
    oracle = accounts_sharpe(bench, Oracle(size=0.7, band=0.05), rows)
    random, held = (accounts_sharpe(bench, strategy, rows) for strategy in (RandomWeights(), BuyAndHold()))
    print(f"apg {objective} {found:.2f}, oracle {oracle:.2f}, random {random:.2f}, buy and hold {held:.2f}")
    assert max(random, held) + 3.0 < 0.8 * oracle < found < oracle + 0.3
