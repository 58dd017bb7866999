"""``env=portfolio``: what an action means, N target weights of one account and the rest in cash."""

import math

import numpy as np
import torch

from tradewright.env.portfolio import Portfolio
from tradewright.env.view import JointView


def view_of(*held: float, blocked: float = 0.0) -> JointView:
    weight_BN = torch.tensor([held], dtype=torch.float64)
    return JointView(weight_BN, 1.0 - weight_BN.sum(-1), torch.full_like(weight_BN, blocked))


def weights_of(env: Portfolio, *action: float) -> list[float]:
    view = view_of(*(0.0 for _ in action))
    return [round(weight, 7) for weight in env.target_weights(torch.tensor([action]), view)[0].tolist()]


def test_long_only_actions_reach_every_corner_of_the_simplex_with_cash() -> None:
    env = Portfolio(lowest_weight=0.0)
    assert weights_of(env, -1.0, -1.0, -1.0) == [0.0, 0.0, 0.0]  # cash
    assert weights_of(env, -1.0, 1.0, -1.0) == [0.0, 1.0, 0.0]
    assert weights_of(env, -0.5, -0.5, -0.5) == [0.25, 0.25, 0.25]  # a quarter stays cash
    assert weights_of(env, 1.0, 1.0, 0.0) == [0.4, 0.4, 0.2]  # 1 : 1 : 0.5, scaled down to one
    assert weights_of(env, 9.0, 1.0, -9.0) == [0.5, 0.5, 0.0]  # components are clamped


def test_long_short_actions_stay_within_the_gross_exposure() -> None:
    env = Portfolio(lowest_weight=-1.0)
    assert weights_of(env, 0.0, 0.0) == [0.0, 0.0]
    assert weights_of(env, 0.3, -0.5) == [0.3, -0.5]
    assert weights_of(env, 1.0, -1.0) == [0.5, -0.5]
    levered = Portfolio(lowest_weight=-2.0, highest_weight=2.0)
    assert weights_of(levered, 1.0, -1.0, 0.0) == [1.0, -1.0, 0.0]
    assert weights_of(levered, 0.5, -0.25) == [1.0, -0.5]
    assert weights_of(Portfolio(lowest_weight=0.0, highest_weight=0.5), 1.0, 1.0) == [0.25, 0.25]


def test_random_weights_of_the_set_are_reached_and_never_left() -> None:
    """The inverse by hand: a = 2 (w - lowest) / (highest - lowest) - 1 for any w whose gross exposure is allowed."""
    rng = np.random.default_rng(0)
    for lowest in (0.0, -1.0):
        env = Portfolio(lowest_weight=lowest)
        for _ in range(200):
            w = rng.dirichlet(np.ones(5))[:4] * rng.choice([1.0, 1.0 if lowest == 0 else -1.0], 4)
            action = torch.tensor(2.0 * (w - lowest) / (1.0 - lowest) - 1.0)[None]
            np.testing.assert_allclose(env.target_weights(action, view_of(0, 0, 0, 0))[0], w, atol=1e-12)
            any_action = torch.from_numpy(rng.normal(0.0, 2.0, (1, 4)))
            reached = env.target_weights(any_action, view_of(0, 0, 0, 0))
            assert float(reached.abs().sum()) <= 1.0 + 1e-12
            assert float(reached.min()) >= lowest


def test_gradient_of_the_weights_is_that_of_the_formula_and_finite_when_all_is_cash() -> None:
    env = Portfolio(lowest_weight=0.0)

    def jacobian(*action: float) -> torch.Tensor:
        at = torch.tensor(action, dtype=torch.float64)
        view = view_of(*(0.0 for _ in action))
        return torch.autograd.functional.jacobian(lambda a: env.target_weights(a[None], view)[0], at)

    assert jacobian(-1.0, -1.0).tolist() == [[0.5, 0.0], [0.0, 0.5]]  # cash: v = w, dv/da = 1/2
    v = np.array([0.9, 0.6])  # scaled: w = v / Σv, dw_i/dv_j = (δ_ij - w_i) / Σv
    np.testing.assert_allclose(jacobian(0.8, 0.2), 0.5 * (np.eye(2) - (v / v.sum())[:, None]) / v.sum())


def test_threshold_applies_to_each_instrument_and_lets_flat_pass() -> None:
    env = Portfolio(lowest_weight=-1.0, rebalance_threshold=0.1)
    found = env.target_weights(torch.tensor([[0.25, 0.25, 0.0]]), view_of(0.3, 0.0, 0.05))[0].tolist()
    assert math.isnan(found[0])
    assert found[1:] == [0.25, 0.0]
    stopped = env.target_weights(torch.tensor([[0.05, 0.5]]), view_of(0.0, 0.0, blocked=1.0))[0].tolist()
    assert stopped == [0.0, 0.5]
