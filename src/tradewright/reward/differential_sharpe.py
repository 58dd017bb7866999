"""``reward=differential_sharpe``: the marginal contribution of a bar to an exponential Sharpe ratio.

The formula stands at ``risk.SharpeTerm``.
Source: Moody and Saffell, "Learning to trade via direct reinforcement", IEEE TNN 12(4), 2001, eq. 14.
"""

from tradewright.reward.risk import SharpeTerm
from tradewright.reward.term import SumOfTerms


class DifferentialSharpe(SumOfTerms):
    """Differential Sharpe ratio.

    Args:
        scale: Factor on the reward.
        bankrupt_reward: Reward of the bar in which the account ends, <= 0.
        adaptation_rate: η in (0, 1): weight of the newest bar; 1/η is the memory in bars.
        initial_volatility: Standard deviation of a bar's return assumed before the first one, > 0.
        floor: Least standard deviation as a fraction of ``initial_volatility``, added in quadrature, >= 0; with 0 an
            account whose returns stay equal for long, such as one without a position, earns rewards without bound.

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
        floor: float = 0.1,
    ) -> None:
        term = SharpeTerm(adaptation_rate=adaptation_rate, initial_volatility=initial_volatility, floor=floor)
        super().__init__(scale=scale, bankrupt_reward=bankrupt_reward, terms={"sharpe": (term, 1.0)})
