"""``Simulator``: B accounts that each trade one instrument, on tensors; every trading environment and rollout runs it.

Legend: B accounts, W window, F features, P portfolio features. The account at the close of bar t acts; the accounting
of ``market.step`` fills at the open of bar t+1 and marks at its close, as the backtester does. Money is float64.
Random numbers come from one generator, so that a state saved with ``state_dict`` continues bit for bit.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from tradewright.data.ranges import Range
from tradewright.env.market_tensors import MarketTensors, gather_window
from tradewright.env.trading import AccountView, TradingEnv
from tradewright.errors import DataError
from tradewright.market.rules import AccountRules
from tradewright.market.step import Bar, State, choose, initial_state, step, unrealised
from tradewright.reward.reward import BarChange, Reward

PORTFOLIO = ("weight", "cash_fraction", "unrealised_return", "holding_bars", "drawdown", "episode_return")
"""Portfolio features, in column order: fractions of equity, except ``holding_bars`` (in units of 100 bars) and
``episode_return`` (log return since the start of the episode)."""
HOLDING_UNIT = 100.0


class Transition(NamedTuple):
    """What one step returns, before any account is restarted."""

    reward_B: Tensor
    """float64; 0 without a reward."""
    terminated_B: Tensor
    """True where the account went bankrupt: nothing follows."""
    truncated_B: Tensor
    """True where the episode ran out of bars: the future goes on without us."""


class Simulator:
    """Steps B accounts through one range of bars.

    Args:
        market: The market as tensors.
        env: The environment's keys and action map.
        rules: The account rules of the backtest.
        rows: Bars the accounts may see as the current bar; the last is where every episode ends at the latest.
        num_accounts: B.
        reward: Reward function, or None.
        generator: Draws instruments and starting bars; None starts account b on instrument b % N at the first bar.
            It also makes episodes ``env.episode_bars`` long; without it they span the whole range.

    Raises:
        DataError: The range is too short for one step.
    """

    def __init__(
        self,
        *,
        market: MarketTensors,
        env: TradingEnv,
        rules: AccountRules,
        rows: Range,
        num_accounts: int,
        reward: Reward | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        first = max(rows.start, market.ready_from + env.window - 1)
        if rows.stop - first < 2:
            raise DataError(
                f"env.window: {rows.stop - rows.start} bars from bar {rows.start} leave no step after a warm-up of"
                f" {market.ready_from} and a window of {env.window} bars; use more data or a shorter window"
            )
        self.market, self.env, self.rules, self.reward = market, env, rules, reward
        self.first, self.last = first, rows.stop - 1
        self.num_accounts = num_accounts
        self.generator = generator
        self.device = market.prices.device
        self._is_gapless = bool(market.tradable.all())
        self._has_multiplier = bool((market.multiplier_N != 1).any())
        self._has_lots = bool((market.lot_N > 0).any())
        span = self.last - self.first
        is_random = generator is not None and env.episode_bars is not None
        self.episode_bars = min(env.episode_bars or span, span) if is_random else span
        self.reset()

    def reset(self) -> None:
        """Start every account anew."""
        self.instrument_B, self.bar_B = self._draw()
        self.account, self.reward_state = self._fresh(self.row_B)
        self.end_B = self.bar_B + self.episode_bars
        self.holding_B = torch.zeros(self.num_accounts, dtype=torch.float64, device=self.device)
        self.equity_B = torch.full_like(self.holding_B, self.rules.initial_cash)
        self.peak_B = self.equity_B.clone()

    def _fresh(self, row_B: Tensor) -> tuple[State, dict[str, Tensor]]:
        account = initial_state(
            torch,
            self.rules,
            self.num_accounts,
            1,
            mark_N=self.market.prices[row_B, 3][:, None],
            has_entries=True,
            device=self.device,
        )
        return account, self.reward.initial(self.num_accounts, self.device) if self.reward else {}

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Return instruments and starting bars, int64 ``[B]``."""
        if self.generator is None:
            numbers_B = torch.arange(self.num_accounts, device=self.device)
            return numbers_B % self.market.num_instruments, torch.full_like(numbers_B, self.first)
        shape = (self.num_accounts,)
        return (
            torch.randint(self.market.num_instruments, shape, generator=self.generator, device=self.device),
            torch.randint(
                self.first, self.last - self.episode_bars + 1, shape, generator=self.generator, device=self.device
            ),
        )

    def restart(self, done_B: Tensor) -> None:
        """Start the accounts of ``done_B`` anew and leave the others as they are."""
        instrument_B, bar_B = self._draw()
        fresh_account, fresh_reward = self._fresh(instrument_B * self.market.num_bars + bar_B)

        def pick(fresh: Tensor, kept: Tensor) -> Tensor:
            return torch.where(done_B, fresh, kept)

        self.account = choose(torch, done_B, fresh_account, self.account)
        self.reward_state = {name: pick(fresh_reward[name], kept) for name, kept in self.reward_state.items()}
        self.instrument_B, self.bar_B = pick(instrument_B, self.instrument_B), pick(bar_B, self.bar_B)
        self.end_B = pick(bar_B + self.episode_bars, self.end_B)
        initial_B = torch.full_like(self.equity_B, self.rules.initial_cash)
        self.equity_B, self.peak_B = pick(initial_B, self.equity_B), pick(initial_B, self.peak_B)
        self.holding_B = pick(torch.zeros_like(self.holding_B), self.holding_B)

    @property
    def row_B(self) -> Tensor:
        """Flat row of each account's current bar in the market tensors."""
        return self.instrument_B * self.market.num_bars + self.bar_B

    @property
    def position_value_B(self) -> Tensor:
        """Signed value of the position at the mark."""
        value_B = self.account.shares_BN[:, 0] * self.account.mark_BN[:, 0]
        return value_B if self._multiplier_B is None else value_B * self._multiplier_B

    @property
    def _multiplier_B(self) -> Tensor | None:
        return self.market.multiplier_N[self.instrument_B] if self._has_multiplier else None

    def view(self) -> AccountView:
        """Return what the action map may look at."""
        return AccountView(self.position_value_B / self.equity_B, self.account.cash_B / self.equity_B)

    def portfolio_BP(self, view: AccountView) -> Tensor:
        """Return the portfolio features ``[B, P]``, float32, in the order of ``PORTFOLIO``; 0 for ended accounts."""
        multiplier_B = self._multiplier_B
        gain_B = unrealised(self.account, 1.0 if multiplier_B is None else multiplier_B[:, None])[:, 0]
        columns = (
            view.weight_B,
            view.cash_fraction_B,
            gain_B / self.equity_B,
            self.holding_B / HOLDING_UNIT,
            1.0 - self.equity_B / self.peak_B,
            torch.log(self.equity_B / self.rules.initial_cash),
        )
        return torch.where(self.account.ended_B[:, None], 0.0, torch.stack(columns, dim=-1)).to(torch.float32)

    def observe(self) -> dict[str, Tensor]:
        """Return the observation: ``portfolio`` ``[B, P]`` and either ``index`` ``[B]`` or ``window`` ``[B, W, F]``."""
        portfolio_BP = self.portfolio_BP(self.view())
        if self.env.observation == "index":
            return {"index": self.row_B, "portfolio": portfolio_BP}
        return {"window": gather_window(self.market.features, self.row_B, self.env.window), "portfolio": portfolio_BP}

    def step(self, action: Tensor) -> Transition:
        """Act at the current close, fill at the next open, mark at the next close.

        Args:
            action: ``[B]`` action numbers or ``[B, A]`` components, as the environment's ``action_kind`` says.
        """
        return self.step_weights(self.env.target_weights(action, self.view()))

    def step_weights(self, weight_B: Tensor) -> Transition:
        """Like ``step`` for target weights ``[B]`` (NaN: no order)."""
        self.bar_B = self.bar_B + 1
        row_B = self.row_B
        open_B, high_B, low_B, close_B = self.market.prices[row_B].unbind(-1)
        bar = Bar(
            open_BN=open_B[:, None],
            high_BN=high_B[:, None],
            low_BN=low_B[:, None],
            close_BN=close_B[:, None],
            tradable_BN=None if self._is_gapless else self.market.tradable[row_B][:, None],
            years_B=self.market.years_T[self.bar_B],
        )
        multiplier_B = self._multiplier_B
        before_B, shares_B = self.equity_B, self.account.shares_BN[:, 0]
        self.account, outcome = step(
            torch,
            self.account,
            weight_B[:, None],
            bar,
            self.rules,
            multiplier_N=None if multiplier_B is None else multiplier_B[:, None],
            lot_N=self.market.lot_N[self.instrument_B][:, None] if self._has_lots else None,
            detail=False,
        )
        self.equity_B = outcome.equity_B
        self.peak_B = torch.maximum(self.peak_B, self.equity_B)
        is_same_side_B = torch.sign(self.account.shares_BN[:, 0]) == torch.sign(shares_B)
        is_held_B = self.account.shares_BN[:, 0] != 0
        self.holding_B = torch.where(is_held_B, torch.where(is_same_side_B, self.holding_B + 1.0, 1.0), 0.0)
        terminated_B = self.account.ended_B
        reward_B = torch.zeros_like(self.equity_B)
        if self.reward is not None:
            change = BarChange(before_B, self.equity_B, self.peak_B, terminated_B)
            reward_B, self.reward_state = self.reward(self.reward_state, change)
        return Transition(reward_B, terminated_B, (self.bar_B >= self.end_B) & ~terminated_B)

    def state_dict(self) -> dict[str, Any]:
        """Return everything a bit-exact continuation needs, as tensors in plain dictionaries."""
        state: dict[str, Any] = {name: getattr(self, name) for name in _SAVED}
        state["account"] = {name: value for name, value in self.account._asdict().items() if value is not None}
        state["reward_state"] = dict(self.reward_state)
        if self.generator is not None:
            state["generator"] = self.generator.get_state()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        for name in _SAVED:
            setattr(self, name, state[name].to(self.device))
        self.account = State(**{name: value.to(self.device) for name, value in state["account"].items()})
        self.reward_state = {name: value.to(self.device) for name, value in state["reward_state"].items()}
        if self.generator is not None:
            self.generator.set_state(state["generator"].cpu())


_SAVED = ("instrument_B", "bar_B", "end_B", "holding_B", "equity_B", "peak_B")
