"""``TradingEnv``: the keys that all trading environments share, and how an agent's action becomes a target weight.

Legend: B accounts, A action components. An action taken at the close of bar t is a target weight (of a joint account
one per instrument) that the accounting fills at the open of bar t+1; NaN means no order.
"""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from tradewright.data.ranges import Range
from tradewright.env.cost_factors import at_highest_costs
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.observation import Observation
from tradewright.env.portfolio_state import PORTFOLIOS
from tradewright.env.simulator import Simulator
from tradewright.env.starts import first_episode
from tradewright.env.view import AccountView
from tradewright.env.world import Env, Stage, Transition, World
from tradewright.market.rules import AccountRules
from tradewright.reward.reward import Reward

log = logging.getLogger(__name__)

OBSERVATIONS = ("index", "window")


class TradingKeys:
    """The keys that every option of group ``env`` that trades bars carries.

    Args:
        window: Bars of features that the agent sees, >= 1 (the newest is the decision bar).
        episode_bars: Length of a training episode in bars; null trains on the whole range at once.
        observation: ``index`` hands the policy the bar number and lets it gather the window itself (fast);
            ``window`` copies the window into every observation. Both see the same numbers.
        portfolio: ``basic`` shows an agent seven features of its own account, ``full`` fifteen; they are listed in
            ``env.portfolio_state``. A joint account has some of them per instrument.
        rebalance_threshold: Least change of weight (fraction of equity) that becomes an order; smaller ones are NaN.
        lowest_weight: Smallest target weight, a fraction of equity; negative is short.
        highest_weight: Largest target weight, > ``lowest_weight``.
        entry_signal: A second action component gates what adds exposure; see ``env.continuous``. Without effect on the
            other environments.
        entry_threshold: The signal must lie above it, in [-1, 1); 0 lets half of an untrained agent's entries pass.
        cost_range: Lowest and highest factor by which the fees and slippage of a training episode are multiplied, drawn
            per episode; null: 1. Validation, test and reports are always at the configured costs.
        cost_curriculum_frames: Environment steps over which the highest factor grows from 0 to its full value, >= 0.
        compile_step: Compile the accounting of training accounts with ``torch.compile``, where each trades one
            instrument without stops, entries or fees per fill: the same numbers, faster from thousands of accounts on,
            after half a minute; needs a C++ compiler. Without effect elsewhere.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        window: int = 20,
        episode_bars: int | None = 252,
        observation: str = "index",
        portfolio: str = "basic",
        rebalance_threshold: float = 0.0,
        lowest_weight: float = -1.0,
        highest_weight: float = 1.0,
        entry_signal: bool = False,
        entry_threshold: float = 0.0,
        cost_range: tuple[float, float] | None = None,
        cost_curriculum_frames: int = 0,
        compile_step: bool = False,
    ) -> None:
        if window < 1:
            raise ValueError(f"window must be >= 1, was {window}")
        if episode_bars is not None and episode_bars < 1:
            raise ValueError(f"episode_bars must be >= 1 or null, was {episode_bars}")
        if observation not in OBSERVATIONS:
            raise ValueError(f"observation must be one of {', '.join(OBSERVATIONS)}, was {observation!r}")
        if portfolio not in PORTFOLIOS:
            raise ValueError(f"portfolio must be one of {', '.join(PORTFOLIOS)}, was {portfolio!r}")
        if not 0 <= rebalance_threshold < 1:
            raise ValueError(f"rebalance_threshold must be in [0, 1), was {rebalance_threshold}")
        if not lowest_weight < highest_weight:
            raise ValueError(f"lowest_weight must be < highest_weight ({highest_weight}), was {lowest_weight}")
        if not -1 <= entry_threshold < 1:
            raise ValueError(f"entry_threshold must be in [-1, 1), was {entry_threshold}")
        if cost_range is not None and not (len(cost_range) == 2 and 0 <= cost_range[0] <= cost_range[1]):
            raise ValueError(f"cost_range must be null or [low, high] with 0 <= low <= high, was {list(cost_range)}")
        if cost_curriculum_frames < 0:
            raise ValueError(f"cost_curriculum_frames must be >= 0, was {cost_curriculum_frames}")
        self.window = window
        self.episode_bars = episode_bars
        self.observation = observation
        self.portfolio = portfolio
        self.rebalance_threshold = rebalance_threshold
        self.lowest_weight = lowest_weight
        self.highest_weight = highest_weight
        self.entry_signal = entry_signal
        self.entry_threshold = entry_threshold
        self.cost_range = None if cost_range is None else (float(cost_range[0]), float(cost_range[1]))
        self.cost_curriculum_frames = cost_curriculum_frames
        self.compile_step = compile_step

    def keys(self) -> dict[str, Any]:
        """Return the keys by name."""
        return dict(vars(self))


class Accounts(World, Protocol):
    """A world of accounts on bars: ``Simulator`` or ``PortfolioSimulator``."""

    env: Any
    first: int
    """Bar at whose close the first decision is made where nothing is drawn at random."""
    last: int
    """Bar at which every episode ends at the latest."""
    equity_B: Tensor
    market: MarketTensors
    generator: torch.Generator | None

    def view(self) -> Any:
        """Return what the action map may look at."""
        ...

    def step_weights(self, weights: Tensor) -> Transition:
        """Like ``step`` for target weights, ``[B]`` or of joint accounts ``[B, N]``; NaN: no order."""
        ...


class MarketEnv(TradingKeys, Env):
    """Base of the environments that trade bars; takes the keys of ``TradingKeys``."""

    is_market: ClassVar[bool] = True
    is_joint: ClassVar[bool]
    """Whether one account trades all instruments; if not, each account trades one."""

    def on(self, stage: Stage | None) -> "MarketEnv":
        """Return the environment as it is on a market.

        Raises:
            ConfigError: The market's costs do not exist at the upper end of ``cost_range``.
        """
        assert stage is not None
        if self.cost_range is not None:
            at_highest_costs(stage.rules, self.cost_range[1])
        return self

    @property
    def in_keys(self) -> tuple[str, ...]:
        """``index`` or ``window``, and ``portfolio``."""
        return (self.observation, "portfolio")

    def episode_steps(self, stage: Stage | None) -> int:
        """Return the steps of an episode in the longest training part, ``episode_bars`` where it leaves room for them.

        At least 1: a world without an episode says so itself.
        """
        assert stage is not None
        ready_from = stage.features.ready_from
        return max(1, *(first_episode(part, ready_from, self.window, self.episode_bars)[1] for part in stage.rows))

    def world(
        self, *, num_envs: int, generator: torch.Generator, stage: Stage | None, market: MarketTensors | None
    ) -> "Accounts":
        """Return the training accounts."""
        assert stage is not None
        assert market is not None
        accounts = self.accounts(
            market=market,
            rules=stage.rules,
            rows=stage.rows,
            num_envs=num_envs,
            reward=stage.reward,
            generator=generator,
        )
        observation = self.observation_of(stage.features.names_F, stage.panel.symbols)
        num_seen = market.num_instruments if self.is_joint else 1
        observation.require(accounts.observe(), market.features.shape[-1] * num_seen)
        log.info("observation: %s", observation)
        return accounts

    def portfolio_names(self, symbols: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the portfolio features of an account, in column order."""
        return PORTFOLIOS[self.portfolio]

    def observation_of(self, names_F: Sequence[str], symbols: Sequence[str]) -> Observation:
        """Declare what the agent sees: every number by name.

        Args:
            names_F: Features of an instrument's bar.
            symbols: Instruments of the market.
        """
        if self.is_joint:
            names_F = [f"{symbol}/{name}" for symbol in symbols for name in names_F]
        return Observation(window=self.window, names_F=tuple(names_F), portfolio_P=tuple(self.portfolio_names(symbols)))

    @abstractmethod
    def accounts(
        self,
        *,
        market: MarketTensors,
        rules: AccountRules,
        rows: Range | Sequence[Range],
        num_envs: int,
        reward: Reward | None = None,
        generator: torch.Generator | None = None,
    ) -> "Accounts":
        """Return accounts of this environment; see ``Simulator`` for the arguments."""

    @abstractmethod
    def target_weights(self, action: Tensor, view: Any) -> Tensor:
        """Return the target weights of each account's action, NaN for no order; ``view`` is that of the accounts."""

    def without_small(self, target: Tensor, held: Tensor, blocked: Tensor) -> Tensor:
        """Return targets of which changes below the threshold are no order; going flat always passes.

        After a stop a target near zero is zero, which allows the next entry on the stopped side.

        Args:
            target: Target weights, NaN: no order.
            held: Weights at the decision.
            blocked: Side that may not be entered again after a stop, 0: none.
        """
        if self.rebalance_threshold == 0:
            return target
        is_small = torch.abs(target - held) < self.rebalance_threshold
        instead = torch.where(blocked != 0, 0.0, torch.nan)
        return torch.where(is_small & (target != 0), instead, target)


class TradingEnv(MarketEnv):
    """Base of the environments whose accounts trade one instrument each."""

    is_joint: ClassVar[bool] = False

    def accounts(
        self,
        *,
        market: MarketTensors,
        rules: AccountRules,
        rows: Range | Sequence[Range],
        num_envs: int,
        reward: Reward | None = None,
        generator: torch.Generator | None = None,
    ) -> Simulator:
        """Return accounts of one instrument each."""
        return Simulator(
            market=market, env=self, rules=rules, rows=rows, num_envs=num_envs, reward=reward, generator=generator
        )

    @abstractmethod
    def weights(self, action: Tensor, view: AccountView) -> Tensor:
        """Return the target weight ``[B]`` (float64, NaN: no order) of each account's action."""

    def target_weights(self, action: Tensor, view: AccountView) -> Tensor:
        """Return ``weights`` without small changes, ``[B]``."""
        return self.without_small(self.weights(action, view), view.weight_B, view.blocked_B)
