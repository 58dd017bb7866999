"""``reward=differential_sortino``: the marginal contribution of a bar to an exponential Sortino ratio.

Only losses count as risk; the formula stands at ``risk.SortinoTerm``.
Source: Moody and Saffell, "Learning to trade via direct reinforcement", IEEE TNN 12(4), 2001, section II
(differential downside deviation ratio).
"""

from tradewright.reward.risk import SortinoTerm
from tradewright.reward.term import SumOfTerms


class DifferentialSortino(SumOfTerms):
    """Differential downside-deviation ratio.

    Args:
        scale: Factor on the reward.
        bankrupt_reward: Reward of the bar in which the account ends, <= 0.
        adaptation_rate: η in (0, 1): weight of the newest bar; 1/η is the memory in bars.
        initial_volatility: Downside deviation of a bar's return assumed before the first one, > 0.
        floor: Least downside deviation as a fraction of ``initial_volatility``, added in quadrature, >= 0; with 0 an
            account that does not lose for long earns rewards without bound.

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
        term = SortinoTerm(adaptation_rate=adaptation_rate, initial_volatility=initial_volatility, floor=floor)
        super().__init__(scale=scale, bankrupt_reward=bankrupt_reward, terms={"sortino": (term, 1.0)})
