"""``Simulator``: B accounts that each trade one instrument, on tensors; every trading environment and rollout runs it.

The account at the close of bar t acts; the accounting of ``market`` fills at the open of bar t+1 and marks at its
close, as the backtester does. Money is float64. Random numbers come from one generator, so that a state saved with
``state_dict`` continues bit for bit. Tensors that describe the accounts are replaced, never changed in place, but for a
restart right after the step that made them. A step reads no more than its own bars: its cost does not grow with the
length of the history.
Legend: B accounts, K of them that start anew, W window, F features, P portfolio features.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from tradewright.backtest.execution import ExecutionRules
from tradewright.data.ranges import Range
from tradewright.env.account_history import AccountHistory
from tradewright.env.account_step import AccountStep
from tradewright.env.bar_change import Moved
from tradewright.env.cost_factors import CostFactors
from tradewright.env.episode_figures import EpisodeFigures
from tradewright.env.execution_tensors import ExecutionTensors
from tradewright.env.market_tensors import MarketTensors, gather_window
from tradewright.env.portfolio_state import portfolio_state
from tradewright.env.reward_meter import RewardMeter
from tradewright.env.starts import find_span, find_starts
from tradewright.env.view import AccountView
from tradewright.env.world import Transition
from tradewright.market.rules import AccountRules
from tradewright.market.step import State, initial_state, unrealised
from tradewright.reward.reward import Reward, RewardState

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
        generator: Makes it a training world: draws where episodes begin (any bar that an instrument has and that leaves
            room for ``env.episode_bars``) and what they cost (``env.cost_range``). None starts account b on instrument
            b % N at the first bar, for the whole range, at the costs of ``rules``.
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
        self.market, self.env, self.reward = market, env, reward
        self.rules = ExecutionRules.of(rules)
        self.first, self.last = find_span(market, parts, env.window, is_drawn=generator is not None)
        self.num_envs = num_envs
        self.generator = generator
        self.figures = figures
        self.device = market.prices.device
        self.costs = None if generator is None else CostFactors.of(env, num_envs, generator)
        self._execution = ExecutionTensors.build(market, self.rules)
        self.history = AccountHistory(num_envs, 1, self.device) if env.portfolio == "full" else None
        self._meter = RewardMeter(reward, num_envs, 1, self.device)
        is_compiled = env.compile_step and generator is not None
        self._step = AccountStep(self._execution, self.rules.account, self.costs, compile=is_compiled)
        self._starts = None if generator is None else find_starts(market, parts, env.window, env.episode_bars)
        self._zero_B = torch.zeros(num_envs, dtype=torch.float64, device=self.device)
        self._seen: _Seen | None = None
        self._window: tuple[Tensor, Tensor] | None = None
        self._is_fresh = False
        """Whether a restart may write into the accounts' tensors: the last step made them and nobody else has them."""
        self.reset()

    def reset(self) -> None:
        """Start every account anew."""
        if self.costs is not None:
            self.costs.reset()
        self._is_fresh = False
        self.row_B, self.end_row_B = self._draw(self.num_envs)
        self.account = self._fresh_accounts(self.row_B)
        self.equity_B = self.account.cash_B
        self.peak_B, self.holding_B = self.equity_B, torch.zeros_like(self.equity_B)
        self.pending = self._nothing_pending(self.num_envs)
        self._meter.reset()
        if self.history is not None:
            self.history.reset()
        if self.figures is not None:
            self.figures.start(self.equity_B)
        self._fresh_P = self._look().portfolio_BP[0].clone()

    def restart(self, done_B: Tensor) -> None:
        """Start the accounts of ``done_B`` (bool) anew and leave the others as they are; it costs what these K cost."""
        done_K = done_B.nonzero()[:, 0]
        num = len(done_K)
        if not num:
            return
        seen = self._seen if self._seen is not None and self._seen.account is self.account else None
        if self.costs is not None:
            self.costs.restart(done_K)
        row_K, end_row_K = self._draw(num, done_K)
        self.row_B = self.row_B.index_copy(0, done_K, row_K)
        self.end_row_B.index_copy_(0, done_K, end_row_K)  # never seen from outside
        self.account = self._renewed(done_K, row_K)
        initial = self.rules.initial_cash
        self.equity_B = self._filled(self.equity_B, done_K, initial)
        self.peak_B = self._filled(self.peak_B, done_K, initial)
        self.holding_B = self._filled(self.holding_B, done_K, 0.0)
        if self.pending:
            nothing = self._nothing_pending(num)
            self.pending = {name: x.index_copy(0, done_K, nothing[name]) for name, x in self.pending.items()}
        self._meter.restart(done_B)
        if self.history is not None:
            self.history.restart(done_B)
        if self.figures is not None:
            self.figures.restart(done_B, torch.full_like(self.equity_B, initial))
        if seen is not None:
            weight_B, cash_fraction_B, blocked_B = seen.view
            blocked_B = blocked_B if self.account.blocked_BN is None else blocked_B.index_fill(0, done_K, 0.0)
            view = AccountView(
                self._filled(weight_B, done_K, 0.0), self._filled(cash_fraction_B, done_K, 1.0), blocked_B
            )
            self._seen = _Seen(self.account, view, seen.portfolio_BP.index_put((done_K,), self._fresh_P))
        self._is_fresh = False

    def _filled(self, x: Tensor, done_K: Tensor, value: float) -> Tensor:
        """Return a tensor of the accounts with ``value`` for those numbered ``done_K``."""
        return x.index_fill_(0, done_K, value) if self._is_fresh else x.index_fill(0, done_K, value)

    def _draw(self, num: int, numbers_K: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return starting rows and last rows, int64, for the accounts numbered ``numbers_K``; None: all of them."""
        if self._starts is not None and self.generator is not None:
            return self._starts.draw(num, self.generator)
        numbers_K = torch.arange(num, device=self.device) if numbers_K is None else numbers_K
        from_K = numbers_K % self.market.num_instruments * self.market.num_bars
        return from_K + self.first, from_K + self.last

    def _fresh_accounts(self, row_K: Tensor) -> State:
        return initial_state(
            torch,
            self.rules.account,
            len(row_K),
            1,
            mark_N=self._execution.prices["close"].index_select(0, row_K)[:, None],
            has_stops=bool(self._execution.distances),
            has_entries=True,
            device=self.device,
        )

    def _renewed(self, done_K: Tensor, row_K: Tensor) -> State:
        """Return the accounts, of which those numbered ``done_K`` are fresh and stand at ``row_K``."""
        old, entry_BN = self.account, self.account.entry_BN
        if old.blocked_BN is None and entry_BN is not None and self._step.is_sound(old):
            close_K1 = self._execution.prices["close"].index_select(0, row_K)[:, None]
            copy = old.mark_BN.index_copy_ if self._is_fresh else old.mark_BN.index_copy
            return old._replace(
                cash_B=self._filled(old.cash_B, done_K, self.rules.initial_cash),
                shares_BN=self._filled(old.shares_BN, done_K, 0.0),
                mark_BN=copy(0, done_K, close_K1),
                entry_BN=self._filled(entry_BN, done_K, 0.0),
            )
        pairs = zip(old, self._fresh_accounts(row_K), strict=True)
        return State(*(a if a is None or b is None else a.index_copy(0, done_K, b) for a, b in pairs))

    def _nothing_pending(self, num: int) -> dict[str, Tensor]:
        """Return decisions that wait for their bar, oldest first, ``[num, delay_bars]`` by name; NaN: none."""
        if not self.rules.delay_bars:
            return {}
        shape = (num, self.rules.delay_bars)
        nothing = torch.full(shape, torch.nan, dtype=torch.float64, device=self.device)
        return {name: nothing.clone() for name in ("weights_BN", *self._execution.distances)}

    @property
    def instrument_B(self) -> Tensor:
        """Number of each account's instrument."""
        return self.row_B // self.market.num_bars

    @property
    def bar_B(self) -> Tensor:
        """Number of each account's current bar; ``row_B`` is its flat row in the market tensors."""
        return self.row_B % self.market.num_bars

    @property
    def end_B(self) -> Tensor:
        """Number of the bar at which each account's episode ends."""
        return self.end_row_B % self.market.num_bars

    @property
    def position_value_B(self) -> Tensor:
        """Signed value of the position at the mark."""
        return self._money_of(self.account.shares_BN[:, 0] * self.account.mark_BN[:, 0])

    @property
    def unrealised_B(self) -> Tensor:
        """Unrealised profit at the mark, money."""
        return self._money_of(unrealised(self.account)[:, 0])

    def _money_of(self, points_B: Tensor) -> Tensor:
        multiplier_N = self._execution.contract.get("multiplier_N")
        return points_B if multiplier_N is None else points_B * multiplier_N.index_select(0, self.instrument_B)

    @property
    def can_end(self) -> bool:
        """Whether some account may have ended at this bar; False only where none has."""
        return not self._step.is_sound(self.account)

    def view(self) -> AccountView:
        """Return what the action map may look at."""
        blocked_BN = self.account.blocked_BN
        blocked_B = self._zero_B if blocked_BN is None else blocked_BN[:, 0]
        return AccountView(self.position_value_B / self.equity_B, self.account.cash_B / self.equity_B, blocked_B)

    def portfolio_BP(self, view: AccountView) -> Tensor:
        """Return the portfolio features ``[B, P]``, float32; see ``portfolio_state``."""
        return portfolio_state(self, view)

    def _look(self) -> "_Seen":
        """Return view and portfolio features of the accounts as they are, computed once for each state."""
        if self._seen is None or self._seen.account is not self.account:
            view = self.view()
            self._seen = _Seen(self.account, view, self.portfolio_BP(view))
        return self._seen

    def observe(self) -> dict[str, Tensor]:
        """Return the observation: ``portfolio`` ``[B, P]`` and either ``index`` ``[B]`` or ``window`` ``[B, W, F]``."""
        portfolio_BP = self._look().portfolio_BP
        if self.env.observation == "index":
            return {"index": self.row_B, "portfolio": portfolio_BP}
        if self._window is None or self._window[0] is not self.row_B:
            self._window = self.row_B, gather_window(self.market.features, self.row_B, self.env.window)
        return {"window": self._window[1], "portfolio": portfolio_BP}

    def step(self, action: Tensor) -> Transition:
        """Act at the current close, fill at the next open, mark at the next close.

        Args:
            action: ``[B]`` action numbers or ``[B, A]`` components, as the environment's ``action_kind`` says.
        """
        seen = self._seen
        view = self.view() if seen is None or seen.account is not self.account else seen.view
        return self.step_weights(self.env.target_weights(action, view))

    def step_weights(self, weight_B: Tensor) -> Transition:
        """Like ``step`` for target weights ``[B]`` (NaN: no order)."""
        due = self._due(weight_B)
        instrument_B = self.instrument_B if self._execution.contract else None
        self.row_B = self.row_B + 1
        before, before_B = self.account, self.equity_B
        has_detail = self.figures is not None or self.history is not None or self._meter.has_detail
        stepped = self._step(before, due, self.row_B, instrument_B, has_detail=has_detail)
        self.account, self.equity_B = stepped.account, stepped.outcome.equity_B
        self._is_fresh = stepped.is_fresh
        if self.figures is not None:
            self.figures.add(stepped.outcome, self.bar_B, stepped.multiplier_BN)
        self.peak_B = torch.maximum(self.peak_B, self.equity_B)
        self._count_holding(before.shares_BN[:, 0].detach(), self.account.shares_BN[:, 0].detach())
        if self.costs is not None:
            self.costs.count()
        can_end = self.can_end
        moved = Moved(
            before, self.account, stepped.outcome, stepped.bar, before_B, self.peak_B, stepped.multiplier_BN, can_end
        )
        if self.history is not None:
            self.history.add(moved)
        terminated_B, truncated_B = self.account.ended_B, self.row_B >= self.end_row_B
        return Transition(self._meter.pay(moved), terminated_B, truncated_B & ~terminated_B if can_end else truncated_B)

    def _count_holding(self, before_B: Tensor, after_B: Tensor) -> None:
        """Count the bars of positions that stay on their side; masks are floats, as in ``market.lean``."""
        side_B = before_B * after_B
        is_same_side_B = torch.gt(side_B, 0.0, out=side_B)
        is_held_B = torch.ne(after_B, 0.0, out=torch.empty_like(after_B))
        self.holding_B = (self.holding_B * is_same_side_B).add_(1.0).mul_(is_held_B)

    @property
    def reward_state(self) -> RewardState:
        """What the reward carries from bar to bar, by name."""
        return self._meter.state

    def drain_terms(self) -> dict[str, float]:
        """Return the mean of every reward term per step since the last call."""
        return self._meter.drain_terms()

    def _due(self, weight_B: Tensor) -> dict[str, Tensor]:
        """Queue what is decided at this close; return what reaches the market at the next open, ``[B, 1]`` by name."""
        row_B = self.row_B
        distances = self._execution.distances
        decided = {"weights_BN": weight_B, **{name: x.index_select(0, row_B) for name, x in distances.items()}}
        if not self.pending:
            return {name: x_B[:, None] for name, x_B in decided.items()}
        due = {name: waiting[:, :1] for name, waiting in self.pending.items()}
        self.pending = {
            name: torch.cat((waiting[:, 1:], decided[name][:, None]), dim=1) for name, waiting in self.pending.items()
        }
        return due

    def state_dict(self) -> dict[str, Any]:
        """Return everything a bit-exact continuation needs, as tensors in plain dictionaries."""
        self._is_fresh = False  # they are the caller's too from now on
        state: dict[str, Any] = {name: getattr(self, name) for name in _SAVED}
        state["end_row_B"] = self.end_row_B.clone()
        state["account"] = {name: value for name, value in self.account._asdict().items() if value is not None}
        state["pending"] = dict(self.pending)
        state["meter"] = self._meter.state_dict()
        if self.history is not None:
            state["history"] = self.history.state_dict()
        if self.costs is not None:
            state["costs"] = self.costs.state_dict()
        if self.figures is not None:
            state["figures"] = self.figures.state_dict()
        if self.generator is not None:
            state["generator"] = self.generator.get_state()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._is_fresh = False
        for name in _SAVED:
            setattr(self, name, state[name].to(self.device))
        self.end_row_B = self.end_row_B.clone()
        self.account = State(**{name: value.to(self.device) for name, value in state["account"].items()})
        self.pending = {name: value.to(self.device) for name, value in state["pending"].items()}
        self._meter.load_state_dict(state["meter"])
        if self.history is not None:
            self.history.load_state_dict(state["history"])
        if self.costs is not None:
            self.costs.load_state_dict(state["costs"])
        if self.figures is not None:
            self.figures.load_state_dict(state["figures"])
        if self.generator is not None:
            self.generator.set_state(state["generator"].cpu())


class _Seen(NamedTuple):
    """What was computed of one state of the accounts, which is never changed in place."""

    account: State
    view: AccountView
    portfolio_BP: Tensor


_SAVED = ("row_B", "end_row_B", "holding_B", "equity_B", "peak_B")
