"""``reward=futures``: (P&L - costs) / capital - penalty · drawdown + bonus · winning streak, and quality of trades.

P&L is split into what was realised and the change of what is open, both at fill prices, so that slippage is in them;
costs are fees and carry. With weights of 1 the three add up to the change of equity over the capital at the start of
the episode. The terms stand in ``growth``, ``risk`` and ``trades``; a weight of 0 leaves one out.
"""

from tradewright.reward.growth import CostTerm, RealisedTerm, UnrealisedTerm
from tradewright.reward.risk import DrawdownTerm, MaxDrawdownTerm, SharpeTerm
from tradewright.reward.term import SumOfTerms, require_not_negative
from tradewright.reward.trades import WinLossTerm, WinningStreakTerm, WinRateTerm


class Futures(SumOfTerms):
    """Money per capital with penalties and bonuses, as futures strategies use it.

    Args:
        scale: Factor on the reward.
        bankrupt_reward: Reward of the bar in which the account ends, <= 0.
        realised_weight: Weight of the P&L of what was closed in the bar, >= 0.
        unrealised_weight: Weight of the change of open P&L, >= 0. Below ``realised_weight`` the agent is drawn to take
            profits, and to let losses run: closing a trade then pays the difference on its whole P&L.
        cost_weight: Weight of fees and carry, >= 0.
        drawdown_penalty: Weight of the level of the drawdown, paid in every bar until the peak is reached anew, >= 0.
        max_drawdown_penalty: Weight of what the episode's deepest drawdown grows by, >= 0.
        streak_bonus: Weight of the winning streak, paid when a trade is won, >= 0.
        longest_streak: Trades won in a row beyond which the bonus stops growing, >= 1.
        sharpe_weight: Weight of the differential Sharpe ratio, >= 0.
        win_rate_weight: Weight of the win rate above one half, paid when a trade closes, >= 0.
        win_loss_weight: Weight of average win against average loss, in [-1, 1], paid when a trade closes, >= 0.
        adaptation_rate: η in (0, 1) of the Sharpe ratio; 1/η is its memory in bars.
        initial_volatility: Standard deviation of a bar's return assumed before the first one, > 0.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        scale: float = 100.0,
        bankrupt_reward: float = -100.0,
        realised_weight: float = 1.0,
        unrealised_weight: float = 1.0,
        cost_weight: float = 1.0,
        drawdown_penalty: float = 0.001,
        max_drawdown_penalty: float = 0.1,
        streak_bonus: float = 0.0005,
        longest_streak: int = 5,
        sharpe_weight: float = 0.001,
        win_rate_weight: float = 0.001,
        win_loss_weight: float = 0.001,
        adaptation_rate: float = 0.01,
        initial_volatility: float = 0.01,
    ) -> None:
        require_not_negative(
            realised_weight=realised_weight,
            unrealised_weight=unrealised_weight,
            cost_weight=cost_weight,
            drawdown_penalty=drawdown_penalty,
            max_drawdown_penalty=max_drawdown_penalty,
            streak_bonus=streak_bonus,
            sharpe_weight=sharpe_weight,
            win_rate_weight=win_rate_weight,
            win_loss_weight=win_loss_weight,
        )
        sharpe = SharpeTerm(adaptation_rate=adaptation_rate, initial_volatility=initial_volatility)
        terms = {
            "realised": (RealisedTerm(), realised_weight),
            "unrealised": (UnrealisedTerm(), unrealised_weight),
            "cost": (CostTerm(), cost_weight),
            "drawdown": (DrawdownTerm(measure="level"), drawdown_penalty),
            "max_drawdown": (MaxDrawdownTerm(), max_drawdown_penalty),
            "winning_streak": (WinningStreakTerm(longest=longest_streak), streak_bonus),
            "sharpe": (sharpe, sharpe_weight),
            "win_rate": (WinRateTerm(), win_rate_weight),
            "win_loss": (WinLossTerm(), win_loss_weight),
        }
        super().__init__(scale=scale, bankrupt_reward=bankrupt_reward, terms=terms)
