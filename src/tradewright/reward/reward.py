"""The ``Reward`` protocol: how a bar's change of an account becomes the number an agent learns from.

Legend: B accounts. A reward sees money only (returns, equity, costs, closed trades), never the action, so every reward
composes with every environment and algorithm. Rewards are float64; a non-finite one raises, none is clamped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from tradewright.errors import MarketError

RewardState = dict[str, Tensor]


@dataclass(frozen=True)
class BarChange:
    """What one bar did to the accounts; all float64 ``[B]``, sums over the instruments that an account trades.

    The fields from ``cost_B`` on are None unless the reward names them in ``needs``; ``need`` reads them. They obey
    ``after - before = realised + (unrealised - unrealised before) - (cost - slippage)``.

    Args:
        before_B: Equity at the previous close, > 0.
        after_B: Equity at this close; <= 0 only where ``ended_B``.
        peak_B: Highest equity of the episode, this close included.
        ended_B: True where the account went bankrupt in this bar, or has before (bool).
        cost_B: Money paid for trading and holding: fees, slippage, borrow, funding, less dividends and interest earned
            (negative where these are more).
        slippage_B: The part of ``cost_B`` that the fill prices contain already, money >= 0.
        turnover_B: Traded notional at fill prices / equity before, fraction >= 0; both legs of a roll count.
        realised_B: Money won on what was closed in the bar, against its average entry price, both at fill prices:
            net of slippage, before fees and carry; 0 where nothing was closed. A roll keeps the entry, shifted to the
            coming contract, and realises its slippage.
        unrealised_B: Money won on open positions at this close, against their average entry price.
        closed_B: Net P&L of the trades that went from flat to flat in this bar, money after all their fees and carry;
            0 without one. A change of side ends a trade and begins another.
        won_B: The part of ``closed_B`` that trades with net P&L > 0 brought, >= 0.
        num_closed_B: Number of these trades, 0 or more.
        num_won_B: How many of them had net P&L > 0.
        benchmark_return_B: Return of holding the account's instrument from close to close, fraction: splits and rolls
            adjusted, dividends included, without costs. Of several instruments the mean over those that have a price;
            0 where none has.
        can_end: False only where it is known that ``ended_B`` is False everywhere: what is done for the others may be
            left out.
    """

    before_B: Tensor
    after_B: Tensor
    peak_B: Tensor
    ended_B: Tensor
    cost_B: Tensor | None = None
    slippage_B: Tensor | None = None
    turnover_B: Tensor | None = None
    realised_B: Tensor | None = None
    unrealised_B: Tensor | None = None
    closed_B: Tensor | None = None
    won_B: Tensor | None = None
    num_closed_B: Tensor | None = None
    num_won_B: Tensor | None = None
    benchmark_return_B: Tensor | None = None
    can_end: bool = True

    @property
    def return_B(self) -> Tensor:
        """Simple return of the bar."""
        return self.after_B / self.before_B - 1.0

    @property
    def drawdown_B(self) -> Tensor:
        """Loss from the episode's highest equity at this close, fraction >= 0."""
        return 1.0 - self.after_B / self.peak_B

    def need(self, name: str) -> Tensor:
        """Return a field that was asked for.

        Raises:
            MarketError: The reward does not name it in ``needs``.
        """
        found: Tensor | None = getattr(self, name)
        if found is None:
            raise MarketError(f"reward: {name} was not computed; name it in the reward's `needs`")
        return found

    def without_ended(self) -> "BarChange":
        """Return the change with the equity of ended accounts set to 1, where a ratio of it would mean nothing."""
        if not self.can_end:
            return self
        before_B, after_B, peak_B = (
            torch.where(self.ended_B, 1.0, equity_B) for equity_B in (self.before_B, self.after_B, self.peak_B)
        )
        return replace(self, before_B=before_B, after_B=after_B, peak_B=peak_B)


NEEDS = frozenset(field.name for field in fields(BarChange) if field.default is None)
"""The fields that a reward may name in ``needs``."""


class Rewarded(NamedTuple):
    """What a reward returns for one bar.

    Args:
        reward_B: The reward, float64.
        state: The next state.
        terms: The parts that add up to the reward, by name, for logging; {} where there is only one.
    """

    reward_B: Tensor
    state: RewardState
    terms: dict[str, Tensor]


class Reward(Protocol):
    """Config node of group ``reward``."""

    @property
    def needs(self) -> frozenset[str]:
        """The fields of ``BarChange`` beyond equity that it reads, of ``NEEDS``; others are not computed."""
        ...

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return the state at the start of an episode, every tensor ``[B]``."""
        ...

    def __call__(self, state: RewardState, change: BarChange) -> Rewarded:
        """Return the reward of the bar."""
        ...


def needs_of(reward: Reward | None) -> frozenset[str]:
    """Return what a reward needs; nothing without one.

    Raises:
        MarketError: It does not say.
    """
    if reward is None:
        return frozenset()
    if not hasattr(reward, "needs"):
        raise MarketError(
            f"reward: {type(reward).__name__} must say what it needs beyond equity; write `needs = frozenset()` in the"
            f" class, or name any of {', '.join(sorted(NEEDS))}"
        )
    return frozenset(reward.needs)


def check_terms(*, scale: float, bankrupt_reward: float) -> None:
    """Check the two keys that every reward has.

    Raises:
        ValueError: ``scale`` is not positive, or ``bankrupt_reward`` is positive.
    """
    if not scale > 0:
        raise ValueError(f"scale must be > 0, was {scale}")
    if not bankrupt_reward <= 0:
        raise ValueError(f"bankrupt_reward must be <= 0, was {bankrupt_reward}")


def require_finite(reward: Tensor, name: str, drain_terms: Callable[[], Mapping[str, float]] = dict) -> None:
    """Raise if any reward is NaN or infinite.

    Args:
        reward: Rewards of any shape.
        name: The option of group ``reward``.
        drain_terms: Gives the mean of every term, to find the one that is wrong; called only then.

    Raises:
        MarketError: Names the reward and its wrong terms, and counts the bad values.
    """
    if bool(torch.isfinite(reward).all()):
        return
    bad = int((~torch.isfinite(reward)).sum())
    wrong = [term for term, mean in drain_terms().items() if not abs(mean) < float("inf")]
    where = f" (term {', '.join(wrong)})" if wrong else ""
    raise MarketError(f"reward={name}{where}: {bad} of {reward.numel()} rewards are not finite numbers")
