"""The Gymnasium environments pass Gymnasium's checks, and many accounts behave as single ones do, step by step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.discrete5 import Discrete5
from tradewright.env.discrete9 import Discrete9
from tradewright.env.gymnasium_env import TradingGymEnv
from tradewright.env.gymnasium_vector_env import TradingGymVectorEnv
from tradewright.env.portfolio import Portfolio
from tradewright.features.pipeline import build_features
from tradewright.features.price_volume import PriceVolume
from tradewright.market.positions import Positions
from tradewright.market.rules import AccountRules, Costs
from tradewright.reward.differential_sharpe import DifferentialSharpe

RULES = AccountRules(costs=Costs(fee_bps=5.0, slippage_bps=2.0))
ENVS = [Continuous, Discrete9, Discrete5, Portfolio]
MODES = [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP]
NUM_ENVS = 3


@pytest.fixture
def market(panel_of: Callable[..., Panel], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Return keys of both environments."""

    def keys(env: type, *, num_symbols: int = 1, num_bars: int = 60, **options: Any) -> dict[str, Any]:
        panel = panel_of(num_bars, num_symbols)
        features, _ = build_features(PriceVolume(short_window=3, long_window=5), panel, Range(0, 40), tmp_path)
        observation = options.pop("observation", "window")
        given = env(window=4, episode_bars=9, observation=observation)
        return {"panel": panel, "features": features, "env": given, "rules": RULES, **options}

    return keys


@pytest.mark.parametrize("options", [{}, {"is_flat": False}, {"is_flat": False, "observation": "index"}])
@pytest.mark.parametrize("env", ENVS)
def test_gymnasium_accepts_the_single_environment(market: Callable[..., Any], env: type, options: Any) -> None:
    check_env(TradingGymEnv(**market(env, num_symbols=2, **options)), skip_render_check=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [{}, {"is_flat": False}])
@pytest.mark.parametrize("env", ENVS)
def test_vector_environment_equals_single_ones_step_by_step(
    market: Callable[..., Any], env: type, options: Any, mode: AutoresetMode
) -> None:
    """Gymnasium's own vector environment of single accounts is the oracle; two episodes and a bit."""
    keys = market(env, num_bars=24, is_random=False, reward=DifferentialSharpe(), **options)
    many = TradingGymVectorEnv(NUM_ENVS, autoreset_mode=mode, **keys)
    single = SyncVectorEnv([lambda: TradingGymEnv(**keys)] * NUM_ENVS, autoreset_mode=mode)
    assert many.metadata["autoreset_mode"] == single.metadata["autoreset_mode"] == mode
    assert many.observation_space == single.observation_space
    assert many.action_space == single.action_space
    check_same(many.reset(seed=0), single.reset(seed=0))
    many.action_space.seed(0)
    num_done = 0
    for _ in range(40):
        action = many.action_space.sample()
        found, expected = many.step(action), single.step(action)
        check_same(found, expected)
        num_done += int((found[2] | found[3]).sum())
    assert num_done == 2 * NUM_ENVS


def check_same(found: Any, expected: Any) -> None:
    """Compare what environments returned, infos and last observations included."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            check_same(found[key], value)
    elif isinstance(expected, tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            check_same(one, other)
    elif isinstance(expected, np.ndarray) and expected.dtype == object:
        for one, other in zip(found, expected, strict=True):
            check_same(one, other)
    elif expected is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, expected)


def test_wrappers_of_gymnasium_find_the_episodes(market: Callable[..., Any]) -> None:
    env = RecordEpisodeStatistics(TradingGymVectorEnv(4, **market(Continuous)))
    env.reset(seed=0)
    lengths = []
    for _ in range(20):
        *_, info = env.step(env.action_space.sample())
        if "episode" in info:
            lengths += list(info["episode"]["l"][info["_episode"]])
    assert lengths == [9] * 8


def test_equity_of_an_episode_is_that_of_the_backtest(market: Callable[..., Any]) -> None:
    keys = market(Continuous, is_random=False)
    env = TradingGymEnv(**keys)
    env.reset(seed=1)
    env.action_space.seed(1)
    first, equity, weights, is_over = env.accounts.first, [RULES.initial_cash], [], False
    while not is_over:
        action = env.action_space.sample()
        _, _, terminated, truncated, info = env.step(action)
        weights.append(float(action[0]))  # the target weight itself, from -1 to 1
        equity.append(info["equity"])
        is_over = terminated or truncated
    result = Vectorized(costs=RULES.costs).run(
        keys["panel"], Positions(weights_TN=np.array([*weights, np.nan])[:, None]), Range(first, 60), name="same"
    )
    np.testing.assert_allclose(equity, result.equity_T, rtol=1e-12)


def test_same_seed_gives_the_same_episode_and_another_a_different_one(market: Callable[..., Any]) -> None:
    env = TradingGymVectorEnv(8, **market(Continuous))
    first, again, other = (env.reset(seed=seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_disabled_restarts_wait_for_the_caller(market: Callable[..., Any]) -> None:
    env = TradingGymVectorEnv(2, autoreset_mode=AutoresetMode.DISABLED, **market(Continuous))
    env.reset(seed=0)
    for _ in range(9):
        *_, truncated, _ = env.step(env.action_space.sample())
    assert truncated.all()
    with pytest.raises(ValueError, match=r"^account 0 is done; reset\("):
        env.step(env.action_space.sample())
    env.reset(options={"reset_mask": np.array([True, True])})
    assert not env.step(env.action_space.sample())[3].any()


@pytest.mark.parametrize("mask", [np.array([True]), np.array([1, 0])])
def test_mask_of_another_form_is_refused(market: Callable[..., Any], mask: Any) -> None:
    env = TradingGymVectorEnv(2, **market(Continuous))
    with pytest.raises(ValueError, match=r"^reset_mask must be bool of shape \(2,\), was"):
        env.reset(options={"reset_mask": mask})


def test_defaults_need_only_bars_and_features(market: Callable[..., Any]) -> None:
    keys = market(Continuous)
    env = TradingGymEnv(panel=keys["panel"], features=keys["features"])
    assert isinstance(env, gymnasium.Env)
    assert env.observation_space.shape == (20 * len(keys["features"].names_F) + 7,)
    assert env.reset()[0].dtype == np.float32
