"""``TradingGymEnv``: one account of any trading environment as a Gymnasium environment; the same code, B = 1.

It trades where the backtester does, so its equity is that of ``backtest`` for the same decisions. One step at a time
costs some hundred microseconds whatever B is: for speed take ``TradingGymVectorEnv``, ``TradingTorchRLEnv`` or the
worlds of the algorithms. Legend: W window, F features, P portfolio features, A action components.

With Stable-Baselines3 (not a dependency)::

    from stable_baselines3 import PPO
    from tradewright.data.ranges import Range

    env = TradingGymEnv(panel=panel, features=features, rows=Range(0, 2000), env=Continuous(window=20))
    PPO("MlpPolicy", env).learn(100_000)
"""

import copy
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.trading import Accounts, MarketEnv
from tradewright.env.world import Env, Stage
from tradewright.features.features import Features
from tradewright.market.rules import AccountRules
from tradewright.reward.log_return import LogReturn
from tradewright.reward.reward import Reward

LARGEST = float(np.finfo(np.float32).max)

Seen = npt.NDArray[Any] | dict[str, npt.NDArray[Any]]
"""An observation: one vector, or arrays by name."""


@dataclass(frozen=True, kw_only=True)
class GymMarket:
    """What a Gymnasium environment trades and how; the arguments of both environments.

    Args:
        panel: All bars.
        features: Features of the panel, scaled.
        env: Actions, window, length of episodes; None: ``Continuous()``.
        rules: The rules of the account; None: the defaults, which are free of costs.
        reward: The reward; None: ``LogReturn()``.
        rows: Bars that may be traded; None: all.
        is_random: Whether episodes start at random bars and last ``env.episode_bars`` (and cost what ``env.cost_range``
            draws); if not, every episode is the whole of ``rows``, at the configured costs.
        is_flat: Whether an observation is one vector of W·F + P numbers; if not, it is a dictionary of ``window``
            ``[W, F]`` (or its ``index``, under ``env.observation: index``) and ``portfolio`` ``[P]``.
        seed: Seed of the starts before ``reset(seed=...)`` gives another.
    """

    panel: Panel
    features: Features
    env: MarketEnv | None = None
    rules: AccountRules | None = None
    reward: Reward | None = None
    rows: Range | None = None
    is_random: bool = True
    is_flat: bool = True
    seed: int = 0


class GymAccounts:
    """B accounts of a ``GymMarket``, their spaces, and arrays instead of tensors."""

    def __init__(self, given: GymMarket, num_envs: int) -> None:
        env: Env = copy.copy(given.env or Continuous())
        assert isinstance(env, MarketEnv)
        if given.is_flat:
            env.observation = "window"
        rows = given.rows or Range(0, given.panel.num_bars)
        rules, reward = given.rules or AccountRules(), given.reward or LogReturn()
        stage = Stage(panel=given.panel, features=given.features, rows=(rows,), rules=rules, reward=reward)
        env = env.on(stage)
        assert isinstance(env, MarketEnv)
        self.generator = torch.Generator().manual_seed(given.seed)
        self.accounts: Accounts = env.accounts(
            market=MarketTensors.build(given.panel, given.features),
            rules=rules,
            rows=rows,
            num_envs=num_envs,
            reward=reward,
            generator=self.generator if given.is_random else None,
        )
        self._is_flat = given.is_flat
        self._is_discrete = env.action_kind == "discrete"
        self.observation_space = self._observation_space()
        self.action_space: spaces.Space[Any]
        if self._is_discrete:
            self.action_space = spaces.Discrete(env.num_actions)
        else:
            self.action_space = spaces.Box(-1.0, 1.0, (env.num_actions,), np.float32)

    def _observation_space(self) -> spaces.Space[Any]:
        seen = self.accounts.observe()
        if self._is_flat:
            width = sum(value[0].numel() for value in seen.values())
            return spaces.Box(-LARGEST, LARGEST, (width,), np.float32)
        boxes: dict[str, spaces.Space[Any]] = {}
        for name, value in seen.items():
            if name == "index":
                boxes[name] = spaces.Discrete(len(self.accounts.market.prices))
            else:
                boxes[name] = spaces.Box(-LARGEST, LARGEST, tuple(value.shape[1:]), np.float32)
        return spaces.Dict(boxes)

    def seen(self) -> Seen:
        """Return the observations, every array with leading dimension B."""
        seen = self.accounts.observe()
        if self._is_flat:
            return torch.cat([value.flatten(1) for value in seen.values()], dim=1).cpu().numpy()
        return {name: value.cpu().contiguous().numpy() for name, value in seen.items()}

    def action(self, action_B: npt.NDArray[Any]) -> Tensor:
        """Return actions of B accounts as the accounts take them."""
        kind = np.int64 if self._is_discrete else np.float32
        return torch.from_numpy(np.ascontiguousarray(action_B, dtype=kind)).to(self.accounts.device)


class TradingGymEnv(gymnasium.Env[Any, Any]):
    """One account on one market; takes the keys of ``GymMarket``.

    Observations are float32; under a discrete environment an action is a number, else a vector of components in
    [-1, 1]. ``info`` tells the ``equity`` after the step. An episode is *terminated* by bankruptcy and *truncated* at
    its last bar.

    Example:
        >>> env = TradingGymEnv(panel=panel, features=features, env=Continuous(window=20))
        >>> observation, info = env.reset(seed=0)
        >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    """

    metadata = {"render_modes": []}  # noqa: RUF012 # Gymnasium declares it as a plain attribute

    def __init__(self, **keys: Any) -> None:
        self._inner = GymAccounts(GymMarket(**keys), num_envs=1)
        self.observation_space = self._inner.observation_space
        self.action_space = self._inner.action_space

    @property
    def accounts(self) -> Accounts:
        """The account, as a batch of one."""
        return self._inner.accounts

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Seen, dict[str, Any]]:
        """Start an episode; a seed makes this and all later ones repeatable."""
        super().reset(seed=seed)
        if seed is not None:
            self._inner.generator.manual_seed(seed)
        self.accounts.reset()
        return self._first(), self._info()

    def step(self, action: Any) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """Act at the close of a bar; return what is seen at the close of the next."""
        with torch.no_grad():
            moved = self.accounts.step(self._inner.action(np.asarray(action)[None]))
        terminated, truncated = bool(moved.terminated_B), bool(moved.truncated_B)
        return self._first(), float(moved.reward_B), terminated, truncated, self._info()

    def _first(self) -> Seen:
        seen = self._inner.seen()
        return {name: value[0] for name, value in seen.items()} if isinstance(seen, dict) else seen[0]

    def _info(self) -> dict[str, Any]:
        return {"equity": float(self.accounts.equity_B)}
