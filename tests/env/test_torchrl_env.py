"""The TorchRL environment passes TorchRL's checker, and its fused step gives what TorchRL's own step and reset give."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDictBase, assert_close
from torchrl.envs import EnvBase
from torchrl.envs.utils import RandomPolicy, check_env_specs

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.discrete5 import Discrete5
from tradewright.env.discrete9 import Discrete9
from tradewright.env.episode_figures import EpisodeFigures
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.portfolio import Portfolio
from tradewright.env.simulator import Simulator
from tradewright.env.torchrl_env import TradingTorchRLEnv
from tradewright.env.trading import Accounts
from tradewright.env.world import Stage
from tradewright.features.pipeline import build_features
from tradewright.features.price_volume import PriceVolume
from tradewright.market.rules import AccountRules, Costs
from tradewright.reward.differential_sharpe import DifferentialSharpe
from tradewright.reward.log_return import LogReturn

NUM_ENVS = 6
ENVS = [Continuous, Discrete9, Discrete5, Portfolio]
RULES = AccountRules(costs=Costs(fee_bps=5.0, slippage_bps=2.0))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def accounts_of(panel_of: Callable[..., Panel], cache: Path) -> Callable[..., Accounts]:
    """Return training accounts of an environment on two instruments."""

    def make(env: type, *, observation: str = "index", reward: Any = None, **keys: Any) -> Accounts:
        panel = panel_of(120, 2)
        rows = Range(0, 120)
        features, _ = build_features(PriceVolume(short_window=3, long_window=5), panel, rows, cache)
        stage = Stage(panel=panel, features=features, rows=(rows,), rules=RULES, reward=reward or LogReturn())
        given = env(window=4, episode_bars=9, observation=observation, **keys)
        return given.on(stage).world(
            num_envs=NUM_ENVS,
            generator=torch.Generator().manual_seed(0),
            stage=stage,
            market=MarketTensors.build(panel, features),
        )

    return make


def with_figures(accounts: Simulator) -> Simulator:
    """Return the same accounts with the report's figures of each episode."""
    return Simulator(
        market=accounts.market,
        env=accounts.env,
        rules=RULES,
        rows=Range(0, 120),
        num_envs=NUM_ENVS,
        reward=LogReturn(),
        generator=torch.Generator().manual_seed(0),
        figures=EpisodeFigures(accounts.market.panel),
    )


def rollout(env: TradingTorchRLEnv, step: Callable[..., Any], num_steps: int) -> list[TensorDictBase]:
    """Return what every step was given and gave; the accounts' starts are spread, so that few restart at a time."""
    generator = torch.Generator().manual_seed(1)
    held, kept = env.reset(), []
    for number in range(num_steps):
        if env.action_spec.dtype == torch.int64:
            held["action"] = torch.randint(env.action_spec.space.n, (NUM_ENVS,), generator=generator)
        else:
            held["action"] = torch.rand(env.action_spec.shape, generator=generator) * 2 - 1
        held["number"] = torch.full((NUM_ENVS,), number)  # TorchRL carries what others put beside
        if number == 4:
            env.simulator.restart(torch.arange(NUM_ENVS) < 2)
            held.update(env.simulator.observe())
        done, held = step(env, held)
        kept += [done.clone(), held.exclude("action").clone()]
    return kept


@pytest.mark.parametrize("observation", ["index", "window"])
@pytest.mark.parametrize("env", ENVS)
def test_torchrl_accepts_every_trading_environment(
    accounts_of: Callable[..., Accounts], env: type, observation: str
) -> None:
    check_env_specs(TradingTorchRLEnv(accounts_of(env, observation=observation)), seed=0)


@pytest.mark.parametrize("has_figures", [False, True])
@pytest.mark.parametrize("portfolio", ["basic", "full"])
@pytest.mark.parametrize("observation", ["index", "window"])
@pytest.mark.parametrize("env", ENVS)
def test_fused_step_equals_that_of_torchrl(
    accounts_of: Callable[..., Accounts], env: type, observation: str, portfolio: str, has_figures: bool
) -> None:
    if has_figures and (env is not Continuous or portfolio == "full"):
        return  # one case says how figures are carried
    runs = []
    for step in (EnvBase.step_and_maybe_reset, EnvBase._step_and_maybe_reset):
        accounts = accounts_of(env, observation=observation, portfolio=portfolio, reward=DifferentialSharpe())
        torchrl = TradingTorchRLEnv(with_figures(accounts) if has_figures else accounts)
        if step is EnvBase._step_and_maybe_reset:
            torchrl._step_and_maybe_reset = EnvBase._step_and_maybe_reset.__get__(torchrl)
        runs.append(rollout(torchrl, EnvBase.step_and_maybe_reset, 30))
    for fused, own in zip(*runs, strict=True):
        assert set(fused.keys(True, True)) == set(own.keys(True, True))
        assert_close(fused, own, rtol=0, atol=0, equal_nan=True)
    assert sum(int(step["next", "done"].sum()) for step in runs[0][::2]) > NUM_ENVS


@pytest.mark.filterwarnings("ignore")  # TorchRL warns of its own modules when they are imported
def test_collector_runs_on_the_environment(accounts_of: Callable[..., Accounts]) -> None:
    from torchrl.collectors import Collector

    env = TradingTorchRLEnv(accounts_of(Continuous))
    collector = Collector(env, RandomPolicy(env.action_spec), frames_per_batch=60, total_frames=120)
    batches = [batch.clone() for batch in collector]
    collector.shutdown()
    assert [tuple(batch.shape) for batch in batches] == [(NUM_ENVS, 10)] * 2
    assert int(batches[0]["next", "done"].sum()) == NUM_ENVS
    follows = batches[0]["next", "index"][:, :8] == batches[0]["index"][:, 1:9]
    assert bool(follows.all())


def test_observation_after_a_restart_is_that_of_the_accounts(accounts_of: Callable[..., Accounts]) -> None:
    """A restart patches what was seen; looking afresh must give the same."""
    for portfolio in ("basic", "full"):
        accounts = accounts_of(Continuous, portfolio=portfolio)
        for number in range(25):
            moved = accounts.step(torch.rand(NUM_ENVS, 1) * 2 - 1)
            accounts.observe()
            accounts.restart((moved.terminated_B | moved.truncated_B) | (torch.arange(NUM_ENVS) == number % NUM_ENVS))
            patched = accounts.observe()["portfolio"]
            accounts._seen = None
            assert torch.equal(patched, accounts.observe()["portfolio"])
