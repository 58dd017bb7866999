"""``reward=trading_bot``: growth shaped by the Sharpe ratio, a drawdown penalty and a bonus for consistency.

r_t = scale · (ln(E_t / E_{t-1}) + sharpe_weight · D_t - drawdown_penalty · increase of the drawdown
      + consistency_bonus · max(c_t, 0)), with the terms of ``growth`` and ``risk``.
"""

from tradewright.reward.growth import LogReturnTerm
from tradewright.reward.risk import ConsistencyTerm, DrawdownTerm, SharpeTerm
from tradewright.reward.term import SumOfTerms, require_not_negative


class TradingBot(SumOfTerms):
    """Log return with Sharpe shaping, drawdown penalty and consistency bonus.

    Args:
        scale: Factor on the reward.
        bankrupt_reward: Reward of the bar in which the account ends, <= 0.
        sharpe_weight: Weight of the differential Sharpe ratio, >= 0. The ratio is of the size of a bar's return in
            standard deviations, about a hundred times a log return of daily bars.
        drawdown_penalty: Weight of the increase of the drawdown, >= 0.
        consistency_bonus: Weight of the balance of winning and losing bars, which lies in [0, 1], >= 0.
        adaptation_rate: η in (0, 1) of the Sharpe ratio and of the balance; 1/η is their memory in bars.
        initial_volatility: Standard deviation of a bar's return assumed before the first one, > 0.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        scale: float = 100.0,
        bankrupt_reward: float = -100.0,
        sharpe_weight: float = 0.001,
        drawdown_penalty: float = 0.05,
        consistency_bonus: float = 0.001,
        adaptation_rate: float = 0.01,
        initial_volatility: float = 0.01,
    ) -> None:
        require_not_negative(
            sharpe_weight=sharpe_weight, drawdown_penalty=drawdown_penalty, consistency_bonus=consistency_bonus
        )
        sharpe = SharpeTerm(adaptation_rate=adaptation_rate, initial_volatility=initial_volatility)
        terms = {
            "log_return": (LogReturnTerm(), 1.0),
            "sharpe": (sharpe, sharpe_weight),
            "drawdown": (DrawdownTerm(), drawdown_penalty),
            "consistency": (ConsistencyTerm(adaptation_rate=adaptation_rate), consistency_bonus),
        }
        super().__init__(scale=scale, bankrupt_reward=bankrupt_reward, terms=terms)
