"""Every algorithm solves an identity environment in seconds; one that cannot is broken."""

from collections.abc import Callable
from pathlib import Path

import pytest
from identity import ContinuousIdentity, DiscreteIdentity, Identity, train_identity

from tradewright.algorithm.a2c import A2C
from tradewright.algorithm.agent import AgentModule
from tradewright.algorithm.discrete_sac import DiscreteSAC
from tradewright.algorithm.dqn import DQN
from tradewright.algorithm.ppo import PPO
from tradewright.algorithm.sac import SAC
from tradewright.algorithm.td3 import TD3

ON_POLICY = {"num_envs": 32, "rollout_steps": 16, "iterations_per_epoch": 20, "gamma": 0.5}
OFF_POLICY = {
    "num_envs": 16,
    "iterations_per_epoch": 20,
    "gamma": 0.5,
    "learning_starts": 256,
    "batch_size": 64,
    "steps_per_iteration": 4,
    "updates_per_iteration": 4,
    "lr": 3e-3,
}
CASES = [
    (PPO, DiscreteIdentity, {**ON_POLICY, "total_frames": 10_000, "num_minibatches": 4, "lr": 5e-3}),
    (PPO, ContinuousIdentity, {**ON_POLICY, "total_frames": 16_000, "num_minibatches": 4, "lr": 3e-3}),
    (A2C, DiscreteIdentity, {**ON_POLICY, "total_frames": 40_000, "lr": 5e-3}),
    (A2C, ContinuousIdentity, {**ON_POLICY, "total_frames": 80_000, "lr": 5e-3}),
    (DQN, DiscreteIdentity, {**OFF_POLICY, "total_frames": 5_000, "epsilon_frames": 4_000}),
    (DiscreteSAC, DiscreteIdentity, {**OFF_POLICY, "total_frames": 5_000}),
    (SAC, ContinuousIdentity, {**OFF_POLICY, "total_frames": 8_000}),
    (TD3, ContinuousIdentity, {**OFF_POLICY, "updates_per_iteration": 8, "total_frames": 12_000}),
]
TOLERANCE = {DiscreteIdentity: 0.0, ContinuousIdentity: 0.03}
"""Least distance to the best reward; a constant action loses a third, a random one two thirds."""
BEST = {DiscreteIdentity: 1.0, ContinuousIdentity: 0.0}


@pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("algorithm", "env", "keys"), CASES, ids=[f"{algorithm.__name__}-{env.__name__}" for algorithm, env, _ in CASES]
)
def test_algorithm_solves_the_identity(
    algorithm: Callable[..., AgentModule], env: type[Identity], keys: dict, tmp_path: Path
) -> None:
    assert train_identity(algorithm, env(), tmp_path, **keys) >= BEST[env] - TOLERANCE[env]
