"""Terms of trade quality: winning streak, win rate, average win against average loss.

A trade runs from flat to flat; it is won if its net P&L after all fees is above 0. The terms are paid in the bars in
which a trade closes and are 0 in all others, so that holding on earns nothing by itself. Counts are those of the
episode. Where several trades close in one bar their order is unknown: one that is not won ends the streak.
Legend: B accounts.
"""

from typing import ClassVar

import torch
from torch import Tensor

from tradewright.reward.reward import BarChange, RewardState
from tradewright.reward.term import Term, zeros

COUNTS = frozenset({"num_closed_B", "num_won_B"})
EVEN = 0.5
"""The win rate that is neither good nor bad."""


class WinningStreakTerm(Term):
    """Trades won in a row, paid with each of them: 1, 2, 3, … up to ``longest``; then ``longest`` again.

    Args:
        longest: Where the streak stops growing, >= 1.

    Raises:
        ValueError: The argument is out of range.
    """

    needs: ClassVar[frozenset[str]] = COUNTS

    def __init__(self, *, longest: int = 5) -> None:
        if longest < 1:
            raise ValueError(f"longest must be >= 1, was {longest}")
        self.longest = longest

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return a streak of 0."""
        return zeros(num_accounts, device, "streak")

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return the length of the streak where a trade was won."""
        closed_B, won_B = change.need("num_closed_B"), change.need("num_won_B")
        streak_B = torch.where(closed_B > won_B, 0.0, (state["streak"] + won_B).clamp(max=self.longest))
        return torch.where(won_B != 0, streak_B, 0.0), {"streak": streak_B}


class WinRateTerm(Term):
    """Share of the episode's closed trades that were won, less one half; undefined without a trade, which counts 0."""

    needs: ClassVar[frozenset[str]] = COUNTS

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return no trades."""
        return zeros(num_accounts, device, "num_closed", "num_won")

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return the win rate above one half where a trade closed."""
        newly_B = change.need("num_closed_B")
        closed_B, won_B = state["num_closed"] + newly_B, state["num_won"] + change.need("num_won_B")
        is_new_B = newly_B != 0
        rate_B = won_B / torch.where(is_new_B, closed_B, 1.0)
        return torch.where(is_new_B, rate_B - EVEN, 0.0), {"num_closed": closed_B, "num_won": won_B}


class WinLossTerm(Term):
    """``(W - L) / (W + L)`` of the episode's average win W and average loss L, both money >= 0; in [-1, 1].

    It is undefined before there was one of each, which counts 0. A trade with a net P&L of exactly 0 is a loss of 0.
    """

    needs: ClassVar[frozenset[str]] = COUNTS | {"closed_B", "won_B"}

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return no trades."""
        return zeros(num_accounts, device, "num_won", "num_lost", "won", "lost")

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return the balance of average win and average loss where a trade closed."""
        newly_B, newly_won_B, money_won_B = (change.need(name) for name in ("num_closed_B", "num_won_B", "won_B"))
        after = {
            "num_won": state["num_won"] + newly_won_B,
            "num_lost": state["num_lost"] + (newly_B - newly_won_B),
            "won": state["won"] + money_won_B,
            "lost": state["lost"] + (money_won_B - change.need("closed_B")),
        }
        is_paid_B = (newly_B != 0) & (after["num_won"] > 0) & (after["num_lost"] > 0)
        win_B, loss_B = (
            after[money] / torch.where(is_paid_B, after[num], 1.0)
            for money, num in (("won", "num_won"), ("lost", "num_lost"))
        )
        balance_B = (win_B - loss_B) / torch.where(is_paid_B, win_B + loss_B, 1.0)
        return torch.where(is_paid_B, balance_B, 0.0), after
