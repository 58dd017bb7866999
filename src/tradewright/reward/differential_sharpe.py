"""``reward=differential_sharpe``: the marginal contribution of a bar to an exponential Sharpe ratio.

With A_t = A_{t-1} + η ΔA, ΔA = R_t - A_{t-1} and B_t = B_{t-1} + η ΔB, ΔB = R_t² - B_{t-1}:
D_t = (B_{t-1} ΔA - ½ A_{t-1} ΔB) / (B_{t-1} - A_{t-1}²)^{3/2}.
Source: Moody and Saffell, "Learning to trade via direct reinforcement", IEEE TNN 12(4), 2001, eq. 14.
"""

import torch

from tradewright.reward.reward import BarChange, Rewarded, RewardState, check_terms


class DifferentialSharpe:
    """Differential Sharpe ratio.

    The moments start at A = 0 and B = ``initial_volatility``², which makes D defined from the first bar and keeps a
    quiet first bar from dividing by nearly nothing. The variance B - A² cannot become 0: it is a weighted mean of
    ``initial_volatility``² and squared deviations with positive weight on the first.

    Args:
        scale: Factor on the reward.
        bankrupt_reward: Reward of the bar in which the account ends, <= 0.
        adaptation_rate: η in (0, 1): weight of the newest bar; 1/η is the memory in bars.
        initial_volatility: Standard deviation of a bar's return assumed before the first one, > 0.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        scale: float = 1.0,
        bankrupt_reward: float = -100.0,
        adaptation_rate: float = 0.01,
        initial_volatility: float = 0.01,
    ) -> None:
        check_terms(scale=scale, bankrupt_reward=bankrupt_reward)
        if not 0 < adaptation_rate < 1:
            raise ValueError(f"adaptation_rate must be in (0, 1), was {adaptation_rate}")
        if not initial_volatility > 0:
            raise ValueError(f"initial_volatility must be > 0, was {initial_volatility}")
        self.scale = scale
        self.bankrupt_reward = bankrupt_reward
        self.adaptation_rate = adaptation_rate
        self.initial_volatility = initial_volatility

    def initial(self, num_accounts: int, device: torch.device) -> RewardState:
        """Return the first and second moment before the first bar."""
        zeros_B = torch.zeros(num_accounts, dtype=torch.float64, device=device)
        return {"first_moment": zeros_B, "second_moment": zeros_B + self.initial_volatility**2}

    def __call__(self, state: RewardState, change: BarChange) -> Rewarded:
        """Return D_t ``[B]`` and the moved moments."""
        first_B, second_B, return_B = state["first_moment"], state["second_moment"], change.return_B
        first_change_B = return_B - first_B
        second_change_B = return_B * return_B - second_B
        variance_B = second_B - first_B * first_B
        reward_B = (second_B * first_change_B - 0.5 * first_B * second_change_B) / (variance_B * torch.sqrt(variance_B))
        next_state = {
            "first_moment": first_B + self.adaptation_rate * first_change_B,
            "second_moment": second_B + self.adaptation_rate * second_change_B,
        }
        return Rewarded(torch.where(change.ended_B, self.bankrupt_reward, self.scale * reward_B), next_state, {})
