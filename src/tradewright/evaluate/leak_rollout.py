"""The leak detector on what needs torch: environments and policies, rolled through a short stretch of bars.

An environment acts by a fixed sequence of random actions; what it shows and pays at a bar, and the account at that
bar, must not depend on later bars. The stretch is a few dozen bars, because every step costs and a cut inside it tests
the same code as a cut anywhere. Features are computed anew in every world and scaled by one fixed scaler.

Legend: T bars, N instruments, F features, W window, B accounts (one per instrument, or one that trades all).
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.observation import Observation
from tradewright.env.portfolio import Portfolio
from tradewright.env.trading import Accounts, MarketEnv
from tradewright.errors import DataError
from tradewright.evaluate.leak_search import Check, find_leaks
from tradewright.evaluate.leaks import OBSERVATION, STRATEGY, check_strategy, thin
from tradewright.features.features import Features
from tradewright.features.pipeline import FeatureSet, compute_features
from tradewright.features.scaler import Scaler
from tradewright.market.rules import AccountRules
from tradewright.reward.reward import Reward
from tradewright.strategy.policy import Policy
from tradewright.strategy.strategy import Strategy

STEPS_PER_CUT = 2
"""Bars rolled per cut."""
MAX_ACCOUNTS = 4
MAX_EVENTS = 2
"""Changes of rare values that are cut at; steps are dear, and features are checked for these by themselves."""

MakeSimulator = Callable[[Panel, Features, Range, int], Accounts]
"""Builds the environment over a panel, its features and the rows it runs through, with that many accounts; a joint one
has one."""


def check_environment(
    make: MakeSimulator,
    feature_set: FeatureSet,
    scaler: Scaler,
    panel: Panel,
    *,
    window: int,
    num_cuts: int = 8,
    seed: int = 0,
) -> Check:
    """Check the observations, the portfolio and the rewards of an environment.

    Args:
        make: Builds it.
        feature_set: Features that it shows.
        scaler: Fitted on the training range.
        panel: All bars; a stretch at a random place is used.
        window: Bars of features in an observation.
        num_cuts: Cuts, >= 8.
        seed: Of the stretch, actions, cuts and futures.

    Raises:
        DataError: Too few bars.
    """
    rng = np.random.default_rng([seed, 3])
    stretch, first = _stretch(panel, feature_set.warmup_bars + window - 1, num_cuts, rng, "env")
    uniform_TN = rng.random((stretch.num_bars, len(stretch.instruments)))

    def shown(panel: Panel) -> dict[str, Any]:
        features = scaled_features(feature_set, panel, scaler)
        simulator = make(panel, features, Range(first, panel.num_bars), len(panel.instruments))
        return roll(simulator, uniform_TN, panel.num_bars, features.names_F)

    rows = Range(first + 1, stretch.num_bars - 1)
    return find_leaks(
        shown,
        stretch,
        kind=OBSERVATION,
        subject="observations",
        rng=rng,
        num_cuts=num_cuts,
        rows=rows,
        max_events=MAX_EVENTS,
    )


def trading_simulator(env: MarketEnv, rules: AccountRules, reward: Reward | None = None) -> MakeSimulator:
    """Return how the environments of group ``env`` are built; they show whole windows, so that these are compared."""
    env = copy.copy(env)
    env.observation = "window"
    if isinstance(env, Portfolio):
        env.num_instruments = None  # some of the instruments do

    def make(panel: Panel, features: Features, rows: Range, num_envs: int) -> Accounts:
        market = MarketTensors.build(panel, features)
        num_envs = 1 if env.is_joint else num_envs
        return env.accounts(market=market, rules=rules, rows=rows, num_envs=num_envs, reward=reward)

    return make


@torch.no_grad()
def roll(
    simulator: Accounts,
    uniform_TN: npt.NDArray[np.float64],
    num_bars: int,
    names_F: tuple[str, ...],
) -> dict[str, npt.NDArray[Any]]:
    """Step through all bars by fixed actions and return every number seen, ``[T, B]`` or ``[T, B, W]``.

    Args:
        simulator: Fresh accounts, one per instrument or one that trades all.
        uniform_TN: Numbers in [0, 1) that the actions are made of.
        num_bars: T.
        names_F: Feature names, for windows.
    """
    rows: list[dict[str, torch.Tensor]] = []
    reward_B = torch.full((simulator.num_envs,), torch.nan, dtype=torch.float64)
    for bar in range(simulator.first, simulator.last + 1):
        rows.append({**simulator.observe(), "reward": reward_B})
        if bar < simulator.last:
            reward_B = simulator.step(_action(simulator.env, uniform_TN[bar])).reward_B
    values: dict[str, npt.NDArray[Any]] = {}
    names = _column_names(simulator, names_F)
    for key in rows[0]:
        seen = torch.stack([row[key].cpu() for row in rows]).numpy()
        kept = np.float32 if seen.dtype == np.float32 else np.float64
        whole = np.full((num_bars, *seen.shape[1:]), np.nan, dtype=kept)
        whole[simulator.first : simulator.last + 1] = seen
        values.update(_named(key, whole, names.get(key, ())))
    return values


def _column_names(simulator: Accounts, names_F: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the names of the last axis of each part of the observations."""
    observation: Observation = simulator.env.observation_of(names_F, simulator.market.panel.symbols)
    return {"window": observation.names_F, "portfolio": observation.portfolio_P}


def _named(key: str, x: npt.NDArray[Any], names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    """Return a part of the observations by name, features and portfolio one by one."""
    if x.ndim > 2 and x.shape[-1] == len(names):
        return {f"{key}.{name}": x[..., column] for column, name in enumerate(names)}
    return {key: x}


def _action(env: MarketEnv, uniform_N: npt.NDArray[np.float64]) -> torch.Tensor:
    """Return an action of every account, ``[B]`` or ``[B, A]``, from one number per instrument."""
    unit_N = torch.from_numpy(uniform_N)
    if env.is_joint:
        return (2.0 * unit_N - 1.0)[None]
    if env.action_kind == "discrete":
        return (unit_N * env.num_actions).to(torch.int64)
    return (2.0 * unit_N - 1.0)[:, None].repeat(1, env.num_actions)


def check_policy(
    policy: Strategy,
    feature_set: FeatureSet,
    scaler: Scaler,
    panel: Panel,
    *,
    window: int,
    num_cuts: int = 8,
    seed: int = 0,
) -> Check:
    """Check what a trained (or untrained) agent decides; see ``check_environment`` for the arguments.

    An agent with a joint account decides on all instruments, any other on a few of them.
    """
    rng = np.random.default_rng([seed, 4])
    is_joint = isinstance(policy, Policy) and policy.agent.env.is_joint
    most = len(panel.instruments) if is_joint else MAX_ACCOUNTS
    stretch, first = _stretch(panel, feature_set.warmup_bars + window - 1, num_cuts, rng, STRATEGY, most)
    return check_strategy(
        policy,
        stretch,
        Range(first, stretch.num_bars),
        features_of=lambda panel: scaled_features(feature_set, panel, scaler),
        num_cuts=num_cuts,
        seed=seed,
    )


def scaled_features(feature_set: FeatureSet, panel: Panel, scaler: Scaler) -> Features:
    """Return the features of a panel, scaled by a fitted scaler."""
    x_TNF, _ = compute_features(copy.deepcopy(feature_set), panel, (), scaler)
    return Features(x_TNF=x_TNF, names_F=scaler.names_F, ready_from=min(feature_set.warmup_bars, panel.num_bars))


def _stretch(
    panel: Panel, warmup_bars: int, num_cuts: int, rng: np.random.Generator, subject: str, most: int = MAX_ACCOUNTS
) -> tuple[Panel, int]:
    """Return consecutive bars of ``most`` instruments at a random place, and the first that is not warm-up.

    Raises:
        DataError: Too few bars.
    """
    size = min(warmup_bars + (STEPS_PER_CUT + 1) * num_cuts, panel.num_bars)
    if size < warmup_bars + num_cuts + 2:
        raise DataError(
            f"{subject}: {panel.num_bars} bars leave {max(panel.num_bars - warmup_bars, 0)} after a warm-up of"
            f" {warmup_bars}; {num_cuts} cuts need {num_cuts + 2}; use more data"
        )
    start = int(rng.integers(panel.num_bars - size + 1))
    part = panel.slice(start, start + size)
    return thin(part, most * size, rng), warmup_bars
