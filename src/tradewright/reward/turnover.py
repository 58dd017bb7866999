"""``reward=turnover``: growth, less a penalty on trading.

r_t = scale · (ln(E_t / E_{t-1}) - penalty · traded notional / E_{t-1}).
"""

from tradewright.reward.growth import LogReturnTerm, TurnoverTerm
from tradewright.reward.term import SumOfTerms, require_not_negative


class Turnover(SumOfTerms):
    """Log return with a turnover penalty, on top of the costs that equity pays.

    Args:
        scale: Factor on the reward.
        bankrupt_reward: Reward of the bar in which the account ends, <= 0.
        penalty: What trading once the equity costs, fraction of equity, >= 0: 0.001 is 10 basis points.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self, *, scale: float = 100.0, bankrupt_reward: float = -100.0, penalty: float = 0.001) -> None:
        require_not_negative(penalty=penalty)
        terms = {"log_return": (LogReturnTerm(), 1.0), "turnover": (TurnoverTerm(), penalty)}
        super().__init__(scale=scale, bankrupt_reward=bankrupt_reward, terms=terms)
