"""Terms of growth and of what growth is made of: log return, benchmark, P&L split, costs, turnover.

Legend: B accounts; E equity; t the bar; C the equity at the start of the episode.
"""

from typing import ClassVar

import torch
from torch import Tensor

from tradewright.reward.reward import BarChange, RewardState
from tradewright.reward.term import Term, zeros


class LogReturnTerm(Term):
    """``ln(E_t / E_{t-1})``; the sum over an episode is the log growth of the account."""

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return the log return."""
        return torch.log(change.after_B / change.before_B), state


class BenchmarkTerm(Term):
    """``-ln(1 + b_t)`` with the benchmark's return b: beside ``log_return``, what holding the instrument earned."""

    needs: ClassVar[frozenset[str]] = frozenset({"benchmark_return_B"})

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return the negative log return of the benchmark."""
        return -torch.log1p(change.need("benchmark_return_B")), state


class TurnoverTerm(Term):
    """Minus the traded notional as a fraction of equity; on top of the costs that equity has paid already."""

    needs: ClassVar[frozenset[str]] = frozenset({"turnover_B"})

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return the negative turnover."""
        return -change.need("turnover_B"), state


class CapitalTerm(Term):
    """Base of the terms that are money over the capital with which the episode started."""

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return a capital of 0: not known before the first bar."""
        return zeros(num_accounts, device, "capital")

    @staticmethod
    def capital(state: RewardState, change: BarChange) -> Tensor:
        """Return C: the equity before the first bar of the episode."""
        return torch.where(state["capital"] == 0, change.before_B, state["capital"])


class RealisedTerm(CapitalTerm):
    """Money won on what was closed in the bar, at fill prices, over C."""

    needs: ClassVar[frozenset[str]] = frozenset({"realised_B"})

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return the realised P&L."""
        capital_B = self.capital(state, change)
        return change.need("realised_B") / capital_B, {"capital": capital_B}


class UnrealisedTerm(CapitalTerm):
    """Change of the money won on open positions, over C; it falls by what a closed position realises."""

    needs: ClassVar[frozenset[str]] = frozenset({"unrealised_B"})

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return no capital and no open profit: episodes start flat."""
        return zeros(num_accounts, device, "capital", "unrealised")

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return the change of unrealised P&L."""
        capital_B, unrealised_B = self.capital(state, change), change.need("unrealised_B")
        change_B = (unrealised_B - state["unrealised"]) / capital_B
        return change_B, {"capital": capital_B, "unrealised": unrealised_B}


class CostTerm(CapitalTerm):
    """Minus the costs that fill prices do not contain (fees and carry), over C."""

    needs: ClassVar[frozenset[str]] = frozenset({"cost_B", "slippage_B"})

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return the negative costs."""
        capital_B = self.capital(state, change)
        return (change.need("slippage_B") - change.need("cost_B")) / capital_B, {"capital": capital_B}
