"""Gradient steps of SAC and double DQN against stable-baselines3 2.9, one thread, in one run.

``TRADEWRIGHT_SB3_PYTHON=/path/to/peer/bin/python pytest -m benchmark -s -n 0 tests/benchmark/test_off_policy_speed.py``

Whole training steps are timed, on a replay that was filled before: batch, losses, gradients, Adam, targets and the
trainer around them. Engines take turns in processes of their own and the least CPU time of each counts, so that a busy
machine disturbs little. The peer's DQN is not double and evaluates one network less.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmark

RUNNER = Path(__file__).with_name("off_policy_runner.py")
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
PEER = "TRADEWRIGHT_SB3_PYTHON"
INSTALL = "python -m venv sb3 && sb3/bin/pip install stable-baselines3==2.9.2"
TURNS = 2
LEAST_RATIO = 1 / 1.2
"""Our steps per second by the peer's: within 20 %, eager or compiled."""


def run(engine: str, task: str) -> float:
    """Return the CPU milliseconds of a gradient step."""
    interpreter = os.environ[PEER] if engine == "peer" else sys.executable
    done = subprocess.run(
        [interpreter, RUNNER, engine, task],
        check=True,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
    )
    return float(done.stdout.rsplit("ms=", 1)[1])


@pytest.mark.parametrize("task", ["sac-64-256", "sac-256-256", "dqn-64-64", "dqn-64-128"])
def test_gradient_steps_keep_up_with_the_peer(task: str) -> None:
    if PEER not in os.environ:
        pytest.skip(f"{PEER} is not set to an interpreter that has the peer; install it: {INSTALL}")
    engines = ("eager", "compiled", "peer")
    turns = [{engine: run(engine, task) for engine in engines} for _ in range(TURNS)]
    least = {engine: min(turn[engine] for turn in turns) for engine in engines}
    print()
    for engine, ms in least.items():
        print(f"{task:12} {engine:9} {ms:7.3f} ms  {1e3 / ms:7.0f} steps/s  {least['peer'] / ms:5.2f} x peer")
    assert least["peer"] / min(least["eager"], least["compiled"]) >= LEAST_RATIO
