"""Environment steps per second through TorchRL's API and in the simulator, and PPO frames per second, on one thread."""

import time
from collections.abc import Callable
from functools import partial

import pytest
import torch
from tensordict import TensorDictBase

from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.simulator import Simulator
from tradewright.env.torchrl_env import TradingTorchRLEnv
from tradewright.features.pipeline import build_features
from tradewright.features.price_volume import PriceVolume
from tradewright.market.rules import AccountRules, Costs
from tradewright.reward.log_return import LogReturn

ACCOUNTS = (1, 64, 1_024, 16_384)


@pytest.mark.benchmark
@pytest.mark.parametrize("observation", ["index", "window"])
def test_environment_steps_per_second(panel_of, tmp_path, observation: str) -> None:
    torch.set_num_threads(1)
    panel = panel_of(3000)
    features, _ = build_features(PriceVolume(), panel, Range(0, 2000), tmp_path)
    market = MarketTensors.build(panel, features)
    print()
    for accounts in ACCOUNTS:
        simulator = Simulator(
            market=market,
            env=Continuous(window=8, observation=observation),
            rules=AccountRules(costs=Costs(fee_bps=1.0, slippage_bps=1.0)),
            rows=Range(0, 3000),
            num_envs=accounts,
            reward=LogReturn(),
            generator=torch.Generator().manual_seed(0),
        )
        core = _steps_per_second(partial(_step_simulator, simulator), accounts)
        env = TradingTorchRLEnv(simulator)
        wrapped = _steps_per_second(partial(_step_torchrl, env, {"data": env.reset()}), accounts)
        print(f"{observation:6s} B={accounts:6d}: simulator {core:12,.0f} steps/s, TorchRL {wrapped:12,.0f} steps/s")
        assert wrapped > 100 * accounts**0.5


def _step_simulator(simulator: Simulator) -> None:
    moved = simulator.step(torch.rand(simulator.num_envs, 1) * 2 - 1)
    done = moved.terminated_B | moved.truncated_B
    if bool(done.any()):
        simulator.restart(done)
    simulator.observe()


def _step_torchrl(env: TradingTorchRLEnv, held: dict[str, TensorDictBase]) -> None:
    held["data"]["action"] = torch.rand(env.batch_size[0], 1) * 2 - 1
    _, held["data"] = env.step_and_maybe_reset(held["data"])


def _steps_per_second(step: Callable[[], None], accounts: int, seconds: float = 1.0) -> float:
    for _ in range(3):
        step()
    best, start = 0.0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        for _ in range(10):
            step()
        best = max(best, 10 * accounts / (time.perf_counter() - begin))
    return best
