"""``reward=drawdown``: growth, less a penalty on the loss from the episode's highest equity.

r_t = scale · (ln(E_t / E_{t-1}) - penalty · m_t) with the increase of the drawdown or its level as m_t
(``risk.DrawdownTerm``).
"""

from tradewright.reward.growth import LogReturnTerm
from tradewright.reward.risk import DrawdownTerm
from tradewright.reward.term import SumOfTerms, require_not_negative


class Drawdown(SumOfTerms):
    """Log return with a drawdown penalty.

    Args:
        scale: Factor on the reward.
        bankrupt_reward: Reward of the bar in which the account ends, <= 0.
        penalty: Weight of the drawdown, >= 0. The increases of a year add up to many times its deepest drawdown, so
            a weight near 1 teaches not to trade at all.
        measure: ``increase`` or ``level`` of the drawdown.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        scale: float = 100.0,
        bankrupt_reward: float = -100.0,
        penalty: float = 0.05,
        measure: str = "increase",
    ) -> None:
        require_not_negative(penalty=penalty)
        terms = {"log_return": (LogReturnTerm(), 1.0), "drawdown": (DrawdownTerm(measure=measure), penalty)}
        super().__init__(scale=scale, bankrupt_reward=bankrupt_reward, terms=terms)
