"""``PortfolioSimulator``: B accounts that each trade all instruments from shared cash, on tensors.

The account at the close of bar t acts; the accounting of ``market.step`` fills at the open of bar t+1 and marks at its
close, as the backtester does. An instrument without a bar keeps its last mark, and its orders are rejected. Money is
float64. Random numbers come from one generator, so that a state saved with ``state_dict`` continues bit for bit.
Legend: B accounts, N instruments, W window, F features, P portfolio features.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tradewright.backtest.execution import ExecutionRules
from tradewright.data.ranges import Range
from tradewright.env.account_history import HISTORY, AccountHistory
from tradewright.env.bar_change import Moved
from tradewright.env.cost_factors import CostFactors
from tradewright.env.joint_market import JointMarket
from tradewright.env.market_tensors import MarketTensors, gather_window
from tradewright.env.reward_meter import RewardMeter
from tradewright.env.starts import find_span, find_starts
from tradewright.env.view import JointView
from tradewright.env.world import Transition
from tradewright.market.rules import AccountRules
from tradewright.market.step import State, choose, initial_state, step, unrealised
from tradewright.reward.reward import Reward

if TYPE_CHECKING:
    from tradewright.env.portfolio import Portfolio

PER_INSTRUMENT = ("weight", "unrealised_return", "blocked")
"""Fractions of the account's equity; ``blocked`` is the side that may not be entered again after a stop (-1, 1; 0)."""
PER_ACCOUNT = ("cash_fraction", "drawdown", "episode_return")
"""``episode_return`` is the log return since the start of the episode."""
PER_ACCOUNT_FULL = (*PER_ACCOUNT, "realised_return", *HISTORY)
"""Under ``portfolio: full``; see ``env.portfolio_state``."""
PENDING = "pending."
"""Prefix of what waits for its bar, among the tensors of an account."""


def joint_portfolio(symbols: Sequence[str], portfolio: str = "basic") -> tuple[str, ...]:
    """Return the names of the portfolio features in column order: ``<symbol>/weight`` for all, and so on."""
    of_account = PER_ACCOUNT_FULL if portfolio == "full" else PER_ACCOUNT
    return (*(f"{symbol}/{name}" for name in PER_INSTRUMENT for symbol in symbols), *of_account)


class PortfolioSimulator:
    """Steps B joint accounts through one range of bars, or through the parts of a training set.

    Args:
        market: The market as tensors.
        env: The environment's keys and action map.
        rules: The rules of the backtest; decisions may reach the market later (``delay_bars``), as they do there.
        rows: Bars the accounts may see as the current bar; the last is where every episode ends at the latest. Several
            parts need a generator; an episode and the windows that it sees stay inside one part.
        num_envs: B.
        reward: Reward function, or None.
        generator: Draws where episodes begin: any bar of the panel that leaves room for ``env.episode_bars``. None
            starts every account at the first bar, for the whole range.

    Raises:
        DataError: The range is too short for one step.
        MarketError: The rules need something that the market does not have.
    """

    def __init__(
        self,
        *,
        market: MarketTensors,
        env: "Portfolio",
        rules: AccountRules,
        rows: Range | Sequence[Range],
        num_envs: int,
        reward: Reward | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        parts = (rows,) if isinstance(rows, Range) else tuple(rows)
        self.market, self.env, self.reward = market, env, reward
        self.rules = ExecutionRules.of(rules)
        self.first, self.last = find_span(market, parts, env.window, is_drawn=generator is not None)
        self.num_envs, self.generator, self.device = num_envs, generator, market.prices.device
        self._joint = JointMarket.build(market, self.rules)
        self.costs = None if generator is None else CostFactors.of(env, num_envs, generator)
        self._rules = self.costs.largest(self.rules.account) if self.costs else self.rules.account
        self._meter = RewardMeter(reward, num_envs, market.num_instruments, self.device)
        num = market.num_instruments
        self.history = AccountHistory(num_envs, num, self.device) if env.portfolio == "full" else None
        self._seen: tuple[State, JointView] | None = None
        self._starts = None
        if generator is not None:
            has_bar_NT = market.tradable.reshape(market.num_instruments, market.num_bars)
            clock = replace(market, tradable=has_bar_NT.any(dim=0), num_instruments=1)
            self._starts = find_starts(clock, parts, env.window, env.episode_bars)
        self.reset()

    def reset(self) -> None:
        """Start every account anew."""
        if self.costs is not None:
            self.costs.reset()
        self._set(*self._fresh())
        self._meter.reset()
        if self.history is not None:
            self.history.reset()

    def restart(self, done_B: Tensor) -> None:
        """Start the accounts of ``done_B`` anew and leave the others as they are."""
        if not bool(done_B.any()):
            return
        if self.costs is not None:
            self.costs.restart(done_B.nonzero()[:, 0])
        account, tensors = self._fresh()
        kept = self._tensors()

        def pick(name: str) -> Tensor:
            old = kept[name]
            return torch.where(done_B.reshape(-1, *(1,) * (old.ndim - 1)), tensors[name], old)

        self._set(choose(torch, done_B, account, self.account), {name: pick(name) for name in kept})
        self._meter.restart(done_B)
        if self.history is not None:
            self.history.restart(done_B)

    def _fresh(self) -> tuple[State, dict[str, Tensor]]:
        """Return accounts at the start of an episode, and everything else about them by name."""
        bar_B, end_B = self._draw()
        account = initial_state(
            torch,
            self.rules.account,
            self.num_envs,
            self.market.num_instruments,
            mark_N=self._joint.bars["close_BN"][bar_B],
            has_stops=bool(self._joint.distances),
            has_entries=True,
            device=self.device,
        )
        equity_B = torch.full_like(account.cash_B, self.rules.initial_cash)
        tensors = {"bar_B": bar_B, "end_B": end_B, "equity_B": equity_B, "peak_B": equity_B}
        nothing = torch.full((self.num_envs, self.rules.delay_bars, self.market.num_instruments), torch.nan)
        waiting = ("weights_BN", *self._joint.distances) if self.rules.delay_bars else ()
        return account, tensors | {f"{PENDING}{name}": nothing.to(account.cash_B) for name in waiting}

    def _set(self, account: State, tensors: dict[str, Tensor]) -> None:
        self.account = account
        self.bar_B, self.end_B = tensors["bar_B"], tensors["end_B"]
        self.equity_B, self.peak_B = tensors["equity_B"], tensors["peak_B"]
        self.pending = {name.removeprefix(PENDING): x for name, x in tensors.items() if name.startswith(PENDING)}

    def _tensors(self) -> dict[str, Tensor]:
        """Return everything about the accounts but their ``State``, by name."""
        named = {name: getattr(self, name) for name in ("bar_B", "end_B", "equity_B", "peak_B")}
        return named | {f"{PENDING}{name}": value for name, value in self.pending.items()}

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Return starting bars and last bars, int64 ``[B]``."""
        if self._starts is None or self.generator is None:
            first_B = torch.full((self.num_envs,), self.first, device=self.device)
            return first_B, torch.full_like(first_B, self.last)
        return self._starts.draw(self.num_envs, self.generator)

    def view(self) -> JointView:
        """Return what the action map may look at, computed once for each state of the accounts."""
        account, equity_B1 = self.account, self.equity_B[:, None]
        if self._seen is None or self._seen[0] is not account:
            value_BN = account.shares_BN * account.mark_BN * self._joint.contract.get("multiplier_N", 1.0)
            blocked_BN = torch.zeros_like(value_BN) if account.blocked_BN is None else account.blocked_BN
            self._seen = account, JointView(value_BN / equity_B1, account.cash_B / self.equity_B, blocked_BN)
        return self._seen[1]

    def portfolio_BP(self, view: JointView) -> Tensor:
        """Return the portfolio features ``[B, P]``, float32, named by ``joint_portfolio``; 0 for ended accounts."""
        gain_BN = unrealised(self.account, self._joint.contract.get("multiplier_N", 1.0))
        columns = [
            view.weight_BN,
            gain_BN / self.equity_B[:, None],
            view.blocked_BN,
            view.cash_fraction_B[:, None],
            1.0 - (self.equity_B / self.peak_B)[:, None],
            torch.log(self.equity_B / self.rules.initial_cash)[:, None],
        ]
        if self.history is not None:
            realised_B = (self.equity_B - gain_BN.sum(-1)) / self.rules.initial_cash - 1.0
            columns += [column_B[:, None] for column_B in (realised_B, *self.history.columns())]
        return torch.where(self.account.ended_B[:, None], 0.0, torch.cat(columns, dim=-1)).to(torch.float32)

    def observe(self) -> dict[str, Tensor]:
        """Return ``portfolio`` ``[B, P]`` and either ``index`` ``[B]``, the bar, or ``window`` ``[B, W, N*F]``."""
        portfolio_BP = self.portfolio_BP(self.view())
        if self.env.observation == "index":
            return {"index": self.bar_B, "portfolio": portfolio_BP}
        window_BWF = gather_window(self.market.joint_features, self.bar_B, self.env.window)
        return {"window": window_BWF, "portfolio": portfolio_BP}

    def step(self, action: Tensor) -> Transition:
        """Act at the current close, fill at the next open, mark at the next close; action components ``[B, N]``."""
        return self.step_weights(self.env.target_weights(action, self.view()))

    def step_weights(self, weights: Tensor) -> Transition:
        """Like ``step`` for target weights ``[B, N]`` (NaN: no order)."""
        due: dict[str, Any] = self._due(weights)
        contract: dict[str, Any] = dict(self._joint.contract)
        self.bar_B = self.bar_B + 1
        bar, terms = self._joint.bar(self.bar_B), None
        if self.costs is not None:
            terms = self.costs.terms(self.rules.account, is_column=True)
            self.costs.count()
            if bar.impact_BN is not None:
                bar = bar._replace(impact_BN=bar.impact_BN * self.costs.factor_B[:, None])
            if bar.pool_BN is not None:
                bar = bar._replace(pool_BN=bar.pool_BN * self.costs.factor_B[:, None])
        before, before_B = self.account, self.equity_B
        self.account, outcome = step(
            torch,
            before,
            due.pop("weights_BN"),
            bar,
            self._rules,
            detail=self._meter.has_detail or self.history is not None,
            terms=terms,
            **due,
            **contract,
        )
        self.equity_B = outcome.equity_B
        self.peak_B = torch.maximum(self.peak_B, self.equity_B)
        moved = Moved(before, self.account, outcome, bar, before_B, self.peak_B, contract.get("multiplier_N"))
        if self.history is not None:
            self.history.add(moved)
        terminated_B = self.account.ended_B
        return Transition(self._meter.pay(moved), terminated_B, (self.bar_B >= self.end_B) & ~terminated_B)

    def drain_terms(self) -> dict[str, float]:
        """Return the mean of every reward term per step since the last call."""
        return self._meter.drain_terms()

    def _due(self, weight_BN: Tensor) -> dict[str, Tensor]:
        """Queue what is decided at this close; return what reaches the market at the next open, ``[B, N]`` by name."""
        decided = {"weights_BN": weight_BN, **{name: x[self.bar_B] for name, x in self._joint.distances.items()}}
        if not self.pending:
            return decided
        queue = {name: torch.cat((x_BDN, decided[name][:, None]), dim=1) for name, x_BDN in self.pending.items()}
        self.pending = {name: x_BDN[:, 1:] for name, x_BDN in queue.items()}
        return {name: x_BDN[:, 0] for name, x_BDN in queue.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return everything a bit-exact continuation needs, as tensors in plain dictionaries."""
        account = {name: value for name, value in self.account._asdict().items() if value is not None}
        state: dict[str, Any] = {"account": account, "tensors": self._tensors(), "rewards": self._meter.state_dict()}
        if self.history is not None:
            state["history"] = self.history.state_dict()
        if self.costs is not None:
            state["costs"] = self.costs.state_dict()
        if self.generator is not None:
            state["generator"] = self.generator.get_state()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        account = {name: value.to(self.device) for name, value in state["account"].items()}
        self._set(State(**account), {name: value.to(self.device) for name, value in state["tensors"].items()})
        self._meter.load_state_dict(state["rewards"])
        if self.history is not None:
            self.history.load_state_dict(state["history"])
        if self.costs is not None:
            self.costs.load_state_dict(state["costs"])
        if self.generator is not None:
            self.generator.set_state(state["generator"].cpu())
