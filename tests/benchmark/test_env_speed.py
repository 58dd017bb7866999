"""Environment steps per second: simulator and TorchRL's API, beside what Gymnasium and TorchRL's workers reach.

``pytest -m benchmark -s tests/benchmark/test_env_speed.py`` (one thread), and on a machine with a CUDA device
``pytest -m gpu -s tests/benchmark/test_env_speed.py``.

Full accounting in float64: long and short, proportional fee and slippage, buying power, margin; log return; windows of
8 bars x 15 features, or their index; random starts, episodes of 252 bars, restarts in the step. Actions are drawn
beforehand. Restarts fall into different steps, but where it says otherwise: accounts that begin together, as in a
training, also end together. Figures are the best of many short stretches of CPU time. Asserted is far less than a quiet
machine reaches, and ratios within the run; the README quotes a quiet run.
"""

import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from gym_peer import PeerEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.simulator import Simulator
from tradewright.env.torchrl_env import TradingTorchRLEnv
from tradewright.features.features import Features
from tradewright.market.rules import AccountRules, Costs
from tradewright.reward.log_return import LogReturn

ACCOUNTS = (1, 64, 1_024, 16_384)
GPU_ACCOUNTS = (16_384, 262_144, 1_048_576)
WINDOW, NUM_FEATURES, EPISODE_BARS = 8, 15, 252
RULES = AccountRules(costs=Costs(fee_bps=1.0, slippage_bps=1.0))
NUM_ACTIONS = 16
LEAST = {"index": 8e6, "window": 1.5e6}
"""At 16,384 accounts through TorchRL; a busy machine with two of ours and six neighbours still reached twice that."""
LEAST_OVER_PEERS = 10.0
LEAST_ON_GPU = 1e8
MOST_FOR_HISTORY = {"index": 1.6, "window": 3.0}
"""A hundred times the history: the same operations, but what is gathered no longer fits the cache of a core."""


def market_of(panel: Panel, device: str = "cpu") -> MarketTensors:
    """Return the panel with fifteen features of noise."""
    x_TNF = np.random.default_rng(0).normal(size=(panel.num_bars, 1, NUM_FEATURES)).astype(np.float32)
    names = tuple(f"f{i}" for i in range(NUM_FEATURES))
    return MarketTensors.build(panel, Features(x_TNF=x_TNF, names_F=names, ready_from=0), device)


def simulator_of(
    market: MarketTensors, observation: str, accounts: int, *, compile_step: bool = False, **options: Any
) -> Simulator:
    device = market.prices.device
    keys = {"window": WINDOW, "episode_bars": EPISODE_BARS, "observation": observation, "compile_step": compile_step}
    return Simulator(
        market=market,
        env=Continuous(**keys),
        rules=RULES,
        rows=Range(0, market.num_bars),
        num_envs=accounts,
        reward=LogReturn(),
        **{"generator": torch.Generator(device).manual_seed(0), **options},
    )


def spread(simulator: Simulator) -> Simulator:
    """Let the accounts be at different bars of their episodes, as they are after long training."""
    generator = torch.Generator(simulator.device).manual_seed(1)
    shape, device = (simulator.num_envs,), simulator.device
    left_B = torch.randint(1, EPISODE_BARS + 1, shape, generator=generator, device=device)
    simulator.end_row_B = simulator.row_B + left_B
    return simulator


def stepper(simulator: Simulator, *, through_torchrl: bool, is_spread: bool = True) -> Callable[[], None]:
    """Return a function that steps, restarts and observes all accounts once."""
    shape = (NUM_ACTIONS, simulator.num_envs, 1)
    generator = torch.Generator(simulator.device).manual_seed(2)
    action_SB1 = torch.rand(shape, generator=generator, device=simulator.device) * 2 - 1
    numbers = count()
    if not through_torchrl:

        def step() -> None:
            moved = simulator.step(action_SB1[next(numbers) % NUM_ACTIONS])
            simulator.restart(moved.terminated_B | moved.truncated_B)
            simulator.observe()

        return step
    env = TradingTorchRLEnv(simulator)
    held = {"data": env.reset()}
    if is_spread:
        spread(simulator)

    def step_torchrl() -> None:
        held["data"]["action"] = action_SB1[next(numbers) % NUM_ACTIONS]
        _, held["data"] = env.step_and_maybe_reset(held["data"])

    return step_torchrl


@torch.no_grad()
def compiled_stepper(market: MarketTensors) -> Callable[[], None]:
    """Return a step through TorchRL whose accounting is compiled, after the compiler has run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, when its compiler is imported
        step = stepper(simulator_of(market, "index", ACCOUNTS[-1], compile_step=True), through_torchrl=True)
        step()
    return step


@torch.no_grad()
def steps_per_second(step: Callable[[], Any], accounts: int, seconds: float = 2.0) -> float:
    """Return the best rate of short stretches, by CPU time; by the clock on a device that works beside the CPU."""
    is_cuda = torch.cuda.is_available()
    clock = time.perf_counter if is_cuda else time.process_time
    for _ in range(10):
        step()
    best, start = 0.0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        if is_cuda:
            torch.cuda.synchronize()
        begin, num = clock(), 0
        while clock() - begin < 0.02:
            step()
            num += 1
        if is_cuda:
            torch.cuda.synchronize()
        best = max(best, num * accounts / (clock() - begin))
    return best


def peer(panel: Panel, *, start: int | None = None) -> PeerEnv:
    """Return Gymnasium's environment of the market."""
    costs = RULES.costs
    return PeerEnv(
        panel.open_TN[:, 0],
        panel.close_TN[:, 0],
        market_of(panel).features.numpy(),
        window=WINDOW,
        episode_bars=EPISODE_BARS,
        fee=costs.fee_bps / 1e4,
        slippage=costs.slippage_bps / 1e4,
        start=start,
    )


@pytest.mark.benchmark
def test_the_peer_trades_as_we_do(panel_of: Callable[..., Panel]) -> None:
    """Else a comparison of speeds would compare nothing."""
    panel = panel_of(600)
    env, simulator = peer(panel, start=WINDOW - 1), simulator_of(market_of(panel), "window", 1, generator=None)
    env.reset()
    rng = np.random.default_rng(0)
    for _ in range(EPISODE_BARS):
        action = rng.uniform(-1.2, 1.2, 1).astype(np.float32)
        seen, reward, *_ = env.step(action)
        moved = simulator.step(torch.from_numpy(action)[None])
        assert env.equity == pytest.approx(float(simulator.equity_B), rel=1e-12)
        assert reward == pytest.approx(float(moved.reward_B), abs=1e-9)
        np.testing.assert_array_equal(seen[:-3], simulator.observe()["window"].numpy().ravel())


@pytest.mark.benchmark
def test_environment_steps_per_second(panel_of: Callable[..., Panel]) -> None:
    torch.set_num_threads(1)
    panel = panel_of(3_000)
    market = market_of(panel)
    print()
    reached = {}
    for observation in ("index", "window"):
        for accounts in ACCOUNTS:
            core, wrapped = (
                steps_per_second(
                    stepper(spread(simulator_of(market, observation, accounts)), through_torchrl=x), accounts
                )
                for x in (False, True)
            )
            reached[observation] = wrapped
            print(f"{observation:6s} B={accounts:7,d}: simulator {core:12,.0f}, TorchRL {wrapped:12,.0f} steps/s")
        together = stepper(simulator_of(market, observation, ACCOUNTS[-1]), through_torchrl=True, is_spread=False)
        rate = steps_per_second(together, ACCOUNTS[-1])
        print(f"{observation:6s} B={ACCOUNTS[-1]:7,d}: all restart together, TorchRL {rate:13,.0f} steps/s")
    compiled = steps_per_second(compiled_stepper(market), ACCOUNTS[-1])
    print(f"index  B={ACCOUNTS[-1]:7,d}: env.compile_step,      TorchRL {compiled:15,.0f} steps/s")
    peers = {"Gymnasium SyncVectorEnv(64)": gymnasium_rate(panel), "TorchRL ParallelEnv(4)": parallel_rate(panel)}
    for name, rate in peers.items():
        print(f"window {name}: {rate:,.0f} steps/s; ours through TorchRL {reached['window'] / rate:,.0f} times that")
    for observation, least in LEAST.items():
        assert reached[observation] > least
    assert compiled > LEAST["index"]
    assert reached["window"] > LEAST_OVER_PEERS * max(peers.values())


def gymnasium_rate(panel: Panel) -> float:
    """Return steps per second of Gymnasium's vector environment over 64 single ones."""
    env = SyncVectorEnv([lambda: peer(panel)] * 64, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (64, 1)).astype(np.float32)
    return steps_per_second(lambda: env.step(actions), 64)


def torchrl_peer(panel: Panel) -> Any:
    """Return the single environment behind TorchRL's wrapper; called in the workers."""
    from torchrl.envs import GymWrapper

    return GymWrapper(peer(panel))


def parallel_rate(panel: Panel, num_workers: int = 4) -> float:
    """Return steps per second of TorchRL's workers, by the clock: they work in processes of their own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchRL's, of itself
        from torchrl.envs import ParallelEnv

        env = ParallelEnv(num_workers, partial(torchrl_peer, panel))
        try:
            held = env.reset()
            begin, num = time.perf_counter(), 0
            while time.perf_counter() - begin < 3.0:
                held["action"] = torch.zeros(num_workers, 1)
                _, held = env.step_and_maybe_reset(held)
                num += num_workers
            return num / (time.perf_counter() - begin)
        finally:
            env.close()


@pytest.mark.benchmark
@pytest.mark.parametrize("observation", ["index", "window"])
def test_steps_do_not_slow_down_with_the_length_of_the_history(
    panel_of: Callable[..., Panel], observation: str
) -> None:
    torch.set_num_threads(1)
    rates = {}
    for num_bars in (2_000, 200_000):
        simulator = spread(simulator_of(market_of(panel_of(num_bars)), observation, 4_096))
        rates[num_bars] = steps_per_second(stepper(simulator, through_torchrl=True), 4_096)
        print(f"\n{observation:6s} {num_bars:7,d} bars: {rates[num_bars]:12,.0f} steps/s", end="")
    assert rates[2_000] / rates[200_000] < MOST_FOR_HISTORY[observation]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_environment_steps_per_second_on_a_gpu(panel_of: Callable[..., Panel]) -> None:
    market = market_of(panel_of(3_000), "cuda")
    print()
    reached = {}
    for observation in ("index", "window"):
        for accounts in GPU_ACCOUNTS:
            core, wrapped = (
                steps_per_second(
                    stepper(spread(simulator_of(market, observation, accounts)), through_torchrl=x), accounts
                )
                for x in (False, True)
            )
            reached[observation] = wrapped
            print(f"{observation:6s} B={accounts:9,d}: simulator {core:14,.0f}, TorchRL {wrapped:14,.0f} steps/s")
    assert reached["index"] > LEAST_ON_GPU


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_numbers_of_the_cpu(panel_of: Callable[..., Panel]) -> None:
    panel, weights_SB = panel_of(400), torch.rand(200, 64, dtype=torch.float64) * 3 - 1.5
    equity = []
    for device in ("cpu", "cuda"):
        simulator = simulator_of(market_of(panel, device), "window", 64, generator=None)
        for weights_B in weights_SB:
            simulator.step_weights(weights_B.to(device))
        equity.append(simulator.equity_B.cpu())
    torch.testing.assert_close(*equity, rtol=1e-12, atol=0)
