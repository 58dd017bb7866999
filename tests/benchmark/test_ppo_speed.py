"""PPO end to end against stable-baselines3 2.9.2, both of one market, learning included.

``TRADEWRIGHT_SB3_PYTHON=/path/to/sb3/bin/python pytest -m benchmark -s -n 0 tests/benchmark/test_ppo_speed.py``

Both train a multilayer perceptron of two layers of 64 for actor and critic on the same bars, costs, windows and account
state, in processes of their own that run in turns; the fastest iteration of each counts. The peer's environment is
written for speed in plain Python and is proven to give our rewards and observations first. Compared are each one's best
setting at the same reuse of a rollout (4 passes), the peer's defaults, and the small batches that the peer likes.
Two threads and the clock on the wall by default; ``TRADEWRIGHT_BENCHMARK_THREADS=1`` counts the CPU time of one thread,
which a busy machine disturbs less.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ppo_market import MARKET, market_of, write_market
from ppo_peer import rewards_of

from tradewright.env.market_tensors import MarketTensors

pytestmark = pytest.mark.benchmark

HERE = Path(__file__).parent
PEER = "TRADEWRIGHT_SB3_PYTHON"
INSTALL = "python -m venv sb3 && sb3/bin/pip install stable-baselines3==2.9.2"
THREADS = int(os.environ.get("TRADEWRIGHT_BENCHMARK_THREADS", "2"))
LEAST_BEST, LEAST_DEFAULTS, LEAST_SMALL = 3.0, 20.0, 0.8
ROUNDS = 2

PEER_DEFAULTS = {"num_envs": 1, "n_steps": 2048, "batch_size": 64, "n_epochs": 10, "iterations": 2}
PEER_SMALL = {"num_envs": 8, "n_steps": 256, "batch_size": 64, "n_epochs": 10, "iterations": 3}
PEER_BEST = [
    {"num_envs": num_envs, "n_steps": steps, "batch_size": batch_size, "n_epochs": 4, "iterations": 4}
    for num_envs, steps, batch_size in ((64, 128, 8192), (256, 128, 32_768), (512, 64, 32_768), (1024, 64, 16_384))
]
OUR_BEST = [
    {"num_envs": num_envs, "rollout_steps": steps, "num_minibatches": num, "num_passes": 4, "compile": True}
    for num_envs, steps, num in ((1024, 32, 1), (4096, 8, 1), (4096, 32, 8))
]
OUR_SMALL = [
    {"num_envs": 8, "rollout_steps": 256, "num_minibatches": 32, "num_passes": 10, "compile": is_compiled}
    for is_compiled in (False, True)
]


def run(interpreter: str, script: str, settings: list[dict[str, Any]], market: Path, folder: Path) -> list[float]:
    """Return frames per second of every setting, timed in one fresh process."""
    given, result = folder / "settings.json", folder / "speeds.json"
    given.write_text(json.dumps([{**setting, "threads": THREADS} for setting in settings]))
    environment = {**os.environ, **{f"{name}_NUM_THREADS": str(THREADS) for name in ("OMP", "MKL", "OPENBLAS")}}
    subprocess.run([interpreter, "-W", "ignore", HERE / script, market, given, result], check=True, env=environment)
    speeds: list[float] = json.loads(result.read_text())
    return speeds


def test_peer_environment_is_the_same_market(tmp_path: Path) -> None:
    """Rewards to 1e-9 and observations to single precision over an episode of random actions."""
    write_market(tmp_path / "market.npz")
    with np.load(tmp_path / "market.npz") as stored:
        peer = dict(stored)
    setting = market_of(observation="window")
    env, stage = setting.env, setting.stage
    accounts = env.accounts(
        market=MarketTensors.build(stage.panel, stage.features), rules=stage.rules, rows=stage.rows[0], num_envs=1,
        reward=stage.reward,
    )  # fmt: skip
    actions = np.random.default_rng(0).uniform(-1.3, 1.3, (250, 1)).astype(np.float32)
    rewards, observed = rewards_of(peer, actions, accounts.first)
    for action, reward, x in zip(actions, rewards, observed, strict=True):
        moved = accounts.step(torch.tensor(action)[None])
        assert float(moved.reward_B) == pytest.approx(reward, abs=1e-9)
        seen = accounts.observe()
        ours = torch.cat((seen["window"].flatten(), seen["portfolio"].flatten())).numpy()
        np.testing.assert_allclose(ours, x, atol=1e-5)


def test_frames_per_second_beside_the_peer(tmp_path: Path) -> None:
    if PEER not in os.environ:
        pytest.skip(f"{PEER} is not set to an interpreter that has the peer; install it: {INSTALL}")
    write_market(tmp_path / "market.npz")
    peers = [*PEER_BEST, PEER_SMALL, PEER_DEFAULTS]
    ours = [*OUR_BEST, *OUR_SMALL]
    theirs_RS, ours_RS = np.zeros((ROUNDS, len(peers))), np.zeros((ROUNDS, len(ours)))
    for number in range(ROUNDS):
        ours_RS[number] = run(sys.executable, "ppo_market.py", ours, tmp_path / "market.npz", tmp_path)
        theirs_RS[number] = run(os.environ[PEER], "ppo_peer.py", peers, tmp_path / "market.npz", tmp_path)
    print(f"\nmarket: {MARKET}")
    for name, settings, speed_RS in (("stable-baselines3", peers, theirs_RS), ("tradewright", ours, ours_RS)):
        for setting, speed in zip(settings, speed_RS.max(0), strict=True):
            print(f"{name:18} {speed:10,.0f} frames/s  {setting}")
    best, small = ours_RS.max(0)[: len(OUR_BEST)].max(), ours_RS.max(0)[len(OUR_BEST) :].max()
    peer_best = theirs_RS.max(0)[: len(PEER_BEST)].max()
    peer_small, peer_defaults = theirs_RS.max(0)[-2:]
    for name, ratio, least in (
        ("best against best", best / peer_best, LEAST_BEST),
        ("best against defaults", best / peer_defaults, LEAST_DEFAULTS),
        ("small batches", small / peer_small, LEAST_SMALL),
    ):
        print(f"{name:22} {ratio:6.2f} x (at least {least})")
    assert best / peer_best >= LEAST_BEST
    assert best / peer_defaults >= LEAST_DEFAULTS
    assert small / peer_small >= LEAST_SMALL
