"""Rewards equal their formulas, computed with plain floats beside them, and refuse wrong numbers."""

import itertools
import math

import numpy as np
import pytest
import torch

from tradewright.errors import MarketError
from tradewright.reward.differential_sharpe import DifferentialSharpe
from tradewright.reward.log_return import LogReturn
from tradewright.reward.reward import BarChange, require_finite

CPU = torch.device("cpu")


def change(before: float, after: float, ended: bool = False) -> BarChange:
    values = (torch.tensor([x], dtype=torch.float64) for x in (before, after, max(before, after)))
    return BarChange(*values, torch.tensor([ended]))


def test_log_returns_sum_to_the_growth_of_the_account() -> None:
    equity = [100.0, 103.0, 99.0, 120.5]
    reward = LogReturn(scale=10.0)
    total = sum(float(reward({}, change(a, b))[0]) for a, b in itertools.pairwise(equity))
    assert total == pytest.approx(10.0 * math.log(120.5 / 100.0), rel=1e-12)


def test_differential_sharpe_equals_its_recursion() -> None:
    rng = np.random.default_rng(0)
    eta, volatility = 0.05, 0.02
    reward = DifferentialSharpe(adaptation_rate=eta, initial_volatility=volatility)
    state = reward.initial(1, CPU)
    first, second, equity = 0.0, volatility**2, 1.0
    for r in rng.normal(0.001, 0.01, 60):
        expected = (second * (r - first) - 0.5 * first * (r * r - second)) / (second - first**2) ** 1.5
        got, state, _ = reward(state, change(equity, equity * (1 + r)))
        assert float(got) == pytest.approx(expected, rel=1e-9)
        first, second = first + eta * (r - first), second + eta * (r * r - second)
        equity *= 1 + r


def test_differential_sharpe_is_the_slope_of_the_exponential_sharpe_ratio() -> None:
    """S_t(η) - S_{t-1}(η) ≈ η D_t for small η (Moody and Saffell, eq. 13)."""
    eta, first, second, r = 1e-7, 0.0005, 1.3e-4, 0.012
    reward = DifferentialSharpe(adaptation_rate=eta)
    state = {
        f"sharpe/{name}": torch.tensor([x], dtype=torch.float64)
        for name, x in (("first_moment", first), ("second_moment", second))
    }
    got, moved, _ = reward(state, change(1.0, 1.0 + r))
    sharpe = [
        a / math.sqrt(b - a * a)
        for a, b in ((first, second), (float(moved["sharpe/first_moment"]), float(moved["sharpe/second_moment"])))
    ]
    assert (sharpe[1] - sharpe[0]) / eta == pytest.approx(float(got), rel=1e-4)


@pytest.mark.parametrize("reward", [LogReturn(bankrupt_reward=-7.0), DifferentialSharpe(bankrupt_reward=-7.0)])
def test_bankrupt_bar_earns_the_agreed_reward_and_no_nan(reward) -> None:
    got, *_ = reward(reward.initial(1, CPU), change(100.0, -20.0, ended=True))
    assert float(got) == -7.0


def test_non_finite_rewards_raise_and_name_the_reward() -> None:
    with pytest.raises(MarketError, match="reward=log_return: 2 of 3 rewards are not finite numbers"):
        require_finite(torch.tensor([1.0, math.nan, math.inf]), "log_return")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LogReturn(scale=0), "scale must be > 0, was 0"),
        (lambda: LogReturn(bankrupt_reward=1), "bankrupt_reward must be <= 0, was 1"),
        (lambda: DifferentialSharpe(adaptation_rate=1), r"adaptation_rate must be in \(0, 1\), was 1"),
        (lambda: DifferentialSharpe(initial_volatility=0), "initial_volatility must be > 0, was 0"),
    ],
)
def test_bad_arguments_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
