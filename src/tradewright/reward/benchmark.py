"""``reward=benchmark``: growth beyond that of simply holding the instrument.

r_t = scale · (ln(E_t / E_{t-1}) - weight · ln(1 + b_t)), b_t the return of holding the instrument from close to close;
for an account of several instruments their equally weighted mean, rebalanced at every close and free of costs.
"""

from tradewright.reward.growth import BenchmarkTerm, LogReturnTerm
from tradewright.reward.term import SumOfTerms, require_not_negative


class Benchmark(SumOfTerms):
    """Log return relative to the benchmark.

    Args:
        scale: Factor on the reward.
        bankrupt_reward: Reward of the bar in which the account ends, <= 0.
        weight: Weight of the benchmark's log return, >= 0; 1 is the plain difference.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self, *, scale: float = 100.0, bankrupt_reward: float = -100.0, weight: float = 1.0) -> None:
        require_not_negative(weight=weight)
        terms = {"log_return": (LogReturnTerm(), 1.0), "benchmark": (BenchmarkTerm(), weight)}
        super().__init__(scale=scale, bankrupt_reward=bankrupt_reward, terms=terms)
