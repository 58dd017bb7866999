"""Terms of risk: drawdowns, differential Sharpe and Sortino ratios, consistency.

Moments are exponential means with adaptation rate η; 1/η is their memory in bars. R is the simple return of a bar.
Source: Moody and Saffell, "Learning to trade via direct reinforcement", IEEE TNN 12(4), 2001, section II.
Legend: B accounts; t the bar.
"""

import torch
from torch import Tensor

from tradewright.reward.reward import BarChange, RewardState
from tradewright.reward.term import Term, require_not_negative, require_positive, require_rate, zeros

MEASURES = ("increase", "level")


class DrawdownTerm(Term):
    """Minus the drawdown d_t = 1 - equity / peak.

    Args:
        measure: ``increase``: ``-max(d_t - d_{t-1}, 0)``, paid once for every loss from the peak; ``level``: ``-d_t``,
            paid again in every bar until the peak is reached anew, so that it also punishes slow recovery.

    Raises:
        ValueError: The measure is unknown.
    """

    def __init__(self, *, measure: str = "increase") -> None:
        if measure not in MEASURES:
            raise ValueError(f"measure must be one of {', '.join(MEASURES)}, was {measure!r}")
        self.measure = measure

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return a drawdown of 0."""
        return zeros(num_accounts, device, "drawdown")

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return the negative drawdown, or its negative increase."""
        drawdown_B = change.drawdown_B
        if self.measure == "level":
            return -drawdown_B, {"drawdown": drawdown_B}
        return -torch.relu(drawdown_B - state["drawdown"]), {"drawdown": drawdown_B}


class MaxDrawdownTerm(Term):
    """``-max(d_t - max(d_1 … d_{t-1}), 0)``: their sum over an episode is minus its deepest drawdown."""

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return a deepest drawdown of 0."""
        return zeros(num_accounts, device, "deepest")

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return minus what the deepest drawdown grew by."""
        deepest_B = torch.maximum(state["deepest"], change.drawdown_B)
        return state["deepest"] - deepest_B, {"deepest": deepest_B}


class SharpeTerm(Term):
    """Differential Sharpe ratio: the derivative of A / sqrt(V + f²) in η, V = B - A².

    With ΔA = R_t - A_{t-1} and ΔB = R_t² - B_{t-1}, A_t = A_{t-1} + η ΔA and B_t = B_{t-1} + η ΔB:
    ``D_t = ((B_{t-1} + f²) ΔA - ½ A_{t-1} ΔB) / (V_{t-1} + f²)^{3/2}``; with f = 0 this is eq. 14 of the source.
    V starts at ``initial_volatility``², which makes D defined from the first bar. While returns stay equal, those of an
    account without a position included, V decays to nothing and the next return over it would be a reward of millions:
    f keeps the variance above 0. V is carried instead of B, V_t = (1 - η) (V_{t-1} + η ΔA²), because the difference
    B - A² of nearly equal numbers loses its digits; with it, ``D_t = (V_{t-1} + f²)^{-1/2} ΔA
    - ½ A_{t-1} (ΔA² - V_{t-1}) (V_{t-1} + f²)^{-3/2}``.

    Args:
        adaptation_rate: η in (0, 1): weight of the newest bar.
        initial_volatility: Standard deviation of a bar's return assumed before the first one, > 0.
        floor: f as a fraction of ``initial_volatility``, >= 0.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self, *, adaptation_rate: float = 0.01, initial_volatility: float = 0.01, floor: float = 0.1) -> None:
        require_rate(adaptation_rate=adaptation_rate)
        require_positive(initial_volatility=initial_volatility)
        require_not_negative(floor=floor)
        self.adaptation_rate, self.initial_volatility = adaptation_rate, initial_volatility
        self.floor = floor

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return the mean return and its variance before the first bar."""
        state = zeros(num_accounts, device, "mean", "variance")
        return {**state, "variance": state["variance"] + self.initial_volatility**2}

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return D_t and the moved moments."""
        mean_B, variance_B = state["mean"], state["variance"]
        mean_change_B = change.return_B - mean_B
        square_B = mean_change_B * mean_change_B
        floored_B = variance_B + (self.floor * self.initial_volatility) ** 2
        ratio_B = (mean_change_B - 0.5 * mean_B * (square_B - variance_B) / floored_B) / torch.sqrt(floored_B)
        return ratio_B, {
            "mean": mean_B + self.adaptation_rate * mean_change_B,
            "variance": (1.0 - self.adaptation_rate) * (variance_B + self.adaptation_rate * square_B),
        }


class SortinoTerm(Term):
    """Differential downside-deviation (Sortino) ratio: the derivative of A / sqrt(V) in η, V = D² + f².

    With ΔA = R_t - A_{t-1} and ΔD² = min(R_t, 0)² - D²_{t-1}, moved as the moments of the Sharpe ratio:
    ``D_t = (V_{t-1} ΔA - ½ A_{t-1} ΔD²) / V_{t-1}^{3/2}``; with f = 0 this is the form of the source, which writes
    ``(R_t - ½ A_{t-1}) / DD_{t-1}`` for gains. D² decays as long as nothing is lost, an account without a position
    included, and the next return over nearly nothing would be a reward of millions: f keeps V above 0.

    Args:
        adaptation_rate: η in (0, 1): weight of the newest bar.
        initial_volatility: Downside deviation of a bar's return assumed before the first one, > 0.
        floor: f as a fraction of ``initial_volatility``, >= 0.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self, *, adaptation_rate: float = 0.01, initial_volatility: float = 0.01, floor: float = 0.1) -> None:
        require_rate(adaptation_rate=adaptation_rate)
        require_positive(initial_volatility=initial_volatility)
        require_not_negative(floor=floor)
        self.adaptation_rate, self.initial_volatility = adaptation_rate, initial_volatility
        self.floor = floor

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return the mean return and the mean squared loss before the first bar."""
        state = zeros(num_accounts, device, "mean", "downside")
        return {**state, "downside": state["downside"] + self.initial_volatility**2}

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return D_t and the moved moments."""
        mean_B, downside_B, return_B = state["mean"], state["downside"], change.return_B
        loss_B = -torch.relu(-return_B)
        mean_change_B = return_B - mean_B
        downside_change_B = loss_B * loss_B - downside_B
        variance_B = downside_B + (self.floor * self.initial_volatility) ** 2
        ratio_B = (variance_B * mean_change_B - 0.5 * mean_B * downside_change_B) / (
            variance_B * torch.sqrt(variance_B)
        )
        return ratio_B, {
            "mean": mean_B + self.adaptation_rate * mean_change_B,
            "downside": downside_B + self.adaptation_rate * downside_change_B,
        }


class ConsistencyTerm(Term):
    """By how much winning bars outnumber losing ones: ``max(c_t, 0)``, c_t = c_{t-1} + η (sign(R_t) - c_{t-1}).

    c starts at 0 and lies in [-1, 1]; it is a bonus, so a losing account gets none. Bars without a return count as 0.

    Args:
        adaptation_rate: η in (0, 1): weight of the newest bar.

    Raises:
        ValueError: The rate is out of range.
    """

    def __init__(self, *, adaptation_rate: float = 0.01) -> None:
        require_rate(adaptation_rate=adaptation_rate)
        self.adaptation_rate = adaptation_rate

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return a balance of 0."""
        return zeros(num_accounts, device, "balance")

    def __call__(self, state: RewardState, change: BarChange) -> tuple[Tensor, RewardState]:
        """Return the bonus."""
        balance_B = state["balance"] + self.adaptation_rate * (torch.sign(change.return_B) - state["balance"])
        return torch.relu(balance_B), {"balance": balance_B}
