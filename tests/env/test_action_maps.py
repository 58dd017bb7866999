"""Action maps: what every action of every environment does to shares and cash, and what is no order."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tradewright.backtest.execution import ExecutionRules
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.discrete5 import ACTIONS, Discrete5
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.simulator import Simulator
from tradewright.env.trading import TradingEnv
from tradewright.env.view import AccountView
from tradewright.features.features import Features

LONG, SHORT = 0.8, -0.6
EXPECTED = {
    # account: weight after flat, enter_long, exit_long, enter_short, exit_short; None: no order
    "flat": (None, LONG, None, SHORT, None),
    "long": (0.0, None, 0.0, None, None),
    "short": (0.0, None, None, None, 0.0),
}
HELD = {"flat": 0.0, "long": 0.5, "short": -0.4}


def gapless(panel: Panel) -> Panel:
    """Return bars that open where the last one closed, so that a fill is at the price of the decision."""
    open_TN = np.vstack([panel.close_TN[:1], panel.close_TN[:-1]])
    return replace(
        panel,
        open_TN=open_TN,
        high_TN=np.maximum(panel.high_TN, open_TN),
        low_TN=np.minimum(panel.low_TN, open_TN),
    )


def simulator_of(panel: Panel, env: TradingEnv, **keys: Any) -> Simulator:
    x_TNF = np.zeros((*panel.close_TN.shape, 1), dtype=np.float32)
    market = MarketTensors.build(panel, Features(x_TNF=x_TNF, names_F=("zero",), ready_from=0))
    rules = ExecutionRules(initial_cash=1_000.0, **keys)
    return Simulator(market=market, env=env, rules=rules, rows=Range(0, panel.num_bars), num_envs=1)


def holdings(simulator: Simulator) -> tuple[float, float]:
    """Return cash and shares."""
    return float(simulator.account.cash_B), float(simulator.account.shares_BN)


def view_of(weights: list[float], blocked: float = 0.0) -> AccountView:
    weight_B = torch.tensor(weights, dtype=torch.float64)
    return AccountView(weight_B, 1.0 - weight_B, torch.full_like(weight_B, blocked))


def targets(env: TradingEnv, action: list[Any], held: list[float], blocked: float = 0.0) -> list[float | None]:
    """Return target weights, None for no order."""
    weight_B = env.target_weights(torch.tensor(action), view_of(held, blocked))
    return [None if math.isnan(weight) else weight for weight in weight_B.tolist()]


@pytest.mark.row("N13")
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("side", EXPECTED)
def test_discrete5_action_moves_shares_and_cash_as_the_legality_table_says(panel_of, side: str, action: str) -> None:
    simulator = simulator_of(gapless(panel_of(20)), Discrete5(window=1, lowest_weight=SHORT, highest_weight=LONG))
    simulator.step_weights(torch.tensor([HELD[side]], dtype=torch.float64))
    cash, shares = holdings(simulator)
    price, equity = float(simulator.account.mark_BN), float(simulator.equity_B)
    simulator.step(torch.tensor([ACTIONS.index(action)]))
    cash_after, shares_after = holdings(simulator)
    target = EXPECTED[side][ACTIONS.index(action)]
    if target is None:
        assert (cash_after, shares_after) == (cash, shares)
    else:
        assert shares_after == pytest.approx(target * equity / price, abs=1e-12)
        assert cash_after == pytest.approx(cash + (shares - shares_after) * price)


@pytest.mark.row("N13")
def test_discrete5_mask_names_the_illegal_actions() -> None:
    mask_BA = Discrete5().action_mask(view_of([0.0, 0.5, -0.5]))
    assert mask_BA.tolist() == [
        [True, True, False, True, False],
        [True, True, True, False, False],
        [True, False, False, True, True],
    ]


def test_discrete5_after_a_stop_lifts_the_block_by_flat_and_by_the_exit_of_that_side() -> None:
    env, actions = Discrete5(), list(range(5))
    assert targets(env, actions, [0.0] * 5, blocked=1.0) == [0.0, 1.0, 0.0, -1.0, None]
    assert targets(env, actions, [0.0] * 5, blocked=-1.0) == [0.0, 1.0, None, -1.0, 0.0]
    assert env.action_mask(view_of([0.0], 1.0)).tolist() == [[True, True, True, True, False]]


def test_stopped_discrete5_account_enters_again_only_after_flat(panel_of) -> None:
    panel = gapless(panel_of(20))
    low_TN = panel.low_TN.copy()
    low_TN[2] *= 0.8
    simulator = simulator_of(replace(panel, low_TN=low_TN), Discrete5(window=1), stop_loss=0.1)
    shares = []
    for action in ("enter_long", "enter_long", "enter_long", "flat", "enter_long"):
        simulator.step(torch.tensor([ACTIONS.index(action)]))
        shares.append(holdings(simulator)[1] > 0)
    assert shares == [True, False, False, False, True]  # stopped in the second bar, refused in the third


@pytest.mark.parametrize(
    ("keys", "side", "other"), [({"lowest_weight": 0.0}, "short", "long"), ({"highest_weight": 0.0}, "long", "short")]
)
def test_discrete5_without_a_side_makes_entering_it_illegal(keys: dict[str, float], side: str, other: str) -> None:
    env = Discrete5(**keys)
    enter, enter_other = ACTIONS.index(f"enter_{side}"), ACTIONS.index(f"enter_{other}")
    assert targets(env, [enter], [0.0]) == [None]
    assert targets(env, [enter_other], [0.0]) != [None]
    assert env.action_mask(view_of([0.0]))[0, [enter, enter_other]].tolist() == [False, True]


@pytest.mark.row("N11")
def test_continuous_action_from_minus_one_to_one_maps_to_the_weights_and_is_clamped() -> None:
    actions = [[-7.0], [-1.0], [-0.5], [0.0], [0.25], [1.0], [1.5]]
    held = [0.0] * len(actions)
    assert targets(Continuous(), actions, held) == [-1.0, -1.0, -0.5, 0.0, 0.25, 1.0, 1.0]
    env = Continuous(lowest_weight=-0.5, highest_weight=1.5)
    assert targets(env, actions, held) == [-0.5, -0.5, 0.0, 0.5, 0.75, 1.5, 1.5]


@pytest.mark.row("N11")
def test_continuous_actions_reach_the_account_as_fractions_of_equity(panel_of) -> None:
    simulator = simulator_of(gapless(panel_of(20)), Continuous(window=1))
    for action, weight in ((1.0, 1.0), (-1.0, -1.0), (0.25, 0.25), (0.0, 0.0), (-9.0, -1.0)):
        price, equity = float(simulator.account.mark_BN), float(simulator.equity_B)
        simulator.step(torch.tensor([[action]]))
        assert holdings(simulator)[1] == pytest.approx(weight * equity / price, abs=1e-12)


GATED = [
    # held, target, whether the signal decides
    (0.0, 0.5, True),  # entry
    (0.0, -0.5, True),
    (0.5, 0.7, True),  # increase
    (-0.5, -0.7, True),
    (0.5, -0.1, True),  # reversal, though smaller
    (-0.5, 0.1, True),
    (0.5, 0.3, False),  # reduction
    (-0.5, -0.3, False),
    (0.5, 0.0, False),  # exit
    (-0.5, 0.0, False),
    (0.0, 0.0, False),
]


@pytest.mark.row("N12")
@pytest.mark.parametrize(("held", "target", "is_gated"), GATED)
@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.4])
def test_exposure_is_added_only_where_the_entry_signal_exceeds_the_threshold(
    held: float, target: float, is_gated: bool, threshold: float
) -> None:
    env = Continuous(entry_signal=True, entry_threshold=threshold)
    assert env.num_actions == 2
    signals = [threshold - 0.1, threshold, threshold + 0.1]
    found = targets(env, [[target, signal] for signal in signals], [held] * 3)
    refused = None if is_gated else pytest.approx(target)
    assert found == [refused, refused, pytest.approx(target)]


@pytest.mark.row("N12")
def test_gated_account_keeps_its_shares_until_the_signal_comes(panel_of) -> None:
    simulator = simulator_of(gapless(panel_of(20)), Continuous(window=1, entry_signal=True))
    shares = []
    for action in ([0.5, -1.0], [0.5, 0.2], [1.0, -0.2], [-1.0, 0.0], [0.1, -1.0], [0.0, -1.0]):
        simulator.step(torch.tensor([action]))
        shares.append(holdings(simulator)[1])
    assert shares[0] == 0.0
    assert shares[1] == shares[2] == shares[3] > shares[4] > 0.0
    assert shares[5] == 0.0


def test_without_an_entry_signal_the_threshold_has_no_effect() -> None:
    env = Continuous(entry_threshold=0.9)
    assert env.num_actions == 1
    assert targets(env, [[0.5]], [0.0]) == [0.5]


def test_small_target_after_a_stop_lifts_the_block_whatever_the_signal_says() -> None:
    env = Continuous(lowest_weight=0.0, rebalance_threshold=0.1, entry_signal=True)
    assert targets(env, [[-0.9, -1.0], [0.5, -1.0]], [0.0, 0.0], blocked=1.0) == [0.0, None]


@pytest.mark.parametrize("threshold", [-1.1, 1.0, math.nan])
def test_impossible_entry_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"^entry_threshold must be in \[-1, 1\), was"):
        Continuous(entry_threshold=threshold)
