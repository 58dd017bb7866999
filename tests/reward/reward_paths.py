"""Random courses of accounts, as a reward is told of them.

Legend: T bars, B accounts.
"""

from collections.abc import Iterator

import numpy as np
import torch

from tradewright.reward.reward import BarChange
from tradewright.reward.term import Term

CPU = torch.device("cpu")
Course = dict[str, np.ndarray]


def random_course(seed: int, num_bars: int = 60, num: int = 3, volatility: float = 0.02) -> Course:
    """Every field of ``BarChange`` as ``[T, B]``, with idle bars, and bars in which several trades close."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    shape = (num_bars, num)
    return_TB = np.where(rng.random(shape) < 0.2, 0.0, rng.normal(0.001, volatility, shape))
    equity_TB = 1_000.0 * np.vstack([np.ones((1, num)), np.cumprod(1.0 + return_TB, axis=0)])
    closed_TB = rng.choice([0, 0, 0, 1, 1, 2], shape)
    won_TB = np.minimum(rng.integers(0, 3, shape), closed_TB)
    gain_TB, loss_TB = rng.uniform(1.0, 20.0, shape) * won_TB, rng.uniform(1.0, 20.0, shape) * (closed_TB - won_TB)
    slippage_TB = rng.uniform(0.0, 2.0, shape)
    return {
        "before_B": equity_TB[:-1],
        "after_B": equity_TB[1:],
        "peak_B": np.maximum.accumulate(equity_TB)[1:],
        "cost_B": slippage_TB + rng.normal(1.0, 2.0, shape),
        "slippage_B": slippage_TB,
        "turnover_B": rng.uniform(0.0, 2.0, shape),
        "realised_B": rng.normal(0.0, 10.0, shape),
        "unrealised_B": rng.normal(0.0, 30.0, shape),
        "closed_B": gain_TB - loss_TB,
        "won_B": gain_TB,
        "num_closed_B": closed_TB.astype(float),
        "num_won_B": won_TB.astype(float),
        "benchmark_return_B": rng.normal(0.0, 0.02, shape),
    }


def changes_of(course: Course, ended_TB: np.ndarray | None = None) -> Iterator[BarChange]:
    """The course bar by bar."""
    for t in range(len(course["after_B"])):
        ended_B = np.zeros(course["after_B"].shape[1], dtype=bool) if ended_TB is None else ended_TB[t]
        yield BarChange(
            **{name: torch.from_numpy(np.ascontiguousarray(x_TB[t])) for name, x_TB in course.items()},
            ended_B=torch.from_numpy(ended_B),
        )


def values_of(term: Term, course: Course) -> np.ndarray:
    """The term over the course, ``[T, B]``."""
    state = term.initial(course["after_B"].shape[1], CPU)
    values = []
    for change in changes_of(course):
        value_B, state = term(state, change)
        values.append(value_B.numpy())
    return np.array(values)
