"""``BarChanges``: turns what the bar step did to the accounts into the ``BarChange`` that a reward reads.

Only what the reward needs is computed; fills are asked of the step only where they are needed. Trades are followed
from flat to flat across bars, with the definitions of ``market.tally`` and of the journal.
Legend: B accounts, N instruments.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from tradewright.market.account import Bar, Fills, Outcome, State, unrealised
from tradewright.market.tally import settle_trades
from tradewright.reward.reward import NEEDS, BarChange

COSTS = frozenset({"cost_B", "slippage_B"})
PROFITS = frozenset({"realised_B", "unrealised_B"})
TRADES = frozenset({"closed_B", "won_B", "num_closed_B", "num_won_B"})
FROM_FILLS = COSTS | TRADES | {"turnover_B", "realised_B"}


class Moved(NamedTuple):
    """One step of the accounting.

    Args:
        before, after: The accounts around it, with tracked entries where P&L is needed.
        outcome: What happened; with details where ``BarChanges.has_detail``.
        bar: The bar.
        before_B: Equity at the previous close.
        peak_B: Highest equity of the episode, this close included.
        multiplier_BN: Money per price unit and contract, ``[B, N]`` or ``[N]``; None: 1.
        can_end: False only where it is known that no account has ended.
    """

    before: State
    after: State
    outcome: Outcome
    bar: Bar
    before_B: Tensor
    peak_B: Tensor
    multiplier_BN: Tensor | None = None
    can_end: bool = True


class BarChanges:
    """Keeps the open trades of B accounts and describes each bar.

    Args:
        needs: Fields of ``BarChange`` that the reward reads.
        num_accounts: B.
        num_instruments: N.
        device: Where the accounts live.

    Raises:
        ValueError: A need is unknown.
    """

    def __init__(self, needs: frozenset[str], num_accounts: int, num_instruments: int, device: torch.device) -> None:
        unknown = sorted(needs - NEEDS)
        if unknown:
            raise ValueError(f"needs must be of {', '.join(sorted(NEEDS))}, was {unknown[0]!r}")
        self.needs = needs
        self.has_detail = bool(needs & FROM_FILLS)
        """Whether the step must tell fills."""
        self._has_trades = bool(needs & TRADES)
        self._shape = (num_accounts, num_instruments if self._has_trades else 0)
        self._device = device
        self.reset()

    def reset(self) -> None:
        """Forget the open trades of all accounts."""
        self.flow_BN = torch.zeros(self._shape, dtype=torch.float64, device=self._device)
        """Money that each open trade has brought so far (negative: cost), fees and carry included."""

    def restart(self, done_B: Tensor) -> None:
        """Forget the open trades of the accounts of ``done_B``."""
        self.flow_BN = torch.where(done_B[:, None], 0.0, self.flow_BN)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a bit-exact continuation needs."""
        return {"flow_BN": self.flow_BN}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a saved state."""
        self.flow_BN = state["flow_BN"].to(self._device)

    def add(self, moved: Moved) -> BarChange:
        """Describe the bar; to be called once per step, in order."""
        outcome = moved.outcome
        found: dict[str, Tensor] = {}
        if self.needs:
            phases = [
                fills
                for fills in (outcome.leave, outcome.join, outcome.open, outcome.entry, outcome.stop, outcome.close)
                if fills is not None
            ]
            if self.needs & (COSTS | {"realised_B"}):
                found.update(_costs(moved, phases))
            if "turnover_B" in self.needs:
                found["turnover_B"] = _turnover(moved, phases)
            if self.needs & PROFITS:
                found.update(_profits(moved, phases, found))
            if self._has_trades:
                found.update(self._trades(moved, phases))
            if "benchmark_return_B" in self.needs:
                found["benchmark_return_B"] = _benchmark(moved)
        asked: dict[str, Any] = {name: value_B for name, value_B in found.items() if name in self.needs}
        asked["can_end"] = moved.can_end
        return BarChange(moved.before_B, outcome.equity_B, moved.peak_B, moved.after.ended_B, **asked)

    def _trades(self, moved: Moved, phases: list[Fills]) -> dict[str, Tensor]:
        """Book fills and carry into the open trades; return what those that ended brought."""
        carry_BN = moved.outcome.carry_BN
        flow_BN = self.flow_BN if carry_BN is None else self.flow_BN - carry_BN
        totals = dict.fromkeys(("closed_B", "won_B", "num_closed_B", "num_won_B"), torch.zeros_like(moved.before_B))
        for fills in phases:
            flow_BN, is_over_BN, profit_BN = settle_trades(torch, flow_BN, fills, moved.multiplier_BN)
            gain_BN = torch.where(is_over_BN, profit_BN, 0.0)
            for name, x_BN in (
                ("closed_B", gain_BN),
                ("won_B", torch.relu(gain_BN)),
                ("num_closed_B", is_over_BN),
                ("num_won_B", gain_BN > 0),
            ):
                totals[name] = totals[name] + x_BN.sum(-1)
        self.flow_BN = flow_BN
        return totals


def _costs(moved: Moved, phases: list[Fills]) -> dict[str, Tensor]:
    """Return all costs of the bar, and the part that fill prices contain."""
    outcome, zero_B = moved.outcome, torch.zeros_like(moved.before_B)
    carry_B = zero_B + (outcome.borrow_B + outcome.funding_B - outcome.dividend_B - outcome.interest_B)
    fee_B = sum((fills.fee_BN.sum(-1) for fills in phases), zero_B)
    slippage_B = sum((fills.slippage_BN.sum(-1) for fills in phases), zero_B)
    return {"cost_B": fee_B + slippage_B + carry_B, "slippage_B": slippage_B}


def _turnover(moved: Moved, phases: list[Fills]) -> Tensor:
    """Return the traded notional over the equity before."""
    total_B = torch.zeros_like(moved.before_B)
    for fills in phases:
        traded_BN = torch.where(fills.quantity_BN != 0, torch.abs(fills.quantity_BN) * fills.price_BN, 0.0)
        total_B = total_B + _money(traded_BN, moved.multiplier_BN).sum(-1)
    return total_B / moved.before_B


def _profits(moved: Moved, phases: list[Fills], costs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return realised and unrealised P&L.

    What equity gained beyond open positions, before fees and carry, was realised: equity is cash and positions at the
    mark, so this equals closed quantities times (fill price - average entry), which a test adds up fill by fill.
    """
    multiplier: Tensor | float = 1.0 if moved.multiplier_BN is None else moved.multiplier_BN
    open_B = unrealised(moved.after, multiplier).sum(-1)
    if not costs:
        return {"unrealised_B": open_B}
    change_B = open_B - unrealised(moved.before, multiplier).sum(-1)
    unpriced_B = costs["cost_B"] - costs["slippage_B"]
    realised_B = moved.outcome.equity_B - moved.before_B - change_B + unpriced_B
    is_closing_B = torch.zeros_like(moved.after.ended_B)
    for fills in phases:
        held_BN = fills.shares_BN - fills.quantity_BN
        is_closing_B = is_closing_B | (fills.quantity_BN * held_BN < 0).any(-1)
    return {"realised_B": torch.where(is_closing_B, realised_B, 0.0), "unrealised_B": open_B}


def _benchmark(moved: Moved) -> Tensor:
    """Return the mean return of holding each instrument that had a price."""
    bar, before_BN = moved.bar, moved.before.mark_BN
    ratio: Tensor | float = 1.0 if bar.split_BN is None else bar.split_BN
    worth_BN = moved.after.mark_BN * ratio
    if bar.roll_from_BN is not None:
        assert bar.roll_to_BN is not None
        shift_BN = bar.roll_to_BN - bar.roll_from_BN
        worth_BN = worth_BN - torch.where(torch.isnan(shift_BN), 0.0, shift_BN) * ratio
    if bar.dividend_BN is not None:
        worth_BN = worth_BN + bar.dividend_BN
    has_price_BN = before_BN > 0
    return_BN = torch.where(has_price_BN, worth_BN / torch.where(has_price_BN, before_BN, 1.0) - 1.0, 0.0)
    return return_BN.sum(-1) / has_price_BN.sum(-1).clamp(min=1)


def _money(x_BN: Tensor, multiplier_BN: Tensor | None) -> Tensor:
    return x_BN if multiplier_BN is None else x_BN * multiplier_BN
