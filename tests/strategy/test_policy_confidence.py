"""Confidence of a discrete policy: the probability of the side it chose, not of the size."""

import torch

from tradewright.env.discrete9 import ACTIONS, Discrete9
from tradewright.env.view import AccountView
from tradewright.strategy.policy import side_confidence


def view(weight: float) -> AccountView:
    weights = torch.tensor([weight], dtype=torch.float64)
    return AccountView(weights, 1.0 - weights, torch.zeros(1, dtype=torch.float64))


def confidence(weight: float, action: str, probabilities: dict[str, float]) -> float:
    env, at = Discrete9(), view(weight)
    row = torch.tensor([[probabilities.get(name, 0.0) for name in ACTIONS]])
    target = env.target_weights(torch.tensor([ACTIONS.index(action)]), at)
    return round(float(side_confidence(env, at, target, row)[0]), 6)


def test_flat_account_that_buys_counts_every_buy() -> None:
    odds = {"buy_25": 0.3, "buy_100": 0.2, "hold": 0.1, "sell_50": 0.4}  # holding and selling stay flat
    assert confidence(0.0, "buy_25", odds) == 0.5
    assert confidence(0.0, "hold", odds) == 0.5


def test_held_position_counts_all_but_the_full_sale() -> None:
    odds = {"hold": 0.25, "buy_50": 0.25, "sell_50": 0.25, "sell_100": 0.25}
    assert confidence(0.5, "hold", odds) == 0.75
    assert confidence(0.5, "sell_100", odds) == 0.25
