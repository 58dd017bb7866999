"""``Simulator``: B accounts that each trade one instrument, on tensors; every trading environment and rollout runs it.

Legend: B accounts, W window, F features, P portfolio features. The account at the close of bar t acts; the accounting
of ``market.step`` fills at the open of bar t+1 and marks at its close, as the backtester does. Money is float64.
Random numbers come from one generator, so that a state saved with ``state_dict`` continues bit for bit.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tradewright.backtest.execution import ExecutionRules
from tradewright.data.ranges import Range
from tradewright.env.bar_change import BarChanges, Moved
from tradewright.env.episode_figures import EpisodeFigures
from tradewright.env.execution_tensors import ExecutionTensors
from tradewright.env.market_tensors import MarketTensors, gather_window
from tradewright.env.portfolio_state import portfolio_state
from tradewright.env.starts import find_starts
from tradewright.env.view import AccountView
from tradewright.env.world import Transition
from tradewright.errors import DataError
from tradewright.market.rules import AccountRules
from tradewright.market.step import State, choose, initial_state, step, unrealised
from tradewright.reward.reward import Reward

if TYPE_CHECKING:
    from tradewright.env.trading import TradingEnv


class Simulator:
    """Steps B accounts through one range of bars, or through the parts of a training set.

    Args:
        market: The market as tensors.
        env: The environment's keys and action map.
        rules: The rules of the backtest; decisions may reach the market later (``delay_bars``), as they do there.
        rows: Bars the accounts may see as the current bar; the last is where every episode ends at the latest. Several
            parts need a generator; an episode and the windows that it sees stay inside one part.
        num_envs: B.
        reward: Reward function, or None.
        generator: Draws where episodes begin: any bar that an instrument has and that leaves room for
            ``env.episode_bars``. None starts account b on instrument b % N at the first bar, for the whole range.
        figures: Keeps the report's figures of every episode as it runs; None saves their time.

    Raises:
        DataError: The range is too short for one step.
        MarketError: The rules need something that the market does not have.
    """

    def __init__(
        self,
        *,
        market: MarketTensors,
        env: "TradingEnv",
        rules: AccountRules,
        rows: Range | Sequence[Range],
        num_envs: int,
        reward: Reward | None = None,
        generator: torch.Generator | None = None,
        figures: EpisodeFigures | None = None,
    ) -> None:
        parts = (rows,) if isinstance(rows, Range) else tuple(rows)
        first, last = max(parts[0].start, market.ready_from + env.window - 1), parts[-1].stop - 1
        if generator is None:
            assert len(parts) == 1, "several parts need a generator"
            if last <= first:
                raise DataError(
                    f"env.window: {len(parts[0])} bars from bar {parts[0].start} leave no step after a warm-up of"
                    f" {market.ready_from} and a window of {env.window} bars; use more data or a shorter window"
                )
        self.market, self.env, self.reward = market, env, reward
        self.rules = ExecutionRules.of(rules)
        self.first, self.last = first, last
        self.num_envs = num_envs
        self.generator = generator
        self.figures = figures
        self.device = market.prices.device
        self._execution = ExecutionTensors.build(market, self.rules)
        self._changes = BarChanges(reward.needs if reward else frozenset(), num_envs, 1, self.device)
        self._terms: dict[str, Tensor] = {}
        self._num_rewarded = 0
        self._starts = None if generator is None else find_starts(market, parts, env.window, env.episode_bars)
        self.reset()

    def reset(self) -> None:
        """Start every account anew."""
        self.instrument_B, self.bar_B, self.end_B = self._draw()
        self.account, self.reward_state = self._fresh(self.row_B)
        self.holding_B = torch.zeros(self.num_envs, dtype=torch.float64, device=self.device)
        self.equity_B = torch.full_like(self.holding_B, self.rules.initial_cash)
        self.peak_B = self.equity_B.clone()
        self.pending = self._nothing_pending()
        self._changes.reset()
        if self.figures is not None:
            self.figures.start(self.equity_B)

    def _fresh(self, row_B: Tensor) -> tuple[State, dict[str, Tensor]]:
        account = initial_state(
            torch,
            self.rules.account,
            self.num_envs,
            1,
            mark_N=self.market.prices[row_B, 3][:, None],
            has_stops=bool(self._execution.distances),
            has_entries=True,
            device=self.device,
        )
        return account, self.reward.initial(self.num_envs, self.device) if self.reward else {}

    def _nothing_pending(self) -> dict[str, Tensor]:
        """Return decisions that wait for their bar, oldest first, ``[B, delay_bars]`` by name; NaN: none."""
        if not self.rules.delay_bars:
            return {}
        shape = (self.num_envs, self.rules.delay_bars)
        nothing = torch.full(shape, torch.nan, dtype=torch.float64, device=self.device)
        return {name: nothing.clone() for name in ("weights_BN", *self._execution.distances)}

    def _draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return instruments, starting bars and last bars, int64 ``[B]``."""
        if self._starts is None or self.generator is None:
            numbers_B = torch.arange(self.num_envs, device=self.device)
            first_B = torch.full_like(numbers_B, self.first)
            return numbers_B % self.market.num_instruments, first_B, torch.full_like(numbers_B, self.last)
        row_B, end_B = self._starts.draw(self.num_envs, self.generator)
        return row_B // self.market.num_bars, row_B % self.market.num_bars, end_B

    def restart(self, done_B: Tensor) -> None:
        """Start the accounts of ``done_B`` anew and leave the others as they are."""
        instrument_B, bar_B, end_B = self._draw()
        fresh_account, fresh_reward = self._fresh(instrument_B * self.market.num_bars + bar_B)

        def pick(fresh: Tensor, kept: Tensor) -> Tensor:
            return torch.where(done_B if kept.ndim == 1 else done_B[:, None], fresh, kept)

        self.account = choose(torch, done_B, fresh_account, self.account)
        self.reward_state = {name: pick(fresh_reward[name], kept) for name, kept in self.reward_state.items()}
        self.instrument_B, self.bar_B = pick(instrument_B, self.instrument_B), pick(bar_B, self.bar_B)
        self.end_B = pick(end_B, self.end_B)
        initial_B = torch.full_like(self.equity_B, self.rules.initial_cash)
        self.equity_B, self.peak_B = pick(initial_B, self.equity_B), pick(initial_B, self.peak_B)
        self.holding_B = pick(torch.zeros_like(self.holding_B), self.holding_B)
        nothing = self._nothing_pending()
        self.pending = {name: pick(nothing[name], kept) for name, kept in self.pending.items()}
        self._changes.restart(done_B)
        if self.figures is not None:
            self.figures.restart(done_B, initial_B)

    @property
    def row_B(self) -> Tensor:
        """Flat row of each account's current bar in the market tensors."""
        return self.instrument_B * self.market.num_bars + self.bar_B

    @property
    def position_value_B(self) -> Tensor:
        """Signed value of the position at the mark."""
        value_B = self.account.shares_BN[:, 0] * self.account.mark_BN[:, 0]
        multiplier_N = self._execution.contract.get("multiplier_N")
        return value_B if multiplier_N is None else value_B * multiplier_N[self.instrument_B]

    @property
    def unrealised_B(self) -> Tensor:
        """Unrealised profit at the mark, money."""
        multiplier_N = self._execution.contract_of(self.instrument_B).get("multiplier_N", 1.0)
        return unrealised(self.account, multiplier_N)[:, 0]

    @property
    def can_end(self) -> bool:
        """Whether some account may have ended at this bar; False only where none has."""
        return self.rules.account.can_break

    def view(self) -> AccountView:
        """Return what the action map may look at."""
        blocked_BN = self.account.blocked_BN
        blocked_B = torch.zeros_like(self.equity_B) if blocked_BN is None else blocked_BN[:, 0]
        return AccountView(self.position_value_B / self.equity_B, self.account.cash_B / self.equity_B, blocked_B)

    def portfolio_BP(self, view: AccountView) -> Tensor:
        """Return the portfolio features ``[B, P]``, float32; see ``portfolio_state``."""
        return portfolio_state(self, view)

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
        due: dict[str, Any] = self._due(weight_B)
        contract: dict[str, Any] = self._execution.contract_of(self.instrument_B)
        self.bar_B = self.bar_B + 1
        bar = self._execution.bar(self.row_B, self.bar_B)
        before, before_B, shares_B = self.account, self.equity_B, self.account.shares_BN[:, 0]
        self.account, outcome = step(
            torch,
            before,
            due.pop("weights_BN"),
            bar,
            self.rules.account,
            detail=self.figures is not None or self._changes.has_detail,
            **due,
            **contract,
        )
        self.equity_B = outcome.equity_B
        if self.figures is not None:
            self.figures.add(outcome, self.bar_B, contract.get("multiplier_N"))
        self.peak_B = torch.maximum(self.peak_B, self.equity_B)
        is_same_side_B = torch.sign(self.account.shares_BN[:, 0]) == torch.sign(shares_B)
        is_held_B = self.account.shares_BN[:, 0] != 0
        self.holding_B = torch.where(is_held_B, torch.where(is_same_side_B, self.holding_B + 1.0, 1.0), 0.0)
        terminated_B = self.account.ended_B
        reward_B = torch.zeros_like(self.equity_B)
        if self.reward is not None:
            moved = Moved(before, self.account, outcome, bar, before_B, self.peak_B, contract.get("multiplier_N"))
            reward_B, self.reward_state, terms = self.reward(self.reward_state, self._changes.add(moved))
            self._num_rewarded += self.num_envs
            for name, term_B in terms.items():
                self._terms[name] = self._terms.get(name, 0.0) + term_B.sum()
        return Transition(reward_B, terminated_B, (self.bar_B >= self.end_B) & ~terminated_B)

    def drain_terms(self) -> dict[str, float]:
        """Return the mean of every reward term per step since the last call."""
        means = {name: float(total) / self._num_rewarded for name, total in self._terms.items()}
        self._terms, self._num_rewarded = {}, 0
        return means

    def _due(self, weight_B: Tensor) -> dict[str, Tensor]:
        """Queue what is decided at this close; return what reaches the market at the next open, ``[B, 1]`` by name."""
        row_B = self.row_B
        decided = {"weights_BN": weight_B, **{name: x[row_B] for name, x in self._execution.distances.items()}}
        if not self.pending:
            return {name: x_B[:, None] for name, x_B in decided.items()}
        due = {name: waiting[:, :1] for name, waiting in self.pending.items()}
        self.pending = {
            name: torch.cat((waiting[:, 1:], decided[name][:, None]), dim=1) for name, waiting in self.pending.items()
        }
        return due

    def state_dict(self) -> dict[str, Any]:
        """Return everything a bit-exact continuation needs, as tensors in plain dictionaries."""
        state: dict[str, Any] = {name: getattr(self, name) for name in _SAVED}
        state["account"] = {name: value for name, value in self.account._asdict().items() if value is not None}
        state["reward_state"] = dict(self.reward_state)
        state["pending"] = dict(self.pending)
        state["changes"] = self._changes.state_dict()
        if self.figures is not None:
            state["figures"] = self.figures.state_dict()
        if self.generator is not None:
            state["generator"] = self.generator.get_state()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        for name in _SAVED:
            setattr(self, name, state[name].to(self.device))
        self.account = State(**{name: value.to(self.device) for name, value in state["account"].items()})
        self.reward_state = {name: value.to(self.device) for name, value in state["reward_state"].items()}
        self.pending = {name: value.to(self.device) for name, value in state["pending"].items()}
        self._changes.load_state_dict(state["changes"])
        if self.figures is not None:
            self.figures.load_state_dict(state["figures"])
        if self.generator is not None:
            self.generator.set_state(state["generator"].cpu())


_SAVED = ("instrument_B", "bar_B", "end_B", "holding_B", "equity_B", "peak_B")
